"""What a place does over a whole window, in a few numbers: the pretext of hand-made features.

How far, how fast and how evenly something moves is what experts measure first, and what trees on hand-made features
live on. An encoder that must tell it of every place from a part of what happened there has to look along time, and what
it then knows is what a class often depends on. Statistics of the signal need no teacher and cannot collapse.

A statistic that is nearly the same in every window at a place (how high a foot stands) would drown those that differ,
so each is told in its own mean and standard deviation over the windows at that place that are trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..sequence import PatchSequence, SequenceSpec, gather
from .encoder import Encoded
from .heads import Query, QueryHead
from .registry import register
from .targets import Request, Target, TargetProvider
from .tracks import at_neighbour, neighbours, track_codes

STATISTICS = ("lowest", "highest", "mean", "spread", "mean step", "largest step")
_LARGEST = 5.0  # standard deviations that a target reaches: one jump of a tracker must not be all there is to learn
_LEAST = 1e-4  # standard deviation below which a statistic is a constant of its place


def summary_size(spec: SequenceSpec) -> int:
    """Statistics of one place: of each sensor of a patch."""
    return math.prod(spec.patch_shape[:-1]) * len(STATISTICS)


@register("head", "summary")
class SummaryHead(QueryHead):
    """Mean and standard deviation of what is seen at the place of a query, through one linear map.

    Linear, because a linear probe of just these two is what the encoder shall serve. Where nothing is seen at a place
    there is nothing to tell, and the answer is the same for all windows.
    """

    def __init__(self, spec: SequenceSpec, in_width: int) -> None:
        super().__init__()
        self.out = summary_size(spec)
        self.norm, self.tell = nn.LayerNorm(2 * in_width), nn.Linear(2 * in_width, self.out)

    def forward(self, encoded: Encoded, query: Query) -> Tensor:
        wanted = query.coords[..., 1:].masked_fill(~query.valid.unsqueeze(-1), torch.nan)
        same = (wanted.unsqueeze(2) == encoded.coords[..., 1:].unsqueeze(1).to(wanted.dtype)).all(dim=-1)
        share = (same & encoded.valid.unsqueeze(1)).float()
        share = share / share.sum(dim=-1, keepdim=True).clamp(min=1.0)
        with torch.autocast(encoded.tokens.device.type, enabled=False):  # a difference of squares
            tokens = encoded.tokens.float().masked_fill(~encoded.valid.unsqueeze(-1), 0.0)
            mean = share @ tokens
            variance = share @ tokens.square() - mean.square()
        return self.tell(self.norm(torch.cat([mean, variance.clamp(min=1e-6).sqrt()], dim=-1)))


@register("target", "summary")
class Summary(TargetProvider):
    """Statistics over time of every sensor of the place a patch belongs to, standardised place by place.

    A sensor that a window never shows at a place is missing there. Raises InputError for ids and for kinds of
    different shapes, which have no common time.
    """

    def __init__(self, spec: SequenceSpec, encoder, heads) -> None:
        super().__init__()
        if spec.vocabulary or spec.kind_shapes:
            raise InputError("statistics are of patches of values of one shape", source="target 'summary'")
        self.spec = spec
        # functions of the windows, which every process and every resume makes anew
        self._scales: tuple[Tensor, Tensor, Tensor] | None = None

    @torch.no_grad()
    def prepare(self, batches: Callable[[], Iterable[PatchSequence]]) -> None:
        places: dict[tuple[float, ...], int] = {}
        sums = torch.zeros(0, summary_size(self.spec), 3, dtype=torch.float64)  # of each place: sum, squares, count
        for batch in batches():
            statistics, where, there = track_statistics(batch)
            owner = _numbers(where[there], places)
            x = statistics[there].double()
            known = x.isfinite()
            x = x.masked_fill(~known, 0.0)
            found = torch.stack([x, x.square(), known.double()], dim=-1)
            grown = found.new_zeros(len(places), *found.shape[1:]).index_add_(0, owner, found)
            grown[: len(sums)] += sums.to(grown.device)
            sums = grown
        if not places:
            raise InputError("no window has a valid patch to take statistics of", source="target 'summary'")
        total, square, count = sums.unbind(dim=-1)
        mean = total / count.clamp(min=1.0)
        std = (square / count.clamp(min=1.0) - mean.square()).clamp(min=0.0).sqrt()
        self._scales = torch.tensor(list(places), device=mean.device), mean.float(), std.float().clamp(min=_LEAST)

    @torch.no_grad()
    def forward(self, request: Request) -> Target:
        """[row, k, sensor x statistic] of the places of the wanted patches."""
        if self._scales is None:
            raise RuntimeError("`prepare` has not seen the windows")
        assert request.index is not None, "statistics are of tokens: give the term the site visible, target or all"
        batch, index = request.view.batch, request.index
        statistics, where, _ = track_statistics(batch)
        places, mean, std = (t.to(where.device) for t in self._scales)
        # a place that was not among those trained on is told in the scales of the nearest one
        nearest = torch.cdist(where.float(), places.float()).argmin(dim=-1)
        told = ((statistics - mean[nearest]) / std[nearest]).clamp(-_LARGEST, _LARGEST)
        track = track_codes(batch).unsqueeze(-1).expand(-1, -1, told.shape[-1])
        valid = index.valid & gather(batch.valid, request.rows, index.index)
        return Target(gather(told.gather(1, track), request.rows, index.index), valid)


def track_statistics(batch: PatchSequence) -> tuple[Tensor, Tensor, Tensor]:
    """Statistics of the tracks of each row, numbered as `track_codes` does.

    Returns [row, track, sensor x statistic] float32 (NaN = never seen), [row, track, axis] the place (further axes,
    then the kind), and [row, track] bool, which tracks there are.
    """
    assert batch.values is not None
    track, valid = track_codes(batch), batch.valid
    x = batch.values.float().view(*valid.shape, -1, batch.spec.patch_shape[-1])
    x = x.masked_fill(~valid[..., None, None], torch.nan)
    known = x.isfinite()
    step = torch.cat([x, at_neighbour(x[..., :1], neighbours(batch)[1])], dim=-1).diff(dim=-1).abs_()
    moved = step.isfinite()
    mean = _mean(x, known, track)
    # not by deviations: they would take the mean back to every number
    spread = (_mean(x.square(), known, track) - mean.square()).clamp(min=0.0).sqrt()
    found = [
        -_highest(-x, known, track), _highest(x, known, track), mean, spread,
        _mean(step, moved, track), _highest(step, moved, track),
    ]  # fmt: skip
    there = torch.zeros_like(valid).scatter_reduce(1, track, valid, "amax")
    where = torch.cat([batch.coords[..., 1:].float(), batch.kind.unsqueeze(-1).float()], dim=-1)
    where = where.masked_fill(~valid.unsqueeze(-1), -torch.inf)
    place = torch.full_like(where, -torch.inf).scatter_reduce(1, track.unsqueeze(-1).expand_as(where), where, "amax")
    return torch.stack(found, dim=-1).flatten(2), place.masked_fill(~there.unsqueeze(-1), 0.0), there


def _mean(x: Tensor, known: Tensor, track: Tensor) -> Tensor:
    """[row, patch, sensor, time] -> [row, track, sensor] over what is known; NaN where nothing is."""
    total, count = (_added(part.sum(dim=-1), track) for part in (x.masked_fill(~known, 0.0), known.float()))
    return total / count  # 0 / 0 is missing


def _highest(x: Tensor, known: Tensor, track: Tensor) -> Tensor:
    highest = x.masked_fill(~known, -torch.inf).amax(dim=-1)
    found = torch.full_like(highest, -torch.inf)
    found = found.scatter_reduce(1, track.unsqueeze(-1).expand_as(highest), highest, "amax")
    return found.masked_fill(found.isinf(), torch.nan)


def _added(x: Tensor, track: Tensor) -> Tensor:
    return torch.zeros_like(x).scatter_add(1, track.unsqueeze(-1).expand_as(x), x)


def _numbers(where: Tensor, places: dict[tuple[float, ...], int]) -> Tensor:
    """Number of each place [n, axis] among all that were met; new ones are added to `places`."""
    unique, inverse = where.unique(dim=0, return_inverse=True)
    numbers = [places.setdefault(tuple(place), len(places)) for place in unique.tolist()]
    return torch.tensor(numbers, device=where.device)[inverse]
