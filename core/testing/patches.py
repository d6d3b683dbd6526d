"""Patches: what `patchify` returns for one window."""

from __future__ import annotations

import torch

from ..sequence import PatchSequence
from .case import Case
from .checks import check, expect, need


@check(fix="add a leading axis of 1: coords[None]")
def patchify_gives_one_row_of_the_spec(case: Case) -> None:
    row = case.row
    expect(
        isinstance(row, PatchSequence) and len(row) == 1,
        got=f"{type(row).__name__} of {len(row)} rows",
        expected="a PatchSequence of one row",
    )
    expect(
        row.spec == case.modality.spec,
        got=f"patches with the spec {row.spec}",
        expected=case.modality.spec,
        fix="build them with self.spec",
    )
    expect(
        bool(row.valid.any()),
        got="no valid patch of the first window",
        expected="at least one",
        fix="set valid where something was measured",
    )


@check(fix="convert them in `patchify`")
def patches_have_their_declared_types(case: Case) -> None:
    row = case.row
    wanted = {
        "values": torch.float32,
        "ids": torch.int64,
        "valid": torch.bool,
        "coords": torch.float32,
        "kind": torch.int64,
        "group": torch.int64,
        "edges": torch.int64,
    }
    wrong = [
        f"{name} {getattr(row, name).dtype}"
        for name, dtype in wanted.items()
        if getattr(row, name) is not None and getattr(row, name).dtype != dtype
    ]
    expect(
        not wrong,
        got=", ".join(wrong),
        expected="values and coords float32, ids, kind, group and edges int64, valid bool",
    )


@check(fix="guard divisions of the normalisation")
def values_are_finite_or_nan(case: Case) -> None:
    need(case.row.values is not None, "the patches carry ids")
    for window in case.windows:
        values = case.modality.patchify(window).values
        assert values is not None
        expect(
            not values.isinf().any(),
            got=f"infinite values in the window at {window.start_s:g} s",
            expected="finite ones, or NaN = missing",
        )


@check(fix="normalise in `windows`, or give the spec a unit in which the signal is of order one")
def values_are_of_order_one(case: Case) -> None:
    need(case.batch.values is not None, "the patches carry ids")
    values = case.batch.values[case.batch.valid]  # type: ignore[index]
    size = float(values[values.isfinite()].abs().median())
    expect(1e-3 < size < 1e3, got=f"typical absolute value {size:.3g}", expected="about 1 (0.001 to 1000)")


@check(fix="set valid=False where the place is unknown")
def coordinates_are_finite(case: Case) -> None:
    for window in case.windows:
        row = case.modality.patchify(window)
        expect(
            bool(row.coords[row.valid].isfinite().all()),
            got=f"NaN or infinite coordinates at {window.start_s:g} s",
            expected="a finite place for each valid patch",
        )


@check(fix="multiply sample numbers by 1 / sfreq_hz")
def coordinates_are_relative_to_the_window(case: Case) -> None:
    spec = case.modality.spec
    need(spec.sfreq_hz is not None, "the patches have no sampling rate")
    step = spec.axis_scales[0]
    for window in case.windows:
        row = case.modality.patchify(window)
        time, end = row.coords[0, row.valid[0], 0], window.values.shape[-1] / window.sfreq_hz
        if not len(time):
            continue  # another check says so
        expect(
            bool(((time >= -step) & (time <= end + step)).all()),
            got=f"{spec.axes[0]} from {float(time.min()):g} to {float(time.max()):g} in a window of {end:g} s",
            expected="seconds from the window's start",
        )


@check(fix="tell them apart by coords, kind or group: the encoder knows nothing else of a patch")
def patches_lie_at_different_places(case: Case) -> None:
    row = case.row
    real = row.valid[0]
    place = torch.cat([row.coords[0], row.kind[0, :, None], row.group[0, :, None]], dim=1)[real]
    double = len(place) - len(place.unique(dim=0))
    expect(double == 0, got=f"{double} of {len(place)} patches at the place of another", expected="a place for each")


@check(fix="name every kind in spec.kinds")
def kinds_groups_and_ids_are_in_range(case: Case) -> None:
    row, spec = case.row, case.modality.spec
    kind, group = row.kind[row.valid], row.group[row.valid]
    expect(
        bool(((kind >= 0) & (kind < len(spec.kinds))).all()),
        got=f"kind up to {int(kind.max())}",
        expected=f"0 to {len(spec.kinds) - 1}",
    )
    expect(
        bool((group >= 0).all()),
        got=f"group {int(group.min())}",
        expected="0 or more",
        fix="number the structural units from 0; a patch that belongs nowhere is valid=False",
    )
    if row.ids is not None:
        ids, sizes = row.ids[row.valid], torch.tensor(spec.vocabulary)
        expect(
            bool(((ids >= 0) & (ids < sizes)).all()),
            got=f"ids up to {ids.amax(0).tolist()}",
            expected=f"0 to below {list(spec.vocabulary)}",
            fix="enlarge spec.vocabulary or map unknown ids",
        )


@check(fix="number the patches of the row from 0")
def edges_join_patches_of_the_row(case: Case) -> None:
    edges = case.row.edges
    need(edges is not None, "the patches have no edges")
    assert edges is not None
    good = edges.ndim == 2 and len(edges) == 2 and bool(((edges >= 0) & (edges < case.row.n_patches)).all())
    expect(
        good,
        got=f"edges of shape {list(edges.shape)} that name patches up to {int(edges.max()) if edges.numel() else 0}",
        expected=f"[2, edge] with numbers below {case.row.n_patches}",
    )
