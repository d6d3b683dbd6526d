"""Maskers: the maskings that make sense for the modality work on its patches."""

from __future__ import annotations

from ..blocks.registry import build
from ..blocks.views import View
from ..errors import InputError
from ..modality import Modality
from ..rng import RowRandom
from .case import Case
from .checks import check, expect, fail, need


@check(fix='return {"random": {"name": "random"}}')
def maskers_are_registered(case: Case) -> None:
    maskers = case.modality.maskers()
    expect(maskers, got="no masking", expected="at least one")
    for name, options in maskers.items():
        try:
            build("mask", options, where=f"maskers()[{name!r}]")
        except InputError as error:
            fail(
                got=str(error),
                expected="a registered mask sampler with options it knows",
                fix="see omnipatch.core.blocks.masks",
            )


@check(fix="choose a ratio between 0 and 1")
def maskers_hide_and_show_real_patches(case: Case) -> None:
    for name, options in _buildable(case.modality).items():
        try:
            view: View = build("mask", options)(case.batch, RowRandom(0, 0, case.batch.window))
        except InputError as error:
            fail(
                got=f"{error} from masking {name!r}",
                expected="a masking that suits the spec",
                fix="name only axes of the spec, in their units",
            )
        assert view.visible is not None
        assert view.targets is not None
        hidden, shown = view.targets.valid.sum(1), view.visible.valid.sum(1)
        several = view.batch.lengths > 1
        several = several if view.rows is None else several[view.rows]
        expect(
            bool((hidden[several] > 0).all() and (shown[several] > 0).all()),
            got=f"masking {name!r} that hides {hidden.tolist()} and shows {shown.tolist()} patches a row",
            expected="some of each",
        )


@check(fix="use smaller cells: a span, box or group must be a part of a window")
def maskers_vary_with_the_step(case: Case) -> None:
    need(int(case.batch.lengths.max()) > 2, "the windows have too few patches")
    for name, options in _buildable(case.modality).items():
        sampler = build("mask", options)
        chosen = []
        for step in range(8):
            try:
                targets = sampler(case.batch, RowRandom(0, step, case.batch.window)).targets
            except InputError:
                return  # another check says so
            chosen.append(frozenset(targets.index[0][targets.valid[0]].tolist()))
        expect(
            len(set(chosen)) > 1,
            got=f"masking {name!r} that hides the same patches at each of 8 steps",
            expected="another choice at each",
        )


def _buildable(modality: Modality) -> dict[str, dict]:
    """Maskings that can be built; the others are another check's business."""
    found = {}
    for name, options in modality.maskers().items():
        try:
            build("mask", options)
        except InputError:
            continue
        found[name] = options
    return found
