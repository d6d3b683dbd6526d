"""What the rhythm of a minute says: statistics of beat intervals over windows of several lengths, without any label.

Logarithms and shares, so that all are of order one and the rate weighs alike at 40 and at 180 beats a minute. Spread
and successive differences are the time-domain measures of heart rate variability (Task Force 1996,
doi:10.1161/01.CIR.93.5.1043), relative to the median interval.
"""

from __future__ import annotations

import numpy as np

from .features import intervals, log_interval

RHYTHM_STATISTICS = (
    "median_interval",
    "mean_over_median",
    "spread",
    "successive_difference",
    "shortest_over_median",
    "longest_over_median",
    "early_share",
    "late_share",
    "turning_share",
    "covered_s",
)
_FEWEST = 2  # intervals
_SHARE_OFF = 0.15  # an interval that is off the median by more is early or late


def rhythm_statistics(r_s: np.ndarray, centre_s: float, spans_s: tuple[float, ...]) -> np.ndarray:
    """R marks in seconds -> [span, statistic] float32 of the intervals inside each span around `centre_s`.

    NaN where a span holds fewer than two intervals. A span that reaches beyond the recording has what is there.
    """
    out = np.full((len(spans_s), len(RHYTHM_STATISTICS)), np.nan, np.float32)
    for row, span_s in zip(out, spans_s, strict=True):
        inside = r_s[(r_s >= centre_s - span_s / 2) & (r_s <= centre_s + span_s / 2)]
        if len(inside) > _FEWEST:
            row[:] = _statistics(intervals(inside)[1][:-1])
    return out


def _statistics(rr: np.ndarray) -> list[float]:
    median = float(np.median(rr))
    ratio = rr / median
    steps = np.diff(ratio)
    turns = np.mean(steps[1:] * steps[:-1] < 0) if len(steps) > 1 else 0.0
    return [
        float(log_interval(median)),
        float(log_interval(rr.mean()) - log_interval(median)),
        float(np.log(ratio.std() + 0.01)),
        float(np.log(np.sqrt(np.mean(steps**2)) + 0.01)),
        float(log_interval(rr.min()) - log_interval(median)),
        float(log_interval(rr.max()) - log_interval(median)),
        float(np.mean(ratio < 1 - _SHARE_OFF)),
        float(np.mean(ratio > 1 + _SHARE_OFF)),
        float(turns),
        float(np.log(rr.sum() / 60.0)),
    ]
