"""Hand-made features of a whole record, in millivolt and seconds: the baseline of tasks about records.

What a reader measures first: rate and how regular it is, then in each lead the heights of P, Q-R-S and T, the level
of ST, how wide and how steep the QRS complex is, and the electrical axis. All heights are those of the median beat, so
a few ectopic beats do not move them. The signals are wanted unscaled: low voltage and hypertrophy are about millivolts.
"""

from __future__ import annotations

import numpy as np

from ...core.signals import fill_gaps
from .beats import cut_beats
from .filters import band_pass
from .leads import STANDARD_LEADS

_RHYTHM = (
    "rr_median_s", "rr_spread", "rr_step", "rr_step_mean", "rr_outliers", "rr_shortest", "rr_longest", "beats_per_s",
)  # fmt: skip
_LEAD = (
    "range", "slope", "r", "s", "qrs_net", "qrs_slope", "qrs_width_s", "p", "p_over_rest", "st", "t_high", "t_low",
)  # fmt: skip
_AXIS = ("axis_x", "axis_y", "qrs_width_s")
RECORD_FEATURES = (*_RHYTHM, *(f"{lead}_{name}" for lead in STANDARD_LEADS for name in _LEAD), *_AXIS)

_BAND_HZ = (0.5, 40.0)
_MOST_BEATS = 400  # a median over more gains nothing
# seconds around the R mark
_QRS, _P, _REST, _ST, _T = (-0.07, 0.09), (-0.24, -0.08), (-0.40, -0.26), (0.09, 0.13), (0.13, 0.42)
_LEVEL = (-0.09, -0.06)  # the PR segment, what heights are measured from
_BEFORE_S = 0.40  # as in `cut_beats`


def record_features(x: np.ndarray, sensors: tuple[str, ...], sfreq_hz: float, r_s: np.ndarray) -> np.ndarray:
    """[lead, sample] in millivolt and R marks in seconds -> [len(RECORD_FEATURES)] float32.

    NaN = could not be measured: a lead that was not recorded, or beats where fewer than three are marked.
    """
    filled, gaps = fill_gaps(np.asarray(x, dtype=np.float64))
    clean = band_pass(filled - np.median(filled, axis=-1, keepdims=True), sfreq_hz, *_BAND_HZ, None)
    clean[gaps.all(axis=1)] = np.nan
    rows = {name: clean[i] for i, name in enumerate(sensors)}
    beats = _median_beats(clean, r_s, sfreq_hz)
    leads = [
        _lead(rows.get(lead), None if beats is None or lead not in rows else beats[sensors.index(lead)], sfreq_hz)
        for lead in STANDARD_LEADS
    ]
    axis = [_net(leads, "I"), _net(leads, "aVF"), _finite_median([lead[_LEAD.index("qrs_width_s")] for lead in leads])]
    return np.concatenate([_rhythm(r_s, x.shape[1] / sfreq_hz), *leads, axis]).astype(np.float32)


def _rhythm(r_s: np.ndarray, duration_s: float) -> np.ndarray:
    if len(r_s) < 3:
        return np.full(len(_RHYTHM), np.nan)
    rr = np.diff(r_s)
    median = np.median(rr)
    steps = np.abs(np.diff(rr)) / median
    return np.array(
        [
            np.log(median), rr.std() / median, np.median(steps), steps.mean(), np.mean(np.abs(rr / median - 1) > 0.2),
            np.log(rr.min() / median), np.log(rr.max() / median), len(r_s) / duration_s,
        ]
    )  # fmt: skip


def _median_beats(clean: np.ndarray, r_s: np.ndarray, sfreq_hz: float) -> np.ndarray | None:
    """[lead, sample] beat of each lead around the R mark, measured from its PR segment."""
    if len(r_s) < 3:
        return None
    chosen = r_s[np.linspace(0, len(r_s) - 1, min(len(r_s), _MOST_BEATS)).astype(int)]
    beat = np.median(cut_beats(clean, chosen, sfreq_hz), axis=0)
    return beat - np.median(_part(beat, _LEVEL, sfreq_hz), axis=-1, keepdims=True)


def _lead(x: np.ndarray | None, beat: np.ndarray | None, sfreq_hz: float) -> np.ndarray:
    """Features of one lead, in the order of `_LEAD`."""
    found = np.full(len(_LEAD), np.nan)
    if x is None or not np.isfinite(x).any():
        return found
    found[:2] = np.ptp(np.percentile(x, [0.5, 99.5])), np.percentile(np.abs(np.gradient(x)), 98) * sfreq_hz
    if beat is None:
        return found
    qrs, p, t = (_part(beat, span, sfreq_hz) for span in (_QRS, _P, _T))
    slope = np.abs(np.gradient(qrs)) * sfreq_hz
    steep = np.flatnonzero(slope > 0.2 * slope.max()) if slope.max() > 0 else np.zeros(1)
    rest = np.ptp(_part(beat, _REST, sfreq_hz))
    found[2:] = (
        qrs.max(), qrs.min(), qrs.sum() / sfreq_hz, slope.max(), (steep[-1] - steep[0] + 1) / sfreq_hz,
        np.ptp(p), np.ptp(p) / (rest + 0.01), np.median(_part(beat, _ST, sfreq_hz)), t.max(), t.min(),
    )  # fmt: skip
    return found


def _part(beat: np.ndarray, span_s: tuple[float, float], sfreq_hz: float) -> np.ndarray:
    start, stop = (round((edge + _BEFORE_S) * sfreq_hz) for edge in span_s)
    return beat[..., start : max(stop, start + 2)]


def _net(leads: list[np.ndarray], name: str) -> float:
    """Net height of the QRS complex of a lead, R + S."""
    lead = leads[STANDARD_LEADS.index(name)]
    return float(lead[_LEAD.index("r")] + lead[_LEAD.index("s")])


def _finite_median(values: list[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.median(finite)) if finite else float("nan")
