"""Views whose segments of time stand in another order, for terms that ask for the true one (see `order`).

A window is cut into segments of equally many steps, and the segments change places. What moves is the *time* of a
patch, not its content: to an encoder that reads coordinates the two are the same thing, and nothing has to be invented
where a place was lost in one segment and not in another.

What would give the order away is taken out: steps that are left over behind the last whole segment, edges between
segments, and events.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..rng import RowRandom
from ..sequence import PatchSequence
from .registry import register


@register("shuffle", "segments")
class SegmentShuffle:
    """count: about how many; steps (`spec.axis_scales` of the first axis) are shared out evenly, one at least."""

    def __init__(self, *, count: int = 6) -> None:
        if count < 2:
            raise ValueError(f"an order needs at least 2 segments, got {count}")
        self.count = count

    def __call__(self, batch: PatchSequence, rng: RowRandom) -> tuple[PatchSequence, Tensor]:
        """The shuffled batch and [row, patch] int, the true place of each patch's segment among those of the row.

        Patches that are left over have place -1 and are not valid.
        """
        step = batch.spec.axis_scales[0]
        time = batch.coords[..., 0].masked_fill(~batch.valid, torch.inf)
        since = (time - time.amin(dim=1, keepdim=True)) / step
        at = since.masked_fill(~batch.valid, 0.0).round().long()
        steps = at.amax(dim=1, keepdim=True) + 1
        width = (steps / self.count + 0.5).floor().long().clamp(min=1)
        count = (steps // width).clamp(max=self.count)
        true = at // width
        kept = batch.valid & (true < count)
        true = true.clamp(max=self.count - 1)
        # a random order of the segments that there are, by the ranks of random numbers
        number = torch.arange(self.count, device=batch.device)
        draw = rng.uniform(self.count).masked_fill(number >= count, 2.0)
        shown = draw.argsort(dim=1, stable=True).argsort(dim=1).gather(1, true)
        coords = batch.coords.clone()
        coords[..., 0] += ((shown - true) * width * step).masked_fill(~kept, 0.0)
        true = true.masked_fill(~kept, -1)
        edges = None if batch.edges is None else _inside(batch.edges, true)
        return batch.replace(coords=coords, valid=kept, edges=edges, events=None), true


def _inside(edges: Tensor, segment: Tensor) -> Tensor:
    """Edges between patches of one segment; segment: [row, patch], -1 = none."""
    ends = segment.flatten()[edges]
    return edges[:, (ends[0] == ends[1]) & (ends[0] >= 0)]
