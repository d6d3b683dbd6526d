"""Maskers: the maskings that make sense for the modality work on its patches."""

from __future__ import annotations

from ..blocks.registry import build
from ..blocks.views import View
from ..errors import InputError
from .case import Case
from .checks import check, expect, fail


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
def maskers_hide_and_show_patches(case: Case) -> None:
    for name, options in case.modality.maskers().items():
        try:
            sampler = build("mask", options)
        except InputError:
            continue  # another check says so
        try:
            view: View = sampler(case.batch, case.rng())
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
