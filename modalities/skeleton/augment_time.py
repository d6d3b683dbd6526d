"""Another pace, and the clip's beginning or end cut off."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from ...core.blocks.tracks import track_codes
from ...core.rng import RowRandom
from ...core.sequence import PatchSequence
from .tokens import TokenShape
from .tracks import steps

_MOVING = ("motion", "bone_motion")


def shorter(batch: PatchSequence, most: float, rng: RowRandom) -> Tensor:
    """[row, patch] bool, whether a token lies in the part of the time that is left: all but a share of up to `most`."""
    step = steps(batch).masked_fill(~batch.valid, 0)
    count = step.amax(dim=1, keepdim=True) + 1
    share = most * rng.uniform(1)
    first = share * rng.uniform(1)
    middle = (step + 0.5) / count
    return (middle >= first) & (middle <= first + 1 - share)


def other_pace(batch: PatchSequence, x: Tensor, pace: Tensor, shape: TokenShape) -> Tensor:
    """[row, patch, slot, stream, 3, frame] as if moved [row, 1] times faster about the middle of the clip.

    Frames between frames are interpolated linearly, what lies beside a lost one is lost, speeds grow by the factor. A
    faster clip leaves its ends empty, of a slower one both ends are lost, as a window cannot grow.
    """
    step, track, size = steps(batch), track_codes(batch), shape.patch_frames
    count = int(step.max()) + 1
    length = torch.where(batch.valid, step + 1, 0).amax(dim=1, keepdim=True) * size
    rows = torch.arange(len(x), device=x.device).unsqueeze(1)
    grid = x.new_full((len(x), int(track.max()) + 2, count, *x.shape[2:]), torch.nan)
    grid[rows, torch.where(batch.valid, track, grid.shape[1] - 1), step] = x  # padding has a track of its own
    frames = rearrange(grid, "row track step slot stream xyz frame -> row (step frame) track slot stream xyz")
    middle = (length - 1) / 2
    place = middle + (torch.arange(count * size, device=x.device) - middle) * pace
    inside = (place >= -1e-4) & (place <= length - 1 + 1e-4)
    place = place.clamp(min=0).minimum((length - 1).clamp(min=0).to(place.dtype))
    low = (place + 1e-4).floor().long()
    high = (place - 1e-4).ceil().long().maximum(low)
    part = (place - low).clamp(0, 1)[..., None, None, None, None]
    moved = torch.lerp(frames[rows, low], frames[rows, high], part)
    moved = moved.masked_fill(~inside[..., None, None, None, None], torch.nan)
    moved = rearrange(
        moved, "row (step frame) track slot stream xyz -> row track step slot stream xyz frame", frame=size
    )
    faster = torch.tensor([name in _MOVING for name in shape.streams], device=x.device)
    factor = torch.where(faster, pace, 1.0)[:, None, None, :, None, None]
    return moved[rows, track, step] * factor
