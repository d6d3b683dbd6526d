"""Spectral values of EEG: the logarithm of the power in narrow bands.

- Welch's estimate (1967, doi:10.1109/TAU.1967.1161901): the mean over Hann windows of up to two seconds that overlap by
  half. A segment with a gap is left out, so a gap costs its own seconds and nothing else. A stretch without any whole
  segment has no spectrum: NaN, never zero.
- The power of EEG falls about as one over the frequency. It is therefore multiplied by the frequency before the
  logarithm, by rule and not by statistics of the data: what is left is of order one and says how a band differs from
  that fall. Standardising by the recording would erase any class that is a recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from ...core.errors import InputError

SEGMENT_S = 2.0  # longest stretch under one Hann window: a resolution of half a hertz
# power density times frequency of a typical background, in squares of the default unit of 10 microvolt
LEVEL = 0.1
FLOOR = 1e-6  # unit^2 x hertz per hertz; below it is noise of quantisation, and the logarithm would run away

# 1 Hz wide up to 30 Hz, where rhythms are narrow, then 4 Hz: 32 bands
FINE_EDGES_HZ = (*(float(f) for f in range(1, 31)), 34.0, 38.0, 42.0)


def log_bands(
    values: np.ndarray, sfreq_hz: float, edges_hz: Sequence[float] = FINE_EDGES_HZ, segment_s: float = SEGMENT_S
) -> np.ndarray:
    """[..., sample] -> [..., band] float32: natural logarithm of mean power density times frequency in each band.

    edges_hz: ascending; band i lies in [edges[i], edges[i + 1]). A band narrower than the resolution of a short stretch
    takes the nearest frequency; one beyond half the sampling rate is NaN.

    Raises InputError for edges that do not ascend.
    """
    edges = np.asarray(edges_hz, dtype=float)
    if len(edges) < 2 or edges[0] <= 0 or (np.diff(edges) <= 0).any():
        raise InputError("band edges must be positive and ascend", got=list(edges_hz))
    size = min(values.shape[-1], max(2, round(segment_s * sfreq_hz)))
    if size < 2:
        return np.full((*values.shape[:-1], len(edges) - 1), np.nan, np.float32)
    density, frequency = _welch(np.asarray(values, dtype=float), sfreq_hz, size)
    weighted = density * frequency
    bands = np.stack([weighted[..., chosen].mean(axis=-1) for chosen in _bins(frequency, edges)], axis=-1)
    bands[..., edges[:-1] >= sfreq_hz / 2] = np.nan
    return np.log(bands + FLOOR).astype(np.float32)


def band_centres(edges_hz: Sequence[float] = FINE_EDGES_HZ) -> np.ndarray:
    """[band] geometric centre of each band in hertz."""
    edges = np.asarray(edges_hz, dtype=float)
    return np.sqrt(edges[:-1] * edges[1:])


def _welch(x: np.ndarray, sfreq_hz: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Power density [..., frequency] over whole segments that fit, and the frequencies in hertz."""
    hop = max(1, size // 2)
    transform = ShortTimeFFT(hann(size, sym=False), hop, sfreq_hz, scale_to="psd", fft_mode="onesided2X")
    first, last = transform.lower_border_end[1], transform.upper_border_begin(x.shape[-1])[1]
    power = transform.spectrogram(x, p0=first, p1=max(first + 1, last), detr="constant")
    whole = np.isfinite(power)
    count = whole.sum(axis=-1)
    density = np.where(whole, power, 0.0).sum(axis=-1) / np.where(count, count, np.nan)
    return density, transform.f


def _bins(frequency: np.ndarray, edges: np.ndarray) -> list[np.ndarray]:
    """Places of the frequencies of each band, at least one."""
    found = []
    for low, high in pairwise(edges):
        inside = np.flatnonzero((frequency >= low) & (frequency < high))
        found.append(inside if len(inside) else np.abs(frequency - (low + high) / 2).argmin(keepdims=True))
    return found
