"""Some members of structural units: a few joints of an arm, not all of it.

SkeletonMAE (Yan et al. 2023, https://arxiv.org/abs/2307.08476) hides joints by body part: parts are chosen, and in them
all joints or some. Whole units are the `group` mask; this one leaves a share of each unit's places to be seen.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..rng import RowRandom
from ..sequence import PatchSequence
from .masks import MaskSampler, dense, place_codes
from .registry import register


@register("mask", "group_members")
class GroupMembersMask(MaskSampler):
    """Units in random order, and of each unit's places (on the axes named) a random share.

    share: of the places of a unit, rounded up; the others are hidden last, when every unit has given its share.
    axes: what makes a place, e.g. [x, y, z]: a joint is hidden all the time. None = every patch is a place of its own.
    """

    def __init__(self, *, share: float = 0.5, axes: list[str] | None = None, **common: Any) -> None:
        super().__init__(**common)
        if not 0 < share <= 1:
            raise ValueError(f"share must lie above 0 and up to 1, got {share}")
        self.share, self.axes = share, None if axes is None else list(axes)

    def cells(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        if self.axes is None:
            return (batch.valid.cumsum(dim=1) - 1).clamp(min=0)
        # the same place in two units is two places
        place = place_codes(batch, self.axes, "group_members")
        return dense(place * batch.n_patches + dense(batch.group, batch.valid), batch.valid)

    def priority(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        unit, place = dense(batch.group, batch.valid), self.cells(batch, rng.fork("cells"))
        unit_lot = torch.gather(rng.fork("units").uniform(batch.n_patches), 1, unit)
        place_lot = torch.gather(rng.fork("priority").uniform(batch.n_patches), 1, place)
        kept = _rank_in_unit(unit, place, place_lot, batch.valid) >= self.share
        order = _order_by(~batch.valid, kept, unit_lot, place_lot, place)
        turn = _starts(torch.gather(place, 1, order)).cumsum(dim=1) - 1
        return torch.empty_like(unit_lot).scatter_(1, order, turn.float() / batch.n_patches)


def _rank_in_unit(unit: Tensor, place: Tensor, lot: Tensor, valid: Tensor) -> Tensor:
    """[row, patch] rank of each patch's place by its lot among the places of its unit, as a share of their number."""
    order = _order_by(~valid, unit, lot, place)
    by_unit, by_place = torch.gather(unit, 1, order), torch.gather(place, 1, order)
    new_unit = _starts(by_unit)
    count = (new_unit | _starts(by_place)).cumsum(dim=1)
    rank = count - count.masked_fill(~new_unit, 0).cummax(dim=1).values
    most = torch.zeros_like(unit).scatter_reduce_(1, by_unit, rank * torch.gather(valid, 1, order), "amax")
    share = rank / (torch.gather(most, 1, by_unit) + 1)
    return torch.empty_like(lot).scatter_(1, order, share)


def _order_by(*keys: Tensor) -> Tensor:
    """[row, patch] positions in ascending order of the first key, ties by the next, and so on."""
    order = torch.arange(keys[0].shape[1], device=keys[0].device).expand_as(keys[0])
    for key in reversed(keys):
        order = torch.gather(order, 1, torch.gather(key.long() if key.dtype == torch.bool else key, 1, order)
                             .argsort(dim=1, stable=True))  # fmt: skip
    return order


def _starts(ordered: Tensor) -> Tensor:
    """[row, patch] bool: where a run of equal numbers begins."""
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return first
