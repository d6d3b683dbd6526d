"""What every sampled signal needs around a modality's own preprocessing: its gaps filled or left out, another rate.

Resampling is polyphase: MNE's default, in the frequency domain, came out half a sample late.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.signal import resample_poly

from .errors import InputError


def mean_of_present(x: np.ndarray) -> np.ndarray:
    """Mean over the first axis of the numbers that are finite; NaN where none is."""
    there = np.isfinite(x)
    count = there.sum(axis=0)
    return np.where(count, np.where(there, x, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)


def fill_gaps(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear interpolation over non-finite samples of [sensor, sample]; returns it and where the gaps were.

    A sensor without any finite sample becomes zero; who uses the signal must look at the gaps.
    """
    gaps = ~np.isfinite(x)
    if not gaps.any():
        return x, gaps
    x = np.where(gaps, 0.0, x)
    time = np.arange(x.shape[1])
    for row in np.flatnonzero(gaps.any(axis=1) & ~gaps.all(axis=1)):
        gap = gaps[row]
        x[row, gap] = np.interp(time[gap], time[~gap], x[row, ~gap])
    return x, gaps


def resample(x: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """Polyphase resampling of [sensor, sample] with its own anti-aliasing filter; sample 0 stays at time 0."""
    if abs(from_hz - to_hz) < 1e-9:
        return x
    ratio = Fraction(to_hz / from_hz).limit_denominator(1000)
    if ratio.numerator == 0:
        raise InputError("sampling rate too high to resample", got=from_hz, expected=f"at most {1000 * to_hz:g} Hz")
    return resample_poly(x, ratio.numerator, ratio.denominator, axis=-1)
