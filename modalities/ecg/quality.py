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

from collections.abc import Iterator

import numpy as np
from scipy.signal import butter, iirnotch, periodogram, sosfiltfilt, tf2sos

from ...core.signals import fill_gaps
from .filters import FLAT_MV
from .leads import derive_limb_leads

_UNUSABLE = ("flat", "clipped", "powerline", "noise", "missing")
_SEGMENT_S = 5.0
_AT_ONCE = 100  # segments judged together
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
    bands = np.stack([filled, *_split(filled, sfreq_hz)])
    count = max(1, int(x.shape[1] / sfreq_hz / _SEGMENT_S))
    parts = zip(_segments(x, count), _segments(bands, count), strict=True)
    signs = np.concatenate([_signs(part, split, sfreq_hz) for part, split in parts], axis=1)
    found = ((name, _reason(x[i], signs[i].tolist())) for i, name in enumerate(sensors))
    return {name: reason for name, reason in found if reason}


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


def usable_leads(signals: np.ndarray, sensors: tuple[str, ...], sfreq_hz: float) -> tuple[np.ndarray, tuple[str, ...]]:
    """[lead, sample] with the limb leads that follow from others, and their names.

    Nothing follows from a bad lead: where it is a limb lead it becomes what the good ones say it is, else it is NaN.
    """
    kept = without_bad_leads(signals, sensors, sfreq_hz)
    bad = np.array([np.isnan(row).all() for row in kept])
    if not bad.any():
        return derive_limb_leads(kept, sensors)
    good = tuple(name for name, lost in zip(sensors, bad, strict=True) if not lost)
    known, names = derive_limb_leads(kept[~bad], good)
    rows = dict(zip((*sensors, *names), (*kept, *known), strict=True))  # what is known of a bad lead takes its place
    return np.stack(list(rows.values())), tuple(rows)


def _reason(x: np.ndarray, signs: list[str]) -> str:
    """What is wrong with a lead [sample], of whose segments `signs` are known."""
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
    bad = [sign for sign in signs if sign]
    if len(bad) <= _MOST_BAD * len(signs):
        return ""
    worst = max(set(bad), key=lambda sign: (bad.count(sign), sign))
    return worst if len(bad) == len(signs) else f"{worst}, in {100 * len(bad) / len(signs):.0f} % of the time"


def _segments(x: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """`count` segments of [..., sample] as `np.array_split` cuts them; those of one length as [..., segment, sample].

    A hundred at a time: judging one alone costs more in calls than in arithmetic, all of a day's take much memory.
    """
    size, longer = divmod(x.shape[-1], count)
    for first, last, length in ((0, longer, size + 1), (longer, count, size)):
        for start in range(first, last, _AT_ONCE):
            stop = min(start + _AT_ONCE, last)
            offset = 0 if length > size else longer
            part = x[..., start * length + offset : stop * length + offset]
            yield part.reshape(*x.shape[:-1], stop - start, length)


def _signs(x: np.ndarray, bands: np.ndarray, sfreq_hz: float) -> np.ndarray:
    """What is wrong with each of [lead, segment, sample], "" = nothing.

    bands: [3, lead, segment, sample] without gaps, its QRS band, what lies above.
    """
    filled, qrs, above = bands
    hz, power = periodogram(filled, sfreq_hz, window="hann", detrend="linear")
    heart = _band(hz, power, *_HEART_HZ)
    hums = [_hum(hz, power, mains) for mains in _MAINS_HZ if mains < sfreq_hz / 2]
    signs = {
        "missing": np.isfinite(x).mean(axis=-1) < _PRESENT,
        "flat": np.ptp(np.percentile(filled, [0.5, 99.5], axis=-1), axis=0) < FLAT_MV,
        "clipped": _plateau(x),
        "powerline": np.max([np.zeros_like(heart), *hums], axis=0) > _LOUDER * heart,
        "noise": _noisy(qrs, above, sfreq_hz),
    }
    return np.select(list(signs.values()), list(signs), default="")


def _plateau(x: np.ndarray) -> np.ndarray:
    """Whether many finite samples share one extreme value; an isolated extreme may well be a peak."""
    finite = np.isfinite(x)
    among = np.maximum(finite.sum(axis=-1), 1)
    top = np.where(finite, x, -np.inf).max(axis=-1, keepdims=True)
    bottom = np.where(finite, x, np.inf).min(axis=-1, keepdims=True)
    return np.maximum((x == top).sum(axis=-1), (x == bottom).sum(axis=-1)) / among > _PLATEAU


def _band(hz: np.ndarray, power: np.ndarray, low: float, high: float) -> np.ndarray:
    return power[..., (hz >= low) & (hz < high)].sum(axis=-1)


def _hum(hz: np.ndarray, power: np.ndarray, mains_hz: float) -> np.ndarray:
    """Power of a sharp line at the mains frequency, over what lies beside it."""
    line = _band(hz, power, mains_hz - _MAINS_WIDTH_HZ, mains_hz + _MAINS_WIDTH_HZ)
    beside = _band(hz, power, mains_hz - 3 * _MAINS_WIDTH_HZ, mains_hz + 3 * _MAINS_WIDTH_HZ) - line
    return line - beside / 2


def _noisy(qrs: np.ndarray, above: np.ndarray, sfreq_hz: float) -> np.ndarray:
    """Whether no complex stands out in the band of the QRS complex, or what lies above it is as large as they are.

    Medians and percentiles, since the spikes of a pacemaker are loud but short.
    """
    width = max(1, min(qrs.shape[-1], round(_COMPLEX_S * sfreq_hz)))
    total = np.cumsum(np.abs(qrs), axis=-1)
    total = np.concatenate([np.zeros_like(total[..., :1]), total], axis=-1)
    envelope = (total[..., width:] - total[..., :-width]) / width
    peak, median = np.percentile(envelope, [98, 50], axis=-1)
    return (peak < _LEAST_CREST * median) | (np.median(np.abs(above), axis=-1) > _MOST_ABOVE * peak)


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
