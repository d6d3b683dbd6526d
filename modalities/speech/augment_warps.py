"""Warps of the frequency and of the time axis of log-mel: another vocal tract, another pace.

- Vocal tract length perturbation (Jaitly & Hinton 2013): frequencies are multiplied by a factor, as a shorter or a
  longer tract does, up to a corner; from there a straight line leads to the end of the band. That end is where a
  recording itself ends, so what was not recorded stays unrecorded.
- Pace: frames are resampled around the middle of what is present. Faster speech is shorter, its tokens fewer; of
  slower speech both ends are lost, as a window cannot grow.

Numbers between bands or frames are interpolated linearly; what touches a missing number is missing.
"""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ...core.sequence import PatchSequence
from .mel import MelShape

CORNER = 0.8  # share of the band over which the factor holds


def other_tract(x: Tensor, factor: Tensor, shape: MelShape) -> Tensor:
    """[row, n, band, frame] as if each row's resonances lay [row, 1] times higher. Padding must be NaN."""
    hertz = torch.from_numpy(shape.edges_hz[1:-1].astype(np.float32)).to(x.device)
    recorded = torch.isfinite(x).any(dim=3).any(dim=1)
    end = torch.where(recorded, hertz, hertz[0]).amax(dim=1, keepdim=True)
    source = warped(hertz.expand(len(x), -1), 1.0 / factor, end)
    low, high = (torch.log1p(f / 700.0) for f in (hertz[0], hertz[-1]))
    place = (torch.log1p(source / 700.0) - low) / (high - low).clamp(min=1e-6) * (len(hertz) - 1)
    # a band that stays must not touch the one above it by rounding, which may be missing
    place = torch.where((place - place.round()).abs() < 1e-3, place.round(), place)
    moved = between(rearrange(x, "row n band frame -> row band n frame"), place)
    return rearrange(moved, "row band n frame -> row n band frame")


def warped(hertz: Tensor, factor: Tensor, end: Tensor) -> Tensor:
    """Times `factor` up to the corner, then straight to `end`, which stays; so does what is beyond."""
    reached = CORNER * end * factor.clamp(max=1.0)
    corner = reached / factor
    upper = end - (end - reached) / (end - corner).clamp(min=1e-6) * (end - hertz)
    return torch.where(hertz >= end, hertz, torch.where(hertz <= corner, factor * hertz, upper))


def other_pace(batch: PatchSequence, x: Tensor, pace: Tensor) -> tuple[Tensor, Tensor]:
    """[row, n, band, frame] as if spoken [row, 1] times faster, and [row, n] which tokens that leaves valid.

    A row that would have nothing left stays as it is. Tokens lie on a grid of time, wherever they stand in the row.
    """
    rows = torch.arange(len(x), device=x.device).unsqueeze(1)
    at = (batch.coords[..., 0].masked_fill(~batch.valid, 0.0) / batch.spec.axis_scales[0] - 0.5).round().long().clamp(0)
    length = int(at.max()) + 1
    grid = x.new_full((len(x), length + 1, *x.shape[2:]), torch.nan)
    grid[rows, torch.where(batch.valid, at, length)] = x  # padding goes to a place behind the last
    frames = rearrange(grid[:, :length], "row n band frame -> row (n frame) band")
    moved = between(frames, _source(torch.isfinite(frames).any(dim=2), pace))
    moved = rearrange(moved, "row (n frame) band -> row n band frame", frame=x.shape[3])[rows, at]
    valid = batch.valid & (torch.isfinite(moved).any(dim=2).float().mean(dim=-1) >= 0.5)
    kept = valid.any(dim=1, keepdim=True)
    made = moved.masked_fill(~valid[..., None, None], torch.nan)
    return torch.where(kept[..., None, None], made, x), torch.where(kept, valid, batch.valid)


def _source(present: Tensor, pace: Tensor) -> Tensor:
    """[row, frame] places that the frames of the other pace are taken from, NaN beyond the present [row, frame]."""
    frame = torch.arange(present.shape[1], device=present.device)
    last = torch.where(present, frame + 1, 0).amax(dim=1, keepdim=True)
    first = torch.where(present, frame, present.shape[1]).amin(dim=1, keepdim=True).minimum(last)
    lost = ((last - first) * (1.0 - pace)).clamp(min=0.0) / 2  # at each end of what no longer fits
    place = first + lost + (frame + 0.5 - first) * pace - 0.5
    inside = (place >= first - 0.5) & (place <= last - 0.5)
    return place.maximum(first).minimum(last - 1).masked_fill(~inside, torch.nan)


def between(x: Tensor, place: Tensor) -> Tensor:
    """[row, k, ...]: numbers of x [row, size, ...] at fractional places [row, k] along the second axis, the nearest end
    beyond it, NaN at a place that is NaN."""
    last = x.shape[1] - 1
    known = torch.isfinite(place)
    place = torch.where(known, place, 0.0).clamp(0, last)
    low, high = place.floor().long(), place.ceil().long()  # the same at a whole place: a missing neighbour has no say
    rows = torch.arange(len(x), device=x.device).unsqueeze(1)
    below, above, part, known = (_like(t, x) for t in (x[rows, low], x[rows, high], place - low, known))
    return torch.lerp(below, above, part).masked_fill_(~known, torch.nan)


def _like(t: Tensor, x: Tensor) -> Tensor:
    """With as many axes as x."""
    return t[(...,) + (None,) * (x.dim() - t.dim())]
