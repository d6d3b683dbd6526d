"""Which leads of a recording cannot be trusted, and why. Bad leads become missing, never zero.

Judged in segments of five seconds; a lead is bad when most of them are, so that a loose electrode for a minute does not
cost a Holter lead. Signs, in this order:

- missing: no sample, or too few
- flat: no signal at all
- unit: so small or large that the unit of the file cannot be right
- clipped: the signal rests on one extreme value, as an amplifier at its limit does (a QRS complex touches its peak for
  a sample or two)
- powerline: mains hum, sharp in frequency, is larger than the heart
- noise: what lies above the band of the heart (40 Hz) is larger than what lies in the band of the QRS complex, or no
  complex stands out at all

Thresholds are set to keep: on public hospital recordings they flag less than one lead in a hundred (docs/results.md).
A wrongly kept lead costs some noise, a wrongly dropped one a whole view of the heart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.signal import butter, iirnotch, periodogram, sosfiltfilt, tf2sos

from ...core.signals import fill_gaps
from .filters import FLAT_MV

_UNUSABLE = ("flat", "clipped", "powerline", "noise", "missing")
_SEGMENT_S = 5.0
_MOST_BAD = 0.5  # share of bad segments from which on a lead is bad
_PRESENT = 0.9  # share of samples a segment needs
_PLAUSIBLE_MV = (0.02, 50.0)  # robust range of a lead that stands in the unit it claims; real ones span 0.1 to 10 mV
_PLATEAU = 0.02  # share of samples at one extreme value
_QRS_HZ, _HEART_HZ = (5.0, 25.0), (0.5, 40.0)
_MAINS_HZ, _MAINS_WIDTH_HZ = (50.0, 60.0), 0.6
_LOUDER = 1.0  # power of hum, relative to the heart's, from which it is too much
_COMPLEX_S = 0.1  # a narrow QRS complex
_LEAST_CREST = 1.5  # complexes over the median of the QRS band; flutter waves in a limb lead may leave 1.6
_MOST_ABOVE = 0.5  # median above the heart's band over complexes


def lead_quality(signals: np.ndarray, sensors: tuple[str, ...], sfreq_hz: float) -> dict[str, str]:
    """{lead: reason} for the bad leads of [lead, sample] in millivolt."""
    x = np.asarray(signals, np.float64)
    filled, _ = fill_gaps(x)
    bands = np.stack([filled, *_split(filled, sfreq_hz)], axis=1)
    count = max(1, int(x.shape[1] / sfreq_hz / _SEGMENT_S))
    # all leads at once: setting up a spectrum costs more than taking it
    spectra = [
        periodogram(part, sfreq_hz, window="hann", detrend="linear") for part in np.array_split(filled, count, axis=1)
    ]
    found = {}
    for i, name in enumerate(sensors):
        if reason := _reason(x[i], bands[i], [(hz, power[i]) for hz, power in spectra], sfreq_hz):
            found[name] = reason
    return found


def without_bad_leads(signals: np.ndarray, sensors: tuple[str, ...], sfreq_hz: float) -> np.ndarray:
    """[lead, sample] with leads that hold no usable signal as NaN; the input itself where all are good.

    A lead in a wrong unit or with gaps stays: tokens are scaled to beat heights, and gaps are missing anyway.
    """
    reasons = lead_quality(signals, sensors, sfreq_hz)
    rows = [i for i, name in enumerate(sensors) if reasons.get(name, "").split(",")[0] in _UNUSABLE]
    if not rows:
        return signals
    kept = np.array(signals, dtype=np.float32)
    kept[rows] = np.nan
    return kept


def _reason(x: np.ndarray, bands: np.ndarray, spectra: Sequence[tuple[np.ndarray, np.ndarray]], sfreq_hz: float) -> str:
    """What is wrong with a lead [sample].

    bands: [3, sample] without gaps, its QRS band, what lies above. spectra: frequencies and power of each segment.
    """
    finite = np.isfinite(x)
    if not finite.any():
        return "no finite sample"
    if finite.mean() < _PRESENT:
        return f"{100 * (1 - finite.mean()):.0f} % of the samples are missing"
    size_mv = float(np.ptp(np.percentile(x[finite], [0.5, 99.5])))
    if FLAT_MV <= size_mv < _PLAUSIBLE_MV[0]:
        return f"smaller than {_PLAUSIBLE_MV[0]:g} mV, wrong unit?"
    if size_mv > _PLAUSIBLE_MV[1]:
        return f"larger than {_PLAUSIBLE_MV[1]:g} mV, wrong unit?"
    count = len(spectra)
    parts = zip(np.array_split(x, count), np.array_split(bands, count, axis=1), spectra, strict=True)
    signs = [sign for part, split, spectrum in parts if (sign := _sign(part, split, spectrum, sfreq_hz))]
    if len(signs) <= _MOST_BAD * count:
        return ""
    worst = max(set(signs), key=lambda sign: (signs.count(sign), sign))
    return worst if len(signs) == count else f"{worst}, in {100 * len(signs) / count:.0f} % of the time"


def _sign(x: np.ndarray, bands: np.ndarray, spectrum: tuple[np.ndarray, np.ndarray], sfreq_hz: float) -> str:
    """What is wrong with one segment, "" = nothing."""
    finite = np.isfinite(x)
    if finite.mean() < _PRESENT:
        return "missing"
    filled, qrs, above = bands
    if np.ptp(np.percentile(filled, [0.5, 99.5])) < FLAT_MV:
        return "flat"
    if _plateau(x[finite]):
        return "clipped"
    hz, power = spectrum
    heart = _band(hz, power, *_HEART_HZ)
    if max((_hum(hz, power, mains) for mains in _MAINS_HZ if mains < sfreq_hz / 2), default=0.0) > _LOUDER * heart:
        return "powerline"
    return "noise" if _noisy(qrs, above, sfreq_hz) else ""


def _plateau(x: np.ndarray) -> bool:
    """Whether many samples share one extreme value; an isolated extreme may well be a peak."""
    return max(np.mean(x == x.max()), np.mean(x == x.min())) > _PLATEAU


def _band(hz: np.ndarray, power: np.ndarray, low: float, high: float) -> float:
    return float(power[(hz >= low) & (hz < high)].sum())


def _hum(hz: np.ndarray, power: np.ndarray, mains_hz: float) -> float:
    """Power of a sharp line at the mains frequency, over what lies beside it."""
    line = _band(hz, power, mains_hz - _MAINS_WIDTH_HZ, mains_hz + _MAINS_WIDTH_HZ)
    beside = _band(hz, power, mains_hz - 3 * _MAINS_WIDTH_HZ, mains_hz + 3 * _MAINS_WIDTH_HZ) - line
    return max(0.0, line - beside / 2)


def _noisy(qrs: np.ndarray, above: np.ndarray, sfreq_hz: float) -> bool:
    """Whether no complex stands out in the band of the QRS complex, or what lies above it is as large as they are.

    Medians and percentiles, since the spikes of a pacemaker are loud but short.
    """
    width = max(1, min(len(qrs), round(_COMPLEX_S * sfreq_hz)))
    envelope = np.convolve(np.abs(qrs), np.ones(width) / width, mode="valid")
    peak = np.percentile(envelope, 98)
    return bool(peak < _LEAST_CREST * np.median(envelope) or np.median(np.abs(above)) > _MOST_ABOVE * peak)


def _split(x: np.ndarray, sfreq_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """The band of the QRS complex, and what lies above the band of the heart without mains hum: [lead, sample] each."""
    padding = min(x.shape[-1] - 1, int(sfreq_hz))
    edges = np.minimum(_QRS_HZ, (0.2 * sfreq_hz, 0.45 * sfreq_hz))
    band = np.asarray(butter(2, edges, btype="band", fs=sfreq_hz, output="sos"))
    qrs = sosfiltfilt(band, x, axis=-1, padlen=padding)
    if _HEART_HZ[1] >= 0.45 * sfreq_hz:
        return qrs, np.zeros_like(x)
    high = np.asarray(butter(2, _HEART_HZ[1], btype="high", fs=sfreq_hz, output="sos"))
    notches = [tf2sos(*iirnotch(mains, 10.0, sfreq_hz)) for mains in _MAINS_HZ if mains < 0.45 * sfreq_hz]
    return qrs, sosfiltfilt(np.concatenate([high, *notches]), x, axis=-1, padlen=padding)
