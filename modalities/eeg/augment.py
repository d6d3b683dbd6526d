"""Label-safe views of EEG tokens: what another amplifier, cap or moment would change, and no more.

- gain: of the whole head (amplifier, skull) and of each electrode (impedance). In a log spectrum a gain is a sum; the
  logarithm of a covariance has no such simple form, so it gets noise alone.
- lost electrodes: a random share of them is missing (invalid, or NaN inside a tubelet), as in a smaller montage. At
  least one token of a row stays.
- time: a window begins at another of its stretches and goes round its end. No stretch is cut, so there is no seam.
- a little noise.

Left and right are never exchanged and polarity never turned: both carry classes (motor imagery, focal slowing).
What happens to an electrode is drawn by window and place, so all its tokens share it, waves and spectra alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ...core.rng import RowRandom
from ...core.sequence import PatchSequence

HEAD_GAIN, ELECTRODE_GAIN = 0.2, 0.1  # log-normal spread
WAVE_NOISE, BAND_NOISE = 0.05, 0.1  # in units of the values; of a natural logarithm


def augment_tokens(batch: PatchSequence, rng: RowRandom, lose: float, spectral: Mapping[str, int]) -> PatchSequence:
    """A random view of each row.

    lose: largest share of a row's electrodes that is lost. spectral: {kind: how many of an electrode's first numbers
    are logarithms of its own power}.
    """
    assert batch.values is not None
    values, alive = batch.values, batch.valid
    for number, kind in enumerate(batch.spec.kinds):
        here = batch.valid & (batch.kind == number)
        shape = batch.spec.shape_of(number)
        size = math.prod(shape)
        x = batch.values[..., :size].reshape(*batch.valid.shape, -1, *shape[-2:])
        x = _louder(x, kind, spectral.get(kind, 0), batch, rng).masked_fill(
            _lost(batch, rng, shape[-2], lose)[:, :, None, :, None], torch.nan
        )
        x = x.flatten(2)
        values = torch.cat([torch.where(here.unsqueeze(-1), x, values[..., :size]), values[..., size:]], dim=-1)
        alive = alive & (torch.isfinite(x).any(dim=-1) | ~here)
    # a row that would lose everything loses nothing
    empty = ~alive.any(dim=1)
    values = torch.where(empty[:, None, None], batch.values, values)
    valid = torch.where(empty[:, None], batch.valid, alive)
    coords = batch.coords if len(batch.spec.kinds) > 1 else _begun_elsewhere(batch, rng.fork("time"))
    return batch.replace(values=values, valid=valid, coords=coords)


def _louder(x: Tensor, kind: str, powers: int, batch: PatchSequence, rng: RowRandom) -> Tensor:
    """[row, patch, frame, slot, value] with gains and noise."""
    slots = x.shape[3]
    gain = ELECTRODE_GAIN * _by_place(batch, rng, "gain").normal(slots).view(*batch.valid.shape, 1, slots, 1)
    gain = gain + HEAD_GAIN * rng.fork("head").normal(1, 1, 1, 1)
    noise = rng.fork(f"noise/{kind}").normal(*x.shape[1:])
    if kind == "wave":
        return x * gain.exp() + WAVE_NOISE * noise
    return x + BAND_NOISE * noise + 2 * gain * (torch.arange(x.shape[-1], device=x.device) < powers)


def _lost(batch: PatchSequence, rng: RowRandom, slots: int, lose: float) -> Tensor:
    """[row, patch, slot] bool, which electrodes a row loses."""
    share = lose * rng.fork("share").uniform(1, 1)
    return _by_place(batch, rng, "lost").uniform(slots).view(*batch.valid.shape, slots) < share


def _by_place(batch: PatchSequence, rng: RowRandom, name: str) -> RowRandom:
    """Randomness of each (window, place): a row of it for each patch, the same for patches of one place."""
    place = batch.group.masked_fill(~batch.valid, 0)
    return rng.fork(name, (rng.rows.unsqueeze(1) * 0x9E3779B1 + place).flatten())


def _begun_elsewhere(batch: PatchSequence, rng: RowRandom) -> Tensor:
    """Coordinates with each row's time turned round by a random number of whole stretches."""
    step, time = batch.spec.axis_scales[0], batch.coords[..., 0]
    first = time.masked_fill(~batch.valid, torch.inf).amin(dim=1, keepdim=True).nan_to_num(posinf=0.0)
    stretch = torch.where(batch.valid, ((time - first) / step).round(), 0.0)
    count = stretch.amax(dim=1, keepdim=True) + 1
    turned = first + (stretch + (rng.uniform(1) * count).floor()) % count * step
    moved = torch.where(batch.valid, turned, time)
    return torch.cat([moved.unsqueeze(-1), batch.coords[..., 1:]], dim=-1)
