"""Preprocessing of one recording: fill gaps, filter, resample, scale. All zero-phase, so marks stay where they are."""

from __future__ import annotations

import numpy as np
from scipy.signal import butter, iirnotch, sosfiltfilt, tf2sos

from ...core.signals import fill_gaps, resample

FLAT_MV = 1e-3  # a lead whose robust range stays below one microvolt carries no signal


def band_pass(x: np.ndarray, sfreq_hz: float, low_hz: float, high_hz: float, powerline_hz: float | None) -> np.ndarray:
    """Second-order Butterworth band-pass and an optional powerline notch, forwards and backwards, on [lead, sample].

    The upper edge is lowered to 45 % of the sampling rate where the recording is slower than the band.
    """
    edges = [low_hz, min(high_hz, 0.45 * sfreq_hz)]
    sos = np.asarray(butter(2, edges, btype="band", fs=sfreq_hz, output="sos"))
    if powerline_hz and powerline_hz < 0.45 * sfreq_hz:
        sos = np.concatenate([sos, tf2sos(*iirnotch(powerline_hz, 30.0, sfreq_hz))])
    padding = min(x.shape[1] - 1, int(3 * sfreq_hz / low_hz))
    return sosfiltfilt(sos, x, axis=-1, padlen=max(0, padding))


def segment_range(x: np.ndarray, sfreq_hz: float, segment_s: float = 2.0) -> np.ndarray:
    """[lead] typical beat height of [lead, sample]: the median over segments of their range.

    Two seconds hold a beat at any resting rate, so the range of a segment is about the height of a QRS complex; the
    median over segments ignores spikes, artefacts and pauses.
    """
    length = max(1, min(x.shape[1], round(segment_s * sfreq_hz)))
    count = max(1, x.shape[1] // length)
    segments = x[:, : count * length].reshape(len(x), count, -1)
    return np.median(segments.max(axis=-1) - segments.min(axis=-1), axis=-1)


def preprocess(
    signals: np.ndarray,
    sfreq_hz: float,
    to_hz: float,
    low_hz: float,
    high_hz: float,
    powerline_hz: float | None = None,
    clip: float = 4.0,
) -> np.ndarray:
    """[lead, sample] in millivolt -> [lead, sample'] float32 in typical beat heights, NaN where nothing was recorded.

    Flat leads become NaN as a whole. Values are clipped at +-`clip` beat heights.
    """
    filled, gaps = fill_gaps(np.asarray(signals, dtype=np.float64))
    # a constant or absurd offset would otherwise ring through the filter and lose float precision
    filled = filled - np.median(filled, axis=-1, keepdims=True)
    x = resample(band_pass(filled, sfreq_hz, low_hz, high_hz, powerline_hz), sfreq_hz, to_hz)
    height = segment_range(x, to_hz)
    alive = np.isfinite(height) & (height > FLAT_MV)
    x = np.clip(x / np.where(alive, height, 1.0)[:, None], -clip, clip)
    if gaps.any():
        at = np.minimum((np.arange(x.shape[1]) * sfreq_hz / to_hz).astype(int), gaps.shape[1] - 1)
        x = np.where(gaps[:, at], np.nan, x)
    x[~alive] = np.nan
    return x.astype(np.float32)
