"""Tracks: the patches that one place leaves over time (a joint, an electrode, a lead).

A patch knows its coordinates only, so what stands before and after it is found by them: the same place on every axis
but the first, and the next step along the first. Patches of a batch may stand in any order, and where one is missing
the track is broken there: what stands behind the gap is no neighbour.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..sequence import PatchSequence
from .masks import dense, place_codes

# what differs from a step (`spec.axis_scales` of the first axis) by less than this share of it is a step too
_SLACK = 0.5


def track_codes(batch: PatchSequence) -> Tensor:
    """[row, patch] number of the track of each patch, from 0 in each row; that of invalid patches has no meaning."""
    kind = batch.kind.masked_fill(~batch.valid, 0)
    place = place_codes(batch, list(batch.spec.axes[1:]), "motion")
    return dense(place * len(batch.spec.kinds) + kind, batch.valid)


def neighbours(batch: PatchSequence) -> tuple[Tensor, Tensor]:
    """[row, patch] position of the patch one step before and of the one a step after on the same track, -1 = none."""
    if not batch.n_patches:
        return batch.group, batch.group
    track = track_codes(batch).masked_fill(~batch.valid, batch.n_patches)
    time = batch.coords[..., 0].double().masked_fill(~batch.valid, 0.0)
    order = time.argsort(dim=1, stable=True)
    order = order.gather(1, track.gather(1, order).argsort(dim=1, stable=True))
    track, time = track.gather(1, order), time.gather(1, order)
    steps = (time[:, 1:] - time[:, :-1]) / batch.spec.axis_scales[0]
    same = (track[:, 1:] == track[:, :-1]) & (track[:, 1:] < batch.n_patches)
    joined = same & ((steps - 1.0).abs() < _SLACK)
    nothing = torch.full_like(order, -1)
    after = torch.where(joined, order[:, 1:], -1)
    before = torch.where(joined, order[:, :-1], -1)
    return (
        nothing.scatter(1, order, torch.cat([nothing[:, :1], before], dim=1)),
        nothing.scatter(1, order, torch.cat([after, nothing[:, :1]], dim=1)),
    )


def at_neighbour(field: Tensor, position: Tensor) -> Tensor:
    """`field` [row, patch, ...] (float) of the patches at `position` [row, patch]; NaN where that is -1."""
    index = position.clamp(min=0).view(*position.shape, *[1] * (field.ndim - 2)).expand_as(field)
    there = (position >= 0).view(*position.shape, *[1] * (field.ndim - 2))
    return field.gather(1, index).masked_fill(~there, torch.nan)
