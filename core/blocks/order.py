"""The order of shuffled segments, as a term any objective may add.

A view with `shuffle: segments` (see `shuffle`) shows the segments of a window out of order. A point head gives each
visible token a score, the score of a segment is the mean over its tokens, and the loss is the negative logarithm of the
likelihood that the Plackett-Luce model (Plackett 1975, https://doi.org/10.2307/2346567) gives to the true order:

    P(first, second, ...) = exp(s_first) / sum_all exp(s) * exp(s_second) / sum_rest exp(s) * ...

Ranking frames of surgical videos by this likelihood is due to PL-Stitch (CVPR 2026). Here
- segments are ranked, not frames: a movement has phases, and frames inside one are as good as simultaneous;
- the value is divided by that of equal scores, log(n!), so that 1 means no idea and 0 certainty whatever n is;
- only differences between scores count, and an order is no distance: nobody is asked how long a phase lasts.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from ..sequence import SequenceSpec, gather
from .losses import Loss
from .registry import register
from .targets import Request, Target, TargetProvider


@register("target", "order")
class Order(TargetProvider):
    """[row, k, 1] true place of the segment of each patch, from 0, in a view that shuffles."""

    def __init__(self, spec: SequenceSpec, encoder, heads) -> None:
        super().__init__()

    def forward(self, request: Request) -> Target:
        if request.view.order is None or request.index is None:
            raise InputError(
                "target 'order' is that of the patches of a view that shuffles",
                fix="use site: visible, and give the view shuffle: segments",
            )
        place = gather(request.view.order, request.rows, request.index.index)
        return Target(place.unsqueeze(-1).float(), request.index.valid & (place >= 0))


@register("loss", "plackett_luce")
class PlackettLuce(Loss):
    """Listwise loss of [row, k, 1] scores against target `order`; rows of fewer than two segments do not count."""

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        if prediction.shape[-1] != 1:
            raise InputError(
                "an order needs one score a token", got=prediction.shape[-1], fix="end the head with out: 1"
            )
        place = target.values.squeeze(-1).masked_fill(~target.valid, -1.0).long()
        scores, there = segment_means(prediction.float().squeeze(-1), place)
        count = there.sum(dim=1)
        return order_nll(scores, there) / torch.lgamma(count + 1.0).clamp(min=1e-6), (count > 1).float()


def segment_means(scores: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """[row, k] scores of tokens to [row, segment] means in order of place, and which segments have tokens.

    place: [row, k] int, -1 = belongs to none.
    """
    segments = int(place.max()) + 1 if place.numel() else 0
    own = place.masked_fill(place < 0, segments)  # a column that is cut off
    blank = scores.new_zeros(len(scores), segments + 1)
    total = blank.scatter_add(1, own, scores)[:, :segments]
    count = blank.scatter_add(1, own, torch.ones_like(scores))[:, :segments]
    return total / count.clamp(min=1.0), count > 0


def order_nll(scores: Tensor, there: Tensor) -> Tensor:
    """[row] -log P that [row, n] scores give to the order in which they stand, of those that are there."""
    n = scores.shape[1]
    earlier = torch.ones(n, n, dtype=torch.bool, device=scores.device).tril(-1)
    left = scores.unsqueeze(1).masked_fill(earlier | ~there.unsqueeze(1), -1e30)  # what each is chosen from
    return (left.logsumexp(dim=2) - scores).masked_fill(~there, 0.0).sum(dim=1)
