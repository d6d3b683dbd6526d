"""Stretches and channels of EEG that are no brain: too large, or no signal at all.

- Judged per channel and stretch (a second by default), so a blink costs a second of the frontal electrodes alone.
- What is rejected becomes NaN: missing, never zero. A zero would be a value that no electrode shows.
- Thresholds are wide: a wrongly rejected stretch is lost, a wrongly kept one is noise that training averages out.
"""

from __future__ import annotations

import numpy as np

_PLAUSIBLE_UV = (0.5, 1000.0)  # robust range of a channel that stands in the unit it claims; real ones span 10 to 300
_FLAT_UV = 0.05
_AT_LIMIT = 0.01  # share of samples at the largest or smallest value, beside one like it; a signal passes through
_PRESENT = 0.9  # share of samples a channel needs
_JUDGED_S = 2.0  # offsets and drift are no artefact: ranges are taken within stretches this long


def bad_stretches(
    values: np.ndarray, sfreq_hz: float, reject_uv: float, flat_uv: float, stretch_s: float = 1.0
) -> np.ndarray:
    """[channel, sample] microvolt, filtered -> [channel, sample] bool, True where the stretch around it is bad.

    reject_uv: largest range (peak to peak) of a stretch, 0 = any. flat_uv: a smaller range is no signal, 0 = any.
    The rest that fills no stretch belongs to the last one.
    """
    ranges, of_sample = _ranges(values, sfreq_hz, stretch_s)
    bad = np.zeros(ranges.shape, dtype=bool)
    if reject_uv > 0:
        bad |= ranges > reject_uv
    if flat_uv > 0:
        bad |= ranges < flat_uv
    return bad[:, of_sample]


def reject(values: np.ndarray, sfreq_hz: float, reject_uv: float, flat_uv: float, stretch_s: float = 1.0) -> np.ndarray:
    """A copy with bad stretches as NaN; see `bad_stretches`."""
    return np.where(bad_stretches(values, sfreq_hz, reject_uv, flat_uv, stretch_s), np.nan, values)


def channel_quality(values: np.ndarray, sensors: tuple[str, ...], sfreq_hz: float) -> dict[str, str]:
    """{channel: reason} for the channels of [channel, sample] microvolt that should not be trusted."""
    found = {}
    for name, x in zip(sensors, values, strict=True):
        (spans,), _ = _ranges(np.asarray(x[None], dtype=float), sfreq_hz, _JUDGED_S)
        share = np.isfinite(x).mean() if len(x) else 0.0
        finite = spans[np.isfinite(spans)]
        typical = float(np.median(finite)) if len(finite) else 0.0
        if share == 0:
            found[name] = "no finite sample"
        elif share < _PRESENT:
            found[name] = f"{100 * (1 - share):.0f} % of the samples are missing"
        elif typical < _FLAT_UV:
            found[name] = f"flat, or in another unit: typical range of {typical:.2g} uV" if typical else "flat"
        elif not _PLAUSIBLE_UV[0] <= typical <= _PLAUSIBLE_UV[1]:
            found[name] = f"typical range of {typical:.3g} uV, wrong unit or a loose electrode?"
        elif (stuck := _at_limit(x)) > _AT_LIMIT:
            found[name] = f"clipped? {100 * stuck:.0f} % of the samples stand at its limits"
    return found


def _at_limit(x: np.ndarray) -> float:
    """Share of the samples [sample] that are, like the one before, the largest or the smallest of all."""
    ends = (x == np.nanmax(x)) | (x == np.nanmin(x))
    return float((ends[1:] & (x[1:] == x[:-1])).mean())


def _ranges(values: np.ndarray, sfreq_hz: float, stretch_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Peak to peak of each stretch [channel, stretch], NaN where all is missing; [sample] the stretch each is in."""
    samples = values.shape[1]
    length = max(1, min(samples, round(stretch_s * sfreq_hz)))
    count = max(1, samples // length)
    of_sample = np.minimum(np.arange(samples) // length, count - 1)
    if not samples:
        return np.full((len(values), 1), np.nan), of_sample
    starts = np.arange(count) * length
    high = np.maximum.reduceat(np.where(np.isfinite(values), values, -np.inf), starts, axis=1)
    low = np.minimum.reduceat(np.where(np.isfinite(values), values, np.inf), starts, axis=1)
    return np.where(high >= low, high - low, np.nan), of_sample
