"""Views: what of a batch the encoder sees and what is to be predicted.

A view never stores a boolean mask: it carries index sets, so that hidden patches are dropped before the embedding and
cost nothing. `rows` is the lineage: view row -> batch row, which lets several masks of a window share one target pass.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..known import KnownIds
from ..rng import RowRandom
from ..sequence import PatchSequence, gather
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
    order: [batch row, patch] true place of each patch's segment, -1 = none, of a view that shuffles.
    """

    batch: PatchSequence
    rows: Tensor | None = None
    visible: IndexSet | None = None
    targets: IndexSet | None = None
    order: Tensor | None = None


Augment = Callable[[PatchSequence, RowRandom], PatchSequence]


class ViewSampler:
    """Take a window or its partner, mix it with others, augment it (through the modality), shuffle and then mask it.

    augment: draw a label-safe random version of each window.
    mask: options of a registered mask sampler, or None.
    mix: options of a registered way of adding other windows, or None.
    pair: {"within_s": seconds}, look at another window of the record, at most so far away; None = at the window
        itself. Batches that bring no partners (a look at single windows) are their own.
    shuffle: options of a registered way of moving content in time, or None.

    Raises InputError when it is to augment and nobody said how: two equal views would teach nothing.
    """

    def __init__(
        self,
        name: str,
        *,
        augment: bool = False,
        mask: dict[str, Any] | None = None,
        pair: dict[str, float] | None = None,
        mix: dict[str, Any] | None = None,
        shuffle: dict[str, Any] | None = None,
    ) -> None:
        self.name, self.augment = name, augment
        self.mask = None if mask is None else build("mask", mask, where=f"objective.views.{name}.mask")
        self.mix = None if mix is None else build("mix", mix, where=f"objective.views.{name}.mix")
        self.shuffle = None if shuffle is None else build("shuffle", shuffle, where=f"objective.views.{name}.shuffle")
        self.pair_within_s = None if pair is None else float(pair["within_s"])

    def prepare(self, batches: Callable[[], Iterable[PatchSequence]]) -> None:
        """Look at the windows that will be trained on, once before the first step: others to mix with."""
        if self.mix is not None:
            self.mix.prepare(batches)

    def tell(self, known: KnownIds) -> None:
        """Hand what is known of ids to a mask that has a use for it."""
        if callable(tell := getattr(self.mask, "tell", None)):
            tell(known)

    def __call__(self, batch: PatchSequence, rng: RowRandom, augment: Augment | None) -> View:
        rng = rng.fork(self.name)
        if self.pair_within_s is not None and batch.partner is not None:
            batch = batch.partner
        if self.mix is not None:
            batch = self.mix(batch, rng.fork("mix"))
        if self.augment:
            if augment is None:
                raise InputError(f"objective.views.{self.name} augments, but no augmentation is set")
            batch = augment(batch, rng.fork("augment"))
        order = None
        if self.shuffle is not None:
            batch, order = self.shuffle(batch, rng.fork("shuffle"))
        view = View(batch) if self.mask is None else self.mask(batch, rng.fork("mask"))
        return dataclasses.replace(view, order=order)


def pair_within_s(views: Mapping[str, ViewSampler]) -> float | None:
    """How far apart in time the windows of a pair may lie, None = no view looks at partners. All views of a
    composition agree (`compose`): a batch brings one partner of each window."""
    return next((view.pair_within_s for view in views.values() if view.pair_within_s is not None), None)


def repeat_rows(batch: PatchSequence, repeats: int) -> Tensor | None:
    """Lineage of `repeats` masks a window, repeat-major; None for one."""
    if repeats == 1:
        return None
    return torch.arange(len(batch), device=batch.device).repeat(repeats)


def select(batch: PatchSequence, rows: Tensor | None, chosen: IndexSet) -> PatchSequence:
    """The patches of an index set as a batch of their own; fillers are invalid."""
    source = batch if rows is None else batch.rows(rows)
    part = source.patches(chosen.index)
    return part.replace(valid=chosen.valid & gather(batch.valid, rows, chosen.index))


def patch_uniform(rng: RowRandom, valid: Tensor) -> Tensor:
    """[row, patch] uniform numbers. A patch draws by its rank among the row's valid ones, so that invalid patches
    change nothing wherever they stand."""
    rank = (valid.cumsum(dim=1) - 1).clamp(min=0)
    return torch.gather(rng.uniform(valid.shape[1]), 1, rank)
