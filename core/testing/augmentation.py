"""Augmentation: label-safe views, a pure function of (seed, step, window), whatever stands beside the window."""

from __future__ import annotations

import torch
from torch import Tensor

from ..batching import pad
from ..modality import Modality
from ..sequence import PatchSequence
from .case import Case
from .checks import check, expect, need
from .compare import sequence_difference

# arithmetic on another batch shape may round otherwise; a draw of another number is far larger
ROUNDING = 1e-5


def _needs_augmentation(case: Case) -> None:
    own = type(case.modality).augment is not Modality.augment
    need(own, "the adapter has no augmentation")


@check(fix="return batch.replace(values=...) and leave the other fields alone")
def augment_keeps_labels_and_origin(case: Case) -> None:
    batch = case.batch
    view = case.modality.augment(batch, case.rng())
    expect(
        isinstance(view, PatchSequence) and view.spec == batch.spec,
        got=f"{type(view).__name__} of another spec",
        expected="a batch of the same spec",
    )
    for name in ("label", "window", "record", "subject", "site"):
        expect(
            torch.equal(getattr(view, name), getattr(batch, name)),
            got=f"{name} changed by `augment`",
            expected="a label-safe view of the same windows",
        )


@check(fix="do not set valid=True where the batch has False")
def augment_keeps_shapes_and_validity(case: Case) -> None:
    batch = case.batch
    view = case.modality.augment(batch, case.rng())
    for name in ("values", "ids", "valid", "coords", "kind", "group"):
        a, b = getattr(batch, name), getattr(view, name)
        same = a is b or (isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape and a.dtype == b.dtype)
        expect(
            same,
            got=f"{name} of another shape or type",
            expected="the shape and type of the batch",
            fix="return batch.replace(values=...) with values of the same shape and dtype",
        )
    invented = view.valid & ~batch.valid
    expect(
        not invented.any() and bool((view.valid.any(dim=1) | ~batch.valid.any(dim=1)).all()),
        got="valid patches invented, or none left in a row",
        expected="valid patches of the batch, at least one a row",
    )


@check(fix="never drop a row's only sensor")
def augment_gives_finite_values(case: Case) -> None:
    _needs_augmentation(case)
    need(case.batch.values is not None, "the patches carry ids")
    for step in range(3):
        view = case.modality.augment(case.batch, case.rng(step))
        assert view.values is not None
        assert case.batch.values is not None
        bad = view.valid.unsqueeze(-1) & view.values.isinf() & ~case.batch.values.isinf()
        gone = ~view.values.isfinite().any(-1) & view.valid & case.batch.values.isfinite().any(-1)
        expect(
            not bad.any() and not gone.all(dim=1).any(),
            got="infinite values, or a row without any",
            expected="finite values, or NaN where something was dropped",
        )


@check(fix="draw only from the RowRandom handed to `augment`")
def augment_is_a_pure_function_of_rng(case: Case) -> None:
    _needs_augmentation(case)
    first, second = (case.modality.augment(case.batch, case.rng()) for _ in range(2))
    found = sequence_difference(first, second)
    expect(not found, got=f"{found} from two equal generators", expected="the same view")


@check(fix="draw from the RowRandom handed to `augment`: two equal views teach nothing")
def augment_varies_with_the_step(case: Case) -> None:
    _needs_augmentation(case)
    first, second = (case.modality.augment(case.batch, case.rng(step)) for step in (0, 1))
    expect(sequence_difference(first, second), got="the same view at two steps", expected="another one at each step")


@check(fix="work on a copy (x = x * gain, not x *= gain): other views read the same batch")
def augment_does_not_write_into_the_batch(case: Case) -> None:
    _needs_augmentation(case)
    batch = case.batch
    before = batch.to("cpu")._map(lambda field: field.clone() if isinstance(field, Tensor) else field)
    case.modality.augment(batch, case.rng())
    found = sequence_difference(batch, before)
    expect(not found, got=f"a batch changed by `augment` ({found})", expected="unchanged input")


@check(fix="draw from `rng` for each row, and normalise no row by another")
def augment_ignores_other_rows(case: Case) -> None:
    _needs_augmentation(case)
    batch = case.batch
    turned = torch.arange(len(batch) - 1, -1, -1)[: len(batch) - 1]
    part = batch.rows(turned)
    together = case.modality.augment(batch, case.rng()).rows(turned)
    found = sequence_difference(together, case.modality.augment(part, case.rng(0, part)), ROUNDING)
    expect(
        not found,
        got=f"{found} when a window stands among other rows",
        expected="the same view of a window in any batch",
    )


@check(fix="draw one number a row or let the patch axis come first in the shape of a draw")
def augment_ignores_padding(case: Case) -> None:
    _needs_augmentation(case)
    batch = case.batch
    wide = pad(batch, batch.n_patches + 5)
    kept = torch.arange(batch.n_patches).expand(len(batch), -1)
    plain, padded = (case.modality.augment(b, case.rng()).patches(kept) for b in (batch, wide))
    found = sequence_difference(plain, padded, ROUNDING)
    expect(not found, got=f"{found} in a longer batch", expected="the same view with any padding")
