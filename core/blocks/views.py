"""Views: what of a batch the encoder sees and what is to be predicted.

A view never stores a boolean mask: it carries index sets, so that hidden patches are dropped before the embedding and
cost nothing. `rows` is the lineage: view row -> batch row, which lets several masks of a window share one target pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..rng import RowRandom
from ..sequence import PatchSequence
from .registry import build


@dataclass(frozen=True)
class IndexSet:
    """index: [row, k] positions on the patch axis; valid: [row, k] bool, False = filler."""

    index: Tensor
    valid: Tensor


@dataclass(frozen=True)
class View:
    """batch: the (possibly augmented) patches; rows: [view row] batch row of each view row, None = one to one.

    visible: what the encoder sees, None = every valid patch. targets: what a term at site "target" predicts.
    """

    batch: PatchSequence
    rows: Tensor | None = None
    visible: IndexSet | None = None
    targets: IndexSet | None = None


Augment = Callable[[PatchSequence, RowRandom], PatchSequence]


class ViewSampler:
    """Augment (through the modality) and then mask a batch.

    augment: draw a label-safe random version of each window.
    mask: options of a registered mask sampler, or None.
    """

    def __init__(self, name: str, *, augment: bool = False, mask: dict[str, Any] | None = None) -> None:
        self.name, self.augment = name, augment
        self.mask = None if mask is None else build("mask", mask, where=f"objective.views.{name}.mask")

    def __call__(self, batch: PatchSequence, rng: RowRandom, augment: Augment | None) -> View:
        rng = rng.fork(self.name)
        if self.augment and augment is not None:
            batch = augment(batch, rng.fork("augment"))
        if self.mask is None:
            return View(batch)
        return self.mask(batch, rng.fork("mask"))


def repeat_rows(batch: PatchSequence, repeats: int) -> Tensor | None:
    """Lineage of `repeats` masks a window, repeat-major; None for one."""
    if repeats == 1:
        return None
    return torch.arange(len(batch), device=batch.device).repeat(repeats)
