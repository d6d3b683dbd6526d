"""Label-safe views of log-mel tokens: what another voice, microphone or moment would change, and no more.

- throat: the spectrum moves along the mel axis, about what another length of the vocal tract does (Jaitly & Hinton
  2013, vocal tract length perturbation);
- microphone: a gain, and a tilt over the bands;
- lost bands and lost stretches: missing, as SpecAugment (Park et al. 2019, https://arxiv.org/abs/1904.08779) hides
  them, but declared missing instead of replaced by a mean;
- a little noise.

Time is never turned round or warped: order carries words, pace carries diagnoses.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from ...core.rng import RowRandom
from ...core.sequence import PatchSequence

MOST_THROAT = 1.5  # bands, of 40
GAIN, TILT, NOISE = 0.2, 0.2, 0.1  # spread in units of the values
MOST_BANDS, MOST_TIME = 0.15, 0.2  # share that is lost


def augment_tokens(batch: PatchSequence, rng: RowRandom) -> PatchSequence:
    """A random view of each row."""
    assert batch.values is not None
    bands = batch.spec.patch_shape[0]
    x = rearrange(batch.values, "row n (band frame) -> row n band frame", band=bands)
    x = _other_throat(x, MOST_THROAT * bands / 40 * (2 * rng.fork("throat").uniform(1) - 1))
    slope = torch.linspace(-1, 1, bands, device=x.device).view(1, 1, -1, 1)
    x = x + GAIN * rng.fork("gain").normal(1, 1, 1) + TILT * slope * rng.fork("tilt").normal(1, 1, 1)
    x = x + NOISE * rng.fork("noise").normal(*x.shape[1:])
    x = x.masked_fill(_lost_bands(bands, rng.fork("bands"))[:, None, :, None], torch.nan)
    values = rearrange(x, "row n band frame -> row n (band frame)")
    # where a view would lose all that is known of a token, the token stays as it was
    emptied = batch.valid & ~torch.isfinite(values).any(dim=-1)
    values = torch.where(emptied.unsqueeze(-1), batch.values, values)
    return batch.replace(values=values, valid=_without_a_stretch(batch, rng.fork("time")))


def _other_throat(x: Tensor, shift: Tensor) -> Tensor:
    """[row, n, band, frame] moved by [row, 1] bands, between bands by linear interpolation; the ends stay."""
    bands = x.shape[2]
    place = (torch.arange(bands, device=x.device) + shift).clamp(0, bands - 1)
    low = place.floor().long().clamp(max=max(0, bands - 2))
    part = (place - low).view(len(x), 1, bands, 1)
    high = (low + 1).clamp(max=bands - 1)
    below, above = (torch.gather(x, 2, i.view(len(x), 1, bands, 1).expand_as(x)) for i in (low, high))
    return torch.where(part == 0, below, torch.where(part == 1, above, torch.lerp(below, above, part)))


def _lost_bands(bands: int, rng: RowRandom) -> Tensor:
    """[row, band] bool, one stretch of neighbours."""
    width = MOST_BANDS * bands * rng.uniform(1)
    first = (bands - width) * rng.uniform(1)
    band = torch.arange(bands, device=rng.rows.device)
    return (band >= first) & (band < first + width.floor())


def _without_a_stretch(batch: PatchSequence, rng: RowRandom) -> Tensor:
    """[row, n] validity after one stretch of time is lost; the places are on a circle over the row's valid tokens."""
    count = batch.valid.sum(dim=1, keepdim=True)
    rank = batch.valid.cumsum(dim=1) - 1
    width = (MOST_TIME * rng.uniform(1) * count).floor()
    first = (rng.uniform(1) * count).floor()
    return batch.valid & ((rank - first) % count.clamp(min=1) >= width)
