"""Discs in coordinate space, for sensors that stand irregularly: electrodes on a scalp, stations on a map.

Boxes on a torus (`masks.box`) suit a grid. Where places are irregular, a box may hold none or many of them and cuts
across what belongs together, so here the cells are discs: every place of a row draws a number, and each place joins the
lowest number within `radius` of it. A cell is thus a part of a disc around one of the row's own places, and all places
are in exactly one. With `span` the discs are cut in time as well; without, they last the whole window, as the blocks of
V-JEPA do (Bardes et al. 2024, https://arxiv.org/abs/2404.08471). Its short-range and long-range masks are two views
with a small and a large radius.

Cells of irregular places differ in size, and a sampler that hides cells in random order would hide small ones more
often than large ones. The random order is therefore closed to a circle and entered at a random patch: each patch is
then hidden with exactly the wanted probability, whatever the cells are. The price is a second cell hidden in part.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..rng import RowRandom
from ..sequence import PatchSequence
from .masks import MaskSampler, axis_index, dense, place_codes, torus_cell
from .registry import register

# cells of time for each disc, so that both fit one code
_MOST_SPANS = 4096


@register("mask", "disc")
class DiscMask(MaskSampler):
    """Discs along the named axes, with or without spans of the first axis.

    axes: coordinate axes in which distance is measured, in one unit. radius: in that unit. span: length along the first
    axis, None = all of it.
    """

    def __init__(
        self,
        *,
        axes: list[str],
        radius: float,
        span: float | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if not axes:
            raise ValueError("a disc mask needs at least one axis")
        if radius <= 0 or (span is not None and span <= 0):
            raise ValueError(f"radius and span must be positive, got {radius} and {span}")
        self.axes, self.radius, self.span = list(axes), float(radius), span

    def cells(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        place = place_codes(batch, self.axes, "disc")
        disc = torch.gather(self._discs(batch, place, rng.fork("discs")), 1, place)
        if self.span is None:
            return dense(disc, batch.valid)
        spec = batch.spec
        time = torus_cell(batch.coords[..., 0], batch.valid, self.span, spec.axis_scales[0], rng.fork("spans"))
        return dense(disc * _MOST_SPANS + time, batch.valid)

    def _discs(self, batch: PatchSequence, place: Tensor, rng: RowRandom) -> Tensor:
        """[row, place] number of the disc that each place joins: that of the place in its middle."""
        count = int(place.masked_fill(~batch.valid, -1).max()) + 1 if batch.valid.any() else 1
        axes = [axis_index(batch, axis, "disc") for axis in self.axes]
        own = place.masked_fill(~batch.valid, count)  # invalid patches write to a column that is cut off
        where = batch.coords.new_zeros(len(batch), count + 1, len(axes))
        where = where.scatter(1, own.unsqueeze(-1).expand(-1, -1, len(axes)), batch.coords[..., axes])[:, :count]
        there = torch.zeros_like(where[..., 0], dtype=torch.bool)
        there = torch.nn.functional.pad(there, (0, 1)).scatter(1, own, True)[:, :count]
        far = (where.unsqueeze(2) - where.unsqueeze(1)).square().sum(-1) > self.radius**2
        draw = rng.uniform(count).unsqueeze(1).masked_fill(far | ~there.unsqueeze(1), 2.0)
        return torch.nn.functional.pad(draw.argmin(dim=2), (0, batch.n_patches - count))

    def _order(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        order, length = super()._order(batch, rng), batch.lengths.unsqueeze(1)
        start = (rng.fork("start").uniform(1) * length).long()
        k = torch.arange(batch.n_patches, device=order.device).expand_as(order)
        return torch.gather(order, 1, torch.where(k < length, (k + start) % length.clamp(min=1), k))
