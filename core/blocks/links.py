"""Edge reconstruction: are two predicted patches neighbours? A term that any masked objective may add.

The inner-product decoder of graph autoencoders (Kipf and Welling 2016, https://arxiv.org/abs/1611.07308): a term's head
gives a vector for each wanted patch, and the scaled product of two of them is the log-odds of an edge. Without the
diagonal a graph of bones is nearly empty, so as many pairs without an edge are drawn as there are with one
(`negatives` times), and the others count nowhere. The draw belongs to the window like all of the core's, which is why
torch-geometric's own negative sampling, fed from the global generator, is not used.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..sequence import SequenceSpec, gather
from .edges import graph_of, induced
from .losses import Loss
from .registry import register
from .targets import Request, Target, TargetProvider
from .views import IndexSet


@register("target", "links")
class Links(TargetProvider):
    """[row, k, k] among the wanted patches: 1 = an edge in either direction, 0 = a drawn pair without one, NaN = else.

    negatives: pairs without an edge for each one with an edge. reach: as in the graph encoder.
    """

    def __init__(self, spec: SequenceSpec, encoder, heads, *, negatives: float = 1.0, reach: str = "all") -> None:
        super().__init__()
        if negatives <= 0:
            raise ValueError(f"negatives must be positive, got {negatives}")
        self.negatives, self.reach = negatives, reach

    def forward(self, request: Request) -> Target:
        assert request.index is not None, "links are asked of patches"
        assert request.rng is not None
        graph = graph_of(request.view.batch, request.rows, self.reach)
        index = request.index.index
        valid = request.index.valid & gather(graph.valid, None, index)
        rows, k = index.shape
        edges = induced(graph.edges, IndexSet(index, valid), graph.valid.shape[1])
        linked = torch.zeros(rows, k, k, dtype=torch.bool, device=index.device)
        row = torch.div(edges[0], max(k, 1), rounding_mode="floor")
        linked[row, edges[0] % max(k, 1), edges[1] % max(k, 1)] = True
        linked |= linked.transpose(1, 2).clone()
        # one entry a pair: numbered column by column, so that padding of the patch axis changes no draw
        late, early = torch.tril_indices(k, k, -1, device=index.device)
        edge = linked[:, late, early]
        free = valid[:, late] & valid[:, early] & ~edge
        rng = request.rng.fork("negatives", None if request.rows is None else request.view.batch.window[request.rows])
        drawn = _draw(rng.uniform(len(late)), free, (self.negatives * edge.sum(dim=1)).ceil())
        values = torch.full((rows, k, k), torch.nan, device=index.device)
        pair = torch.where(edge, 1.0, torch.where(drawn, 0.0, torch.nan))
        values[:, late, early], values[:, early, late] = pair, pair
        return Target(values, valid)


def _draw(lot: Tensor, free: Tensor, count: Tensor) -> Tensor:
    """[row, pair] bool: the `count` free pairs of each row with the lowest lots."""
    rank = lot.masked_fill(~free, 2.0).argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    return free & (rank < count.unsqueeze(1))


@register("loss", "links")
class LinkLoss(Loss):
    """Binary cross-entropy of the scaled products of an item with the others, over the pairs that count."""

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        x = prediction.float().masked_fill(~target.valid.unsqueeze(-1), 0.0)
        score = x @ x.transpose(1, 2) * x.shape[-1] ** -0.5
        known = torch.isfinite(target.values)
        goal = torch.where(known, target.values, 0.0)
        error = F.binary_cross_entropy_with_logits(score, goal, reduction="none") * known
        count = known.sum(dim=-1)
        return error.sum(dim=-1) / count.clamp(min=1), count.to(error.dtype)
