"""Preprocessing of one recording: fill gaps, filter, resample, scale. All zero-phase, so marks stay where they are."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy.signal import butter, iirnotch, resample_poly, sosfiltfilt, tf2sos

from ...core.errors import InputError

FLAT_MV = 1e-3  # a lead whose robust range stays below one microvolt carries no signal
_PLAUSIBLE_MV = (0.02, 50.0)  # robust range of a lead that stands in the unit it claims; real ones span 0.1 to 10 mV


def fill_gaps(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear interpolation over non-finite samples of [lead, sample]; returns it and where the gaps were."""
    gaps = ~np.isfinite(x)
    if not gaps.any():
        return x, gaps
    x = np.where(gaps, 0.0, x)
    time = np.arange(x.shape[1])
    for lead, gap in zip(x, gaps, strict=True):
        if gap.any() and not gap.all():
            lead[gap] = np.interp(time[gap], time[~gap], lead[~gap])
    return x, gaps


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


def resample(x: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """Polyphase resampling of [lead, sample] with its own anti-aliasing filter."""
    if abs(from_hz - to_hz) < 1e-9:
        return x
    ratio = Fraction(to_hz / from_hz).limit_denominator(1000)
    if ratio.numerator == 0:
        raise InputError("sampling rate too high to resample", got=from_hz, expected=f"at most {1000 * to_hz:g} Hz")
    return resample_poly(x, ratio.numerator, ratio.denominator, axis=-1)


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


def lead_problems(signals: np.ndarray, sensors: tuple[str, ...]) -> dict[str, str]:
    """{lead: reason} for leads of [lead, sample] (millivolt) that should not be trusted."""
    found = ((name, _problem(x)) for name, x in zip(sensors, signals, strict=True))
    return {name: problem for name, problem in found if problem}


def _problem(x: np.ndarray) -> str:
    finite = x[np.isfinite(x)]
    if not len(finite):
        return "no finite sample"
    size_mv = float(np.ptp(np.percentile(finite, [0.5, 99.5])))
    if size_mv < FLAT_MV:
        return "flat"
    if len(finite) < 0.9 * len(x):
        return f"{100 * (1 - len(finite) / len(x)):.0f} % of the samples are missing"
    if max(np.mean(finite == finite.max()), np.mean(finite == finite.min())) > 0.02:
        return "clipped"
    if size_mv < _PLAUSIBLE_MV[0]:
        return f"smaller than {_PLAUSIBLE_MV[0]:g} mV, wrong unit?"
    if size_mv > _PLAUSIBLE_MV[1]:
        return f"larger than {_PLAUSIBLE_MV[1]:g} mV, wrong unit?"
    return ""
