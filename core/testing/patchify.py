"""Patchify: what the function does to its input and from call to call, and its inverse."""

from __future__ import annotations

import numpy as np
import torch

from ..batching import collate, pad
from .case import Case, read_only
from .checks import NotApplicable, check, expect, fail, need
from .compare import record_difference, sequence_difference


@check(fix="keep state and randomness out of `patchify`; random views belong to `augment`")
def patchify_is_deterministic(case: Case) -> None:
    window = case.windows[0]
    found = sequence_difference(case.modality.patchify(window), case.modality.patchify(window))
    expect(not found, got=f"{found} from two calls", expected="the same patches of one window each time")


@check(fix="work on a copy (x = np.nan_to_num(x), not x[np.isnan(x)] = 0)")
def patchify_does_not_write_into_the_window(case: Case) -> None:
    window, before = read_only(case.windows[0]), read_only(case.windows[0])
    try:
        case.modality.patchify(window)
    except ValueError as error:
        expect("read-only" not in str(error), got="a write into window.values", expected="unchanged input")
        raise
    found = record_difference(window, before)
    expect(not found, got=f"a window changed by `patchify` ({found})", expected="unchanged input")


@check(fix="copy before torch.from_numpy: an edit of the batch would reach the window")
def patches_do_not_share_memory_with_the_window(case: Case) -> None:
    need(case.row.values is not None, "the patches carry ids")
    window = case.windows[0]
    values = case.modality.patchify(window).values
    assert values is not None
    expect(
        not np.shares_memory(values.numpy(), window.values),
        got="patches that are a view of window.values",
        expected="values of their own",
    )


@check(fix="set valid with dtype bool")
def windows_of_all_lengths_collate(case: Case) -> None:
    rows = [case.modality.patchify(w) for seed in (0, 1) for w in case.modality.windows(case.recording(seed))]
    short = rows[0].patches(torch.arange(max(1, rows[0].n_patches // 2))[None])
    try:
        batch = collate([*rows, short])
    except (RuntimeError, TypeError, ValueError) as error:
        fail(
            got=f"rows that do not fit one batch ({error})",
            expected="equal fields in every row",
            fix="give every window the same spec and the same optional fields",
        )
    expect(
        int(batch.valid.sum()) == sum(int(r.valid.sum()) for r in [*rows, short]),
        got="another number of valid patches after padding",
        expected="padding adds none",
    )


@check(fix="undo the cutting and the order of `patchify`; leave out what is not valid")
def unpatchify_inverts_patchify(case: Case) -> None:
    window, row = case.windows[0], case.row
    try:
        back = case.modality.unpatchify(row)
    except NotImplementedError:
        raise NotApplicable("the adapter has no unpatchify") from None
    expect(
        isinstance(back, list) and len(back) == 1,
        got=f"{type(back).__name__} of {len(back)}",
        expected="a list with one array a row",
    )
    lost = _lost_sensors(window.values, np.asarray(back[0]))
    expect(
        not lost,
        got=f"other values of {', '.join(window.sensors[i] for i in lost[:3])}",
        expected="each sensor's samples among the rows of the result",
    )
    padded = case.modality.unpatchify(pad(row, row.n_patches + 2))[0]
    extra = padded[..., np.asarray(back[0]).shape[-1] :]
    expect(
        not np.isfinite(extra).any() or not np.nan_to_num(extra).any(), got="samples out of padding", expected="none"
    )


def _lost_sensors(values: np.ndarray, back: np.ndarray) -> list[int]:
    """Rows of `values` [sensor, ..., sample] that are in no row of `back`, where both are as long."""
    flat = back.reshape(-1, back.shape[-1])
    lost = []
    for i, sensor in enumerate(values):
        for row in sensor.reshape(-1, sensor.shape[-1]):
            real = np.flatnonzero(np.isfinite(row))
            real = real[real < flat.shape[1]]
            close = np.isclose(flat[:, real], row[real], rtol=1e-4, atol=1e-5).all(axis=1)
            if len(real) < 0.5 * np.isfinite(row).sum() or not close.any():
                lost.append(i)
                break
    return lost
