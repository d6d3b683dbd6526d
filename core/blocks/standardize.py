"""Standardised patches for targets made from the signal: over what mean and variance are taken.

- "sensor": each sensor of a patch over the patch's own time (normalised pixels of MAE).
- "patch": all numbers of a patch together (MAMP).
- "window": each sensor of a place over the whole window. A patch then keeps its level and its share of the movement,
  which the others throw away.

Missing numbers (NaN) stay missing and count nowhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..sequence import PatchSequence
from .tracks import track_codes

NORMALIZE = ("sensor", "patch", "window", "none")


def standardize_patches(patches: Tensor, how: str, eps: float, ddof: int = 0) -> Tensor:
    """[row, k, *patch_shape] over time ("sensor") or over everything ("patch") of each patch. ddof: 1 = the unbiased
    variance."""
    dims = (-1,) if how == "sensor" else tuple(range(2, patches.ndim))
    mean = patches.nanmean(dim=dims, keepdim=True)
    count = torch.isfinite(patches).sum(dim=dims, keepdim=True)
    var = (patches - mean).square().nansum(dim=dims, keepdim=True) / (count - ddof).clamp(min=1)
    return (patches - mean) / (var + eps).sqrt()


def standardize_window(batch: PatchSequence, patches: Tensor, eps: float) -> Tensor:
    """[row, patch, *patch_shape] over all the time that the batch shows of each sensor at each place."""
    track = track_codes(batch)
    known = torch.isfinite(patches) & batch.valid.view(*batch.valid.shape, *[1] * (patches.ndim - 2))

    def total(numbers: Tensor) -> Tensor:
        """[row, patch, ..., 1] sum over the track of each patch."""
        sums = numbers.masked_fill(~known, 0.0).sum(dim=-1, keepdim=True)
        index = track.view(*track.shape, *[1] * (sums.ndim - 2)).expand_as(sums)
        return torch.zeros_like(sums).scatter_add(1, index, sums).gather(1, index)

    count = total(torch.ones_like(patches)).clamp(min=1.0)
    centred = patches - total(patches) / count
    return centred / (total(centred.square()) / count + eps).sqrt()
