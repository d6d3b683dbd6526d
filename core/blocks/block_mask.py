"""Multi-block masks of V-JEPA (Bardes et al. 2024, https://arxiv.org/abs/2404.08471), in coordinates.

Blocks of one size fall at random on the plane of two axes and last the whole window; what any of them covers is hidden.
Many small blocks make the short-range mask, few large ones the long-range mask; an objective has a view for each.

What differs from the published sampler
- Blocks are thrown until the wanted share is hidden, and the surplus of the last one is kept at random. There, each
  batch is cut to its smallest count in raster order, which drops the end of the plane and makes a mask depend on the
  other rows of the batch.
- The plane is a torus with blocks at continuous places, so every patch of a regular grid is hidden equally often.
  Blocks inside a rectangle cover its middle more often than its edge.
- A side that does not fit the plane gives its rest to the other, so a block covers the share it is said to cover. On a
  plane of 4 x 16 patches the published sizes are cut instead: blocks "of 70 %" cover 31 to 50 %.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..rng import RowRandom
from ..sequence import PatchSequence
from .masks import MaskSampler, axis_index, row_extent
from .registry import register

# blocks are thrown until at most this part of the visible share would be wanting; the rest is hidden at random
_WANTING = 0.25


@register("mask", "multiblock")
class MultiBlockMask(MaskSampler):
    """Union of equal blocks on a plane, over the whole of the other axes.

    scale: share of the plane that one block covers. aspect: range of its height to its width, in patches of the first
    to patches of the second axis; drawn for each window. axes: the plane, None = the last two axes.
    """

    def __init__(
        self,
        *,
        scale: float,
        aspect: tuple[float, float] = (0.75, 1.5),
        axes: list[str] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if not 0 < scale < 1:
            raise ValueError(f"a block covers a share of the plane between 0 and 1, got {scale}")
        if not 0 < aspect[0] <= aspect[1]:
            raise ValueError(f"aspect is a range of positive numbers, got {aspect}")
        if axes is not None and len(axes) != 2:
            raise ValueError(f"a plane has two axes, got {axes}")
        self.scale, self.aspect, self.axes = float(scale), (float(aspect[0]), float(aspect[1])), axes
        self.most = math.ceil(math.log(_WANTING * (1.0 - self.high)) / math.log(1.0 - self.scale))

    def cells(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        """[row, patch] number of the first block that covers each patch, `most` where none does."""
        axes = batch.spec.axes[-2:] if self.axes is None else self.axes
        places, extents = zip(*(self._place(batch, axis) for axis in axes), strict=True)
        tall, wide = self._size(extents[0], extents[1], rng.fork("aspect"))
        covered = torch.ones(len(batch), self.most, batch.n_patches, dtype=torch.bool, device=batch.device)
        for name, x, extent, size in zip(("first", "second"), places, extents, (tall, wide), strict=True):
            origin = rng.fork(name).uniform(self.most).unsqueeze(2)
            covered &= (x.unsqueeze(1) + origin * extent.unsqueeze(2)) % extent.unsqueeze(2) < size.unsqueeze(2)
        return torch.where(covered.any(dim=1), covered.int().argmax(dim=1), self.most)

    def priority(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        """Blocks are hidden in the order in which they fell."""
        return self.cells(batch, rng.fork("cells")) / (self.most + 1.0)

    def _place(self, batch: PatchSequence, axis: str) -> tuple[Tensor, Tensor]:
        """[row, patch] place along an axis and [row, 1] extent of the row, both in patches."""
        i = axis_index(batch, axis, "multiblock")
        step = batch.spec.axis_scales[i]
        low, extent = row_extent(batch.coords[..., i], batch.valid, step)
        x = ((batch.coords[..., i] - low) / step).masked_fill(~batch.valid, 0.0)
        return x, extent / step

    def _size(self, first: Tensor, second: Tensor, rng: RowRandom) -> tuple[Tensor, Tensor]:
        """[row, 1] sides of the blocks of each row."""
        low, high = self.aspect
        aspect = low + (high - low) * rng.uniform(1)
        area = self.scale * first * second
        tall = torch.minimum((area * aspect).sqrt(), first)
        wide = torch.minimum(area / tall, second)
        return area / wide, wide
