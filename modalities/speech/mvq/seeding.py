"""Where training begins: a bounded sample of any corpus, and codebooks by k-means on what earlier ones left over."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ....core.errors import InputError

_DRAWS = 8  # times that first centres are drawn, each time by the distance from the earlier ones
_LLOYD = 8  # rounds of k-means: the joint training that follows moves every centre again


class Reservoir:
    """A uniform sample of a stream of frames in bounded memory (Vitter 1985, algorithm R), and the stream's mean."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seen = size, 0
        self._kept: Tensor | None = None
        self._total: Tensor | None = None
        self._draw = torch.Generator().manual_seed(seed)

    def add(self, frames: Tensor) -> None:
        """frames: [frame, dim]. Raises InputError for another dimension or numbers that are not finite."""
        frames = frames.detach().float().cpu()
        if frames.ndim != 2 or (self._total is not None and frames.shape[1] != len(self._total)):
            raise InputError("frames have the wrong shape", got=list(frames.shape), expected="[frame, dim]")
        if not torch.isfinite(frames).all():
            raise InputError("frames to learn codes from must be finite", fix="leave frames with NaN out")
        if self._kept is None:
            self._kept = frames.new_empty(self.size, frames.shape[1])
            self._total = torch.zeros(frames.shape[1], dtype=torch.double)
        assert self._total is not None
        self._total = self._total + frames.sum(dim=0, dtype=torch.double)
        number = self.seen + torch.arange(len(frames))
        drawn = (torch.rand(len(frames), generator=self._draw, dtype=torch.double) * (number + 1)).long()
        place = torch.where(number < self.size, number, drawn)
        for row in (place < self.size).nonzero().flatten().tolist():  # a later frame may take an earlier one's place
            self._kept[place[row]] = frames[row]
        self.seen += len(frames)

    def sample(self) -> tuple[Tensor, Tensor]:
        """The kept frames [frame, dim] and the mean of all [dim]. Raises InputError when there were none."""
        if self._kept is None or self._total is None or not self.seen:
            raise InputError("no frames to learn codes from")
        return self._kept[: min(self.seen, self.size)], (self._total / self.seen).float()


def sample_of(frames: Tensor | Iterable[Tensor], size: int, seed: int) -> tuple[Tensor, Tensor]:
    """(sample, mean) of one tensor or of a stream of blocks."""
    reservoir = Reservoir(size, seed)
    for block in frames.split(1 << 14) if isinstance(frames, Tensor) else frames:
        reservoir.add(block)
    return reservoir.sample()


def residual_codebooks(x: Tensor, books: int, entries: int, draw: torch.Generator) -> Tensor:
    """[frame, dim] -> centres [codebook, entry, dim], each codebook by k-means on the residual of those before it."""
    rest, centres = x.clone(), []
    for _ in range(books):
        own = kmeans(rest, entries, draw)
        rest = rest - own[_nearest(rest, own)]
        centres.append(own)
    return torch.stack(centres)


def kmeans(x: Tensor, count: int, draw: torch.Generator) -> Tensor:
    """[frame, dim] -> [count, dim] by Lloyd's rounds; an empty cluster begins anew at a far frame."""
    centres = _far_frames(x, count, draw)
    for _ in range(_LLOYD):
        own = _nearest(x, centres)
        size = torch.bincount(own, minlength=count)
        total = torch.zeros_like(centres).index_add_(0, own, x)
        centres = torch.where(size.unsqueeze(1) > 0, total / size.clamp(min=1).unsqueeze(1), centres)
        empty = (size == 0).nonzero().flatten()
        if len(empty):
            centres[empty] = x[_drawn((x - centres[own]).square().sum(dim=1), len(empty), draw)]
    return centres


def _far_frames(x: Tensor, count: int, draw: torch.Generator) -> Tensor:
    """Frames drawn by their squared distance from those drawn before (k-means++), some at a time."""
    centres = x[_drawn(torch.ones(len(x)), 1, draw)]
    while len(centres) < count:
        distance = (x - centres[_nearest(x, centres)]).square().sum(dim=1)
        more = min(count - len(centres), max(1, count // _DRAWS))
        centres = torch.cat([centres, x[_drawn(distance, more, draw)]])
    return centres


def _drawn(chance: Tensor, count: int, draw: torch.Generator) -> Tensor:
    """[count] numbers of frames, each with a chance in proportion; any frame where all chances are zero."""
    chance = chance.double() if chance.sum() > 0 else torch.ones(len(chance), dtype=torch.double)
    return torch.multinomial(chance, count, replacement=True, generator=draw)


def _nearest(x: Tensor, centres: Tensor) -> Tensor:
    """[frame] number of the nearest centre."""
    half = 0.5 * centres.square().sum(dim=1)
    return torch.cat([(half - part @ centres.T).argmin(dim=1) for part in x.split(1 << 14)])
