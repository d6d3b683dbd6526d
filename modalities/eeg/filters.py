"""Filters of [channel, sample], zero-phase, so an event stays where it is; and gaps carried to another rate."""

from __future__ import annotations

from functools import lru_cache

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
    sos = _sections(sfreq_hz, highpass_hz, lowpass_hz, notch_hz)
    if sos is None:
        return x.copy()
    padding = min(x.shape[1] - 1, round(2 * sfreq_hz / highpass_hz))
    return sosfiltfilt(sos.copy(), x, axis=-1, padlen=max(0, padding))


@lru_cache(maxsize=16)  # channels come one by one, and designing a filter takes as long as a minute of one
def _sections(sfreq_hz: float, highpass_hz: float, lowpass_hz: float, notch_hz: float | None) -> np.ndarray | None:
    """[section, 6] of the filter, None where the recording holds none of it."""
    if lowpass_hz < _HIGHEST * sfreq_hz:
        sos = np.asarray(butter(_ORDER, [highpass_hz, lowpass_hz], "band", fs=sfreq_hz, output="sos"))
    elif highpass_hz < _HIGHEST * sfreq_hz:
        sos = np.asarray(butter(_ORDER, highpass_hz, "high", fs=sfreq_hz, output="sos"))
    else:
        return None
    if notch_hz:
        for f in np.arange(notch_hz, min(2 * lowpass_hz, _HIGHEST * sfreq_hz), notch_hz):
            sos = np.concatenate([sos, tf2sos(*iirnotch(f, f / NOTCH_WIDTH_HZ, sfreq_hz))])
    return sos


def nearest_samples(gaps: np.ndarray, from_hz: float, to_hz: float, count: int) -> np.ndarray:
    """[channel, sample] bool at another rate: each sample takes the value of the nearest one in time."""
    nearest_one = np.minimum(np.round(np.arange(count) * from_hz / to_hz).astype(int), gaps.shape[1] - 1)
    return gaps[:, nearest_one]
