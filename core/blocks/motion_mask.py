"""Motion-aware masks: what moves much is hidden more often (MAMP, Mao et al. 2023, https://arxiv.org/abs/2308.07092).

A patch that stands still is told by any other patch of its place; a model learns more where something happens. Patches
are hidden in the order of

    motion / (tau * largest motion of the row) + Gumbel noise, highest first,

which is sampling without replacement with probabilities softmax(motion / (tau * largest)) (Plackett-Luce). A small
`tau` makes the choice sharp, a large one brings it to uniform.

What differs from the published sampler
- The motion inside a patch can be taken instead of the difference to the patch before, so that patches of many frames,
  and places that were lost a moment ago, have a motion of their own.
- Missing numbers have no motion; a patch of unknown motion counts as an average one, so that it is neither favoured nor
  spared.
- The largest motion is that of the whole row: of two persons who share it, the one who moves is hidden more.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..rng import RowRandom
from ..sequence import PatchSequence
from .masks import RandomMask
from .registry import register
from .tracks import at_neighbour, neighbours
from .views import patch_uniform

AGAINST = ("itself", "before")


@register("mask", "motion")
class MotionMask(RandomMask):
    """Each patch for itself, with odds that grow with its motion.

    tau: temperature, 0.75 to 0.8 as published. against: "itself", motion is the mean step between neighbouring numbers
    of a patch along its last axis; "before", the mean difference to the patch before it at the same place, number by
    number (published).
    """

    def __init__(self, *, tau: float = 0.8, against: str = "itself", **common: Any) -> None:
        super().__init__(**common)
        if tau <= 0:
            raise ValueError(f"tau must be positive, got {tau}")
        if against not in AGAINST:
            raise ValueError(f"motion is taken against {' or '.join(AGAINST)}, got {against!r}")
        self.tau, self.against = float(tau), against

    def priority(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        motion = patch_motion(batch, self.against)
        largest = motion.amax(dim=1, keepdim=True).clamp(min=torch.finfo(motion.dtype).tiny)
        gumbel = -(-patch_uniform(rng.fork("gumbel"), batch.valid).log()).log()
        return torch.sigmoid(-(motion / (self.tau * largest) + gumbel))


def patch_motion(batch: PatchSequence, against: str = "itself") -> Tensor:
    """[row, patch] mean absolute motion, see `MotionMask`; that of invalid patches is 0, unknown ones have the mean of
    their row. Raises InputError where patches are no stretches of a signal."""
    if batch.values is None or batch.spec.kind_shapes:
        raise InputError("motion is that of patches of values of one shape", source="a motion mask")
    patches = batch.values.reshape(batch.flat_value_shape()).float()
    if against == "itself":
        motion = patches.diff(dim=-1).abs().flatten(2).nanmean(dim=2)
    else:
        before, after = neighbours(batch)
        motion = (patches - at_neighbour(patches, before)).abs().flatten(2).nanmean(dim=2)
        first = at_neighbour(motion, after)  # the first of a track has the motion of the second
        motion = torch.where(before < 0, first, motion)
    known = torch.isfinite(motion) & batch.valid
    motion = motion.masked_fill(~known, 0.0)
    mean = motion.sum(dim=1, keepdim=True) / known.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.where(known, motion, mean).masked_fill(~batch.valid, 0.0)
