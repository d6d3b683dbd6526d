"""What views need to find their way among the tokens of a batch, whatever order they stand in: the time step of each, a
number for its place, randomness for each track of tokens through a window, and turns."""

from __future__ import annotations

import torch
from torch import Tensor

from ...core.rng import RowRandom
from ...core.sequence import PatchSequence

# millimetres along an axis stay below half of this, so a number tells all places apart
_SPAN = 1 << 14


def steps(batch: PatchSequence) -> Tensor:
    """[row, patch] number of each token's stretch of time from 0; of padding 0."""
    time = batch.coords[..., 0].masked_fill(~batch.valid, 0.0)
    return (time / batch.spec.axis_scales[0] - 0.5).round().long().clamp(min=0)


def place_code(where: PatchSequence | Tensor) -> Tensor:
    """[...] int64 of places [..., 3] in metres, equal for equal ones (to a millimetre); of a batch for each token."""
    if isinstance(where, PatchSequence):
        where = where.coords[..., 2:].masked_fill(~where.valid.unsqueeze(-1), 0.0)
    x, y, z = (where * 1000).round().long().unbind(-1)
    return x + _SPAN * y + _SPAN**2 * z


def by_track(batch: PatchSequence, rng: RowRandom, track: Tensor) -> RowRandom:
    """Randomness of each (window, track): a row of it for each patch, the same for those of one track [row, patch]."""
    return rng.fork("track", (rng.rows.unsqueeze(1) * 0x9E3779B1 + track.masked_fill(~batch.valid, 0)).flatten())


def turns(angles: Tensor) -> Tensor:
    """[..., 3] angles (radians) about x, y and z -> rotations [..., 3, 3]: about z first, about y last."""
    (cx, cy, cz), (sx, sy, sz) = angles.cos().unbind(-1), angles.sin().unbind(-1)
    rows = [
        cy * cz + sy * sx * sz, sy * sx * cz - cy * sz, sy * cx,
        cx * sz, cx * cz, -sx,
        cy * sx * sz - sy * cz, sy * sz + cy * sx * cz, cy * cx,
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))
