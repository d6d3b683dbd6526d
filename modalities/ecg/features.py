"""Beat intervals: what the rhythm around a beat says, without any label.

All features are logarithms of seconds or of ratios, so that doubling and halving weigh alike. Absolute intervals are
kept beside the ratios: where ectopic beats are the majority of a record (MIT-BIH 232), everything that is relative to
the record's own median is blind.
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
)

_SHORTEST_S, _LONGEST_S = 0.1, 6.0


def intervals(r_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Interval before and after each R mark [beat] in seconds; the ends repeat their only neighbour."""
    if len(r_s) < 2:
        return np.ones(len(r_s)), np.ones(len(r_s))
    steps = np.diff(r_s)
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
        _log(before),
        _log(after),
        _log(before / after),
        _log(before / local),
        _log(after / local),
        _log(before / record),
        _log(after / record),
        *(_log(shifted(k) / local) for k in (-3, -2, -1, 2, 3)),
        _log(before / shifted(-1)),
        _log(after / shifted(2)),
        np.log(local_spread / local + 0.01),
        np.log(near_spread / near + 0.01),
        np.full(n, _log(record)),
        _log(local / record),
        np.full(n, np.log(np.mean(np.abs(before - local)) / record + 0.01)),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _log(x):
    return np.log(np.clip(x, _SHORTEST_S, _LONGEST_S))


def _running_median(x: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Median and mean absolute deviation over the 2 * reach + 1 values around each entry."""
    reach = min(reach, len(x) - 1)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(x, reach, mode="reflect"), 2 * reach + 1)
    median = np.median(around, axis=1)
    return median, np.mean(np.abs(around - median[:, None]), axis=1)
