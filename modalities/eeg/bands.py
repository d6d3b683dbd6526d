"""Bands of EEG in tokens of any content, to see what is lost without one.

- Spectra and covariances hold bands in columns of their own: these are made to say nothing of their own
  (`without_values`: the mean over windows, electrode by electrode).
- Waves hold all bands at once: there the band is filtered out of the whole window, electrode by electrode.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ...core.seeing import without_values
from ...core.sequence import PatchSequence
from .features import BAND_EDGES_HZ
from .spectral import band_centres
from .tokens import TokenShape

# the bands that clinicians name, in hertz; gamma as far as scalp EEG shows any
NAMED_HZ: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"delta": (1.0, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0), "gamma": (30.0, 45.0)}
)


def without_bands(batch: PatchSequence, shape: TokenShape) -> dict[str, PatchSequence]:
    """{"alpha, 8–13 Hz": the batch without that band} for electrodes and tubelets of any content."""
    found = {f"{name}, {low:.0f}–{high:.0f} Hz": (low, high) for name, (low, high) in NAMED_HZ.items()}
    filtered = _without_waves(batch, shape, list(found.values())) if "wave" in shape.kinds else [batch] * len(found)
    return {
        name: without_values(waves, _columns(batch, shape, *band))
        for (name, band), waves in zip(found.items(), filtered, strict=True)
    }


def _columns(batch: PatchSequence, shape: TokenShape, low: float, high: float) -> Tensor:
    """[batch, patch, value] bool, True = a number of a band whose centre lies in [low, high)."""
    spec, hidden = batch.spec, torch.zeros((*batch.valid.shape, batch.spec.patch_size), dtype=torch.bool)
    for kind in shape.kinds:
        if kind == "wave":
            continue
        number = spec.kind_of(kind)
        slots = spec.shape_of(number)[0]
        table = torch.from_numpy(_inside(kind, shape, low, high)).repeat(1, slots)
        group = _band_group(batch, shape) if kind == "spectrum" else torch.zeros_like(batch.kind)
        hidden[..., : table.shape[1]] |= table[group] & (batch.kind == number).unsqueeze(-1)
    return hidden


def _inside(kind: str, shape: TokenShape, low: float, high: float) -> np.ndarray:
    """[group of bands, number of one electrode] bool."""
    narrow, wide = ((low <= centre) & (centre < high) for centre in map(band_centres, (shape.edges_hz, BAND_EDGES_HZ)))
    rows = wide.repeat(len(shape.sites))
    if kind == "spectrum":
        return narrow.reshape(shape.band_groups, -1)
    return rows[None] if kind == "covariance" else np.concatenate([narrow, rows])[None]


def _band_group(batch: PatchSequence, shape: TokenShape) -> Tensor:
    """[batch, patch] which of the groups of bands a spectral token holds."""
    if shape.band_groups == 1:
        return torch.zeros_like(batch.kind)
    octave = np.log2(band_centres(shape.edges_hz)).reshape(shape.band_groups, -1).mean(axis=1)
    return (batch.coords[..., 4:5] - torch.from_numpy(octave)).abs().nan_to_num().argmin(dim=-1)


def _without_waves(batch: PatchSequence, shape: TokenShape, bands: list[tuple[float, float]]) -> list[PatchSequence]:
    """The batch with each band filtered out of its waves."""
    assert batch.values is not None
    number = batch.spec.kind_of("wave")
    slots, size = batch.spec.shape_of(number)
    values = [batch.values.clone() for _ in bands]
    own = batch.valid & (batch.kind == number)
    at = (batch.coords[..., 0] * shape.sfreq_hz / size - 0.5).nan_to_num().round().long()
    for row in range(len(batch)):
        for unit in batch.group[row][own[row]].unique():
            tokens = (own[row] & (batch.group[row] == unit)).nonzero().squeeze(1)
            signal = batch.values.new_full((int(at[row, tokens].max()) + 1, slots * size), torch.nan)
            signal[at[row, tokens]] = batch.values[row, tokens, : slots * size]
            whole = rearrange(signal, "n (slot sample) -> slot (n sample)", slot=slots)
            for changed, (low, high) in zip(values, bands, strict=True):
                left = rearrange(_stopped(whole, shape.sfreq_hz, low, high), "slot (n sample) -> n (slot sample)",
                                 sample=size)  # fmt: skip
                changed[row, tokens, : slots * size] = left[at[row, tokens]]
    return [batch.replace(values=changed) for changed in values]


def _stopped(signal: Tensor, sfreq_hz: float, low: float, high: float) -> Tensor:
    """[slot, sample] without what lies in [low, high) hertz; gaps stay gaps."""
    content = torch.fft.rfft(signal.nan_to_num(nan=0.0))
    frequency = torch.fft.rfftfreq(signal.shape[1], 1 / sfreq_hz)
    content = content.masked_fill((frequency >= low) & (frequency < high), 0.0)
    return torch.fft.irfft(content, n=signal.shape[1]).masked_fill(signal.isnan(), torch.nan)
