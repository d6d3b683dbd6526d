"""Label-safe views of log-mel tokens: what another voice, microphone or moment would change, and no more.

- vocal tract: resonances lie higher or lower, as in shorter and taller people (`augment_warps`);
- microphone: a level, and a smooth random equaliser;
- room: a steady background, added in power, and a little noise;
- lost bands and lost stretches: missing, as SpecAugment (Park et al. 2019, https://arxiv.org/abs/1904.08779) hides
  them, but declared missing instead of replaced by a mean;
- pace, only where asked for: it carries diagnoses.

Time is never turned round: order carries words. Everything is drawn by window (`RowRandom`), so a window gets the same
view in any batch, and contrastive views and fine-tuning share the one function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from ...core.blocks.power import NEPERS_PER_DB, add_power, mean_power
from ...core.errors import InputError
from ...core.rng import RowRandom
from ...core.sequence import PatchSequence
from .augment_warps import other_pace, other_tract
from .mel import MelShape

# by which the natural logarithm of power was divided to give the values: exactly with `normalize: fixed`; recordings of
# read digits and of sustained vowels have 3 to 5, so that decibels are right to a quarter
SPREAD = 4.0
_DB = NEPERS_PER_DB / SPREAD
_WAVES = 4  # cosines of the equaliser, the first of them about a tilt
_BACKGROUND_RANGE_DB = 30.0  # from the loudest background to the quietest
_FLICKER_DB = 4.0  # spread of a noise's power from frame to frame and band to band


@dataclass(frozen=True)
class AugmentConfig:
    """How far views of speech go; for people never heard before, `augment_vocal_tract: 1.25` is about a child."""

    augment_vocal_tract: float = 1.15  # largest factor of the resonances (1.15: from 1 / 1.15); 1 = none
    augment_pace: float = 1.0  # largest factor of the pace of speech; 1 = none
    augment_level_db: float = 3.5  # spread of the loudness
    augment_equaliser_db: float = 3.5  # spread of a smooth curve over the bands
    augment_background_db: float | None = None  # least ratio of speech to a steady background; null = none
    augment_noise_db: float = 1.7  # spread of independent noise on all numbers
    augment_lost_bands: float = 0.15  # largest share of the bands that is lost, neighbours
    augment_lost_time: float = 0.2  # largest share of the tokens that is lost, one stretch

    def check_augment(self) -> None:
        """Raises InputError for what cannot be."""
        for name in ("augment_vocal_tract", "augment_pace"):
            value = getattr(self, name)
            if not 1.0 <= value <= 1.5:
                raise InputError("no such factor", source=f"modality.{name}", got=value, expected="1 (none) to 1.5")
        for name in ("augment_level_db", "augment_equaliser_db", "augment_noise_db"):
            if getattr(self, name) < 0:
                raise InputError("must not be negative", source=f"modality.{name}", got=getattr(self, name))
        for name in ("augment_lost_bands", "augment_lost_time"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError("must lie in [0, 1)", source=f"modality.{name}", got=getattr(self, name))


def augment_tokens(batch: PatchSequence, rng: RowRandom, config: AugmentConfig, shape: MelShape) -> PatchSequence:
    """A random view of each row. shape: where the bands lie."""
    assert batch.values is not None
    x = rearrange(batch.values, "row n (band frame) -> row n band frame", band=shape.bands)
    x, valid = x.masked_fill(~batch.valid[..., None, None], torch.nan), batch.valid
    if config.augment_vocal_tract > 1:
        x = other_tract(x, _factor(config.augment_vocal_tract, rng.fork("tract")), shape)
    if config.augment_pace > 1:
        x, valid = other_pace(batch, x, _factor(config.augment_pace, rng.fork("pace")))
    if config.augment_background_db is not None:
        x = with_background(x, config.augment_background_db, rng.fork("background"))
    x = x + _DB * config.augment_level_db * rng.fork("level").normal(1, 1, 1)
    x = x + _DB * config.augment_equaliser_db * smooth_curve(shape.bands, rng.fork("equaliser"))[:, None, :, None]
    x = x + _DB * config.augment_noise_db * rng.fork("noise").normal(*x.shape[1:])
    whole = x
    x = x.masked_fill(
        lost_bands(shape.bands, config.augment_lost_bands, rng.fork("bands"))[:, None, :, None], torch.nan
    )
    # where a view would lose all that is known of a token, the token keeps it
    emptied = ~torch.isfinite(x).flatten(2).any(dim=-1)
    values = rearrange(torch.where(emptied[..., None, None], whole, x), "row n band frame -> row n (band frame)")
    return batch.replace(
        values=torch.where(batch.valid.unsqueeze(-1), values, batch.values),
        valid=without_a_stretch(valid, config.augment_lost_time, rng.fork("time")),
    )


def with_background(x: Tensor, least_db: float, rng: RowRandom) -> Tensor:
    """[row, n, band, frame] with steady, coloured noise; speech is `least_db` louder or up to 30 dB more."""
    ratio = least_db + _BACKGROUND_RANGE_DB * rng.uniform(1, 1, 1)
    level = mean_power(x, torch.isfinite(x), SPREAD).nan_to_num(neginf=0.0).view(-1, 1, 1, 1) - _DB * ratio
    colour = _DB * 6.0 * smooth_curve(x.shape[2], rng)[:, None, :, None]
    return add_power(x, level + colour + _DB * _FLICKER_DB * rng.normal(*x.shape[1:]), SPREAD)


def smooth_curve(bands: int, rng: RowRandom) -> Tensor:
    """[row, band] of mean zero and mean square one: cosines over the bands, slower ones larger."""
    wave = torch.arange(1, _WAVES + 1, device=rng.rows.device)
    place = (torch.arange(bands, device=rng.rows.device) + 0.5) / bands
    basis = math.sqrt(2.0) * torch.cos(math.pi * wave.unsqueeze(1) * place) / wave.unsqueeze(1)
    return rng.normal(_WAVES) @ basis / float(wave.float().pow(-2).sum().sqrt())


def lost_bands(bands: int, most: float, rng: RowRandom) -> Tensor:
    """[row, band] bool, one stretch of neighbours, at most that share of them."""
    width = most * bands * rng.uniform(1)
    first = (bands - width) * rng.uniform(1)
    band = torch.arange(bands, device=rng.rows.device)
    return (band >= first) & (band < first + width.floor())


def without_a_stretch(valid: Tensor, most: float, rng: RowRandom) -> Tensor:
    """[row, n] validity after one stretch of time is lost; the places are on a circle over the row's valid tokens."""
    count = valid.sum(dim=1, keepdim=True)
    rank = valid.cumsum(dim=1) - 1
    width = (most * rng.uniform(1) * count).floor()
    first = (rng.uniform(1) * count).floor()
    return valid & ((rank - first) % count.clamp(min=1) >= width)


def _factor(most: float, rng: RowRandom) -> Tensor:
    """[row, 1] between 1 / most and most, even in the logarithm."""
    return torch.exp(math.log(most) * (2 * rng.uniform(1) - 1))
