"""Filters of [channel, sample], zero-phase, so an event stays where it is; and gaps carried to another rate."""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, iirnotch, sosfiltfilt, tf2sos

NOTCH_WIDTH_HZ = 2.0
_ORDER = 4
_HIGHEST = 0.49  # share of the sampling rate below which a filter's edge must lie


def band_pass(
    x: np.ndarray, sfreq_hz: float, highpass_hz: float, lowpass_hz: float, notch_hz: float | None = None
) -> np.ndarray:
    """Butterworth band-pass, and notches at the mains and its multiples, forwards and backwards, on [channel, sample].

    An edge that a slow recording cannot hold is left out.
    """
    if lowpass_hz < _HIGHEST * sfreq_hz:
        sos = np.asarray(butter(_ORDER, [highpass_hz, lowpass_hz], "band", fs=sfreq_hz, output="sos"))
    elif highpass_hz < _HIGHEST * sfreq_hz:
        sos = np.asarray(butter(_ORDER, highpass_hz, "high", fs=sfreq_hz, output="sos"))
    else:
        return x.copy()
    if notch_hz:
        for f in np.arange(notch_hz, min(2 * lowpass_hz, _HIGHEST * sfreq_hz), notch_hz):
            sos = np.concatenate([sos, tf2sos(*iirnotch(f, f / NOTCH_WIDTH_HZ, sfreq_hz))])
    padding = min(x.shape[1] - 1, round(2 * sfreq_hz / highpass_hz))
    return sosfiltfilt(sos, x, axis=-1, padlen=max(0, padding))


def nearest_samples(gaps: np.ndarray, from_hz: float, to_hz: float, count: int) -> np.ndarray:
    """[channel, sample] bool at another rate: each sample takes the value of the nearest one in time."""
    nearest_one = np.minimum(np.round(np.arange(count) * from_hz / to_hz).astype(int), gaps.shape[1] - 1)
    return gaps[:, nearest_one]
