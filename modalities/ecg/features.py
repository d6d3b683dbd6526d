"""Beat intervals: what the rhythm around a beat says, without any label.

All features are logarithms of seconds or of ratios, so that doubling and halving weigh alike. Ratios are taken to
medians, which ignore a few ectopic beats, and to means, which pauses lengthen (de Chazal et al. 2004 use means): where
ectopic beats are the majority of a record, everything relative to a median is blind to them. Absolute intervals are
kept for the same reason.
"""

from __future__ import annotations

import numpy as np

RHYTHM_FEATURES = (
    "rr_before",
    "rr_after",
    "rr_before_over_after",
    "rr_before_over_local",
    "rr_after_over_local",
    "rr_before_over_record",
    "rr_after_over_record",
    "rr_3_before_over_local",
    "rr_2_before_over_local",
    "rr_1_before_over_local",
    "rr_2_after_over_local",
    "rr_3_after_over_local",
    "rr_before_over_previous",
    "rr_after_over_next",
    "local_variability",
    "near_variability",
    "record_median",
    "local_over_record",
    "record_variability",
    "rr_before_over_near_mean",
    "rr_after_over_near_mean",
    "rr_before_over_local_mean",
    "rr_after_over_local_mean",
    "rr_before_over_record_mean",
    "rr_after_over_record_mean",
)

_SHORTEST_S, _LONGEST_S = 0.1, 6.0
_SAME_S = 1e-3  # marks at one place count as that far apart, so that ratios exist


def intervals(r_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Interval before and after each R mark [beat] in seconds; the ends repeat their only neighbour."""
    if len(r_s) < 2:
        return np.ones(len(r_s)), np.ones(len(r_s))
    steps = np.maximum(np.diff(r_s), _SAME_S)
    return np.concatenate([steps[:1], steps]), np.concatenate([steps, steps[-1:]])


def rhythm_features(r_s: np.ndarray) -> np.ndarray:
    """[beat] times of R marks in seconds -> [beat, len(RHYTHM_FEATURES)] float32."""
    n = len(r_s)
    if n == 0:
        return np.zeros((0, len(RHYTHM_FEATURES)), np.float32)
    before, after = intervals(r_s)
    record = np.median(before)
    local, local_spread = _running_median(before, 8)
    near, near_spread = _running_median(before, 3)

    def shifted(k: int) -> np.ndarray:
        return before[np.clip(np.arange(n) + k, 0, n - 1)]

    columns = [
        log_interval(before),
        log_interval(after),
        log_interval(before / after),
        log_interval(before / local),
        log_interval(after / local),
        log_interval(before / record),
        log_interval(after / record),
        *(log_interval(shifted(k) / local) for k in (-3, -2, -1, 2, 3)),
        log_interval(before / shifted(-1)),
        log_interval(after / shifted(2)),
        np.log(local_spread / local + 0.01),
        np.log(near_spread / near + 0.01),
        np.full(n, log_interval(record)),
        log_interval(local / record),
        np.full(n, np.log(np.mean(np.abs(before - local)) / record + 0.01)),
        *(
            log_interval(interval / mean)
            for mean in (_around(before, 5).mean(axis=1), _around(before, 20).mean(axis=1), before.mean())
            for interval in (before, after)
        ),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def log_interval(x):
    """Logarithm of seconds or of a ratio, kept within what hearts do."""
    return np.log(np.clip(x, _SHORTEST_S, _LONGEST_S))


def _around(x: np.ndarray, reach: int) -> np.ndarray:
    """[entry, 2 * reach + 1] the values around each entry, mirrored at the ends."""
    reach = min(reach, len(x) - 1)
    return np.lib.stride_tricks.sliding_window_view(np.pad(x, reach, mode="reflect"), 2 * reach + 1)


def _running_median(x: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Median and mean absolute deviation over the 2 * reach + 1 values around each entry."""
    around = _around(x, reach)
    median = np.median(around, axis=1)
    return median, np.mean(np.abs(around - median[:, None]), axis=1)
