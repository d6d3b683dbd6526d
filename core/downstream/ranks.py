"""Metrics of numbers in many resamples at once: mean absolute error and rank correlation of repeated items.

A resample only changes how often each item counts. The error is a weighted mean; Spearman's coefficient is the
correlation of ranks, and the rank of an item among repeated ones follows from how many lie below it. Both are exact,
ties included.
"""

from __future__ import annotations

import numpy as np

# numbers of a chunk of resamples: bounds the ranks in memory to about 100 MB
_CHUNK = 4_000_000


def resampled_numbers(target: np.ndarray, prediction: np.ndarray, times: np.ndarray) -> dict[str, np.ndarray]:
    """{"mae", "spearman": [resample]} of [item] numbers; times: [resample, item] how often each item counts.

    As `metrics.regression_metrics` of the repeated items: a constant side has a correlation of 0.
    """
    rows = max(1, _CHUNK // max(1, len(target)))
    parts = [_metrics(target, prediction, times[i : i + rows].astype(np.float64)) for i in range(0, len(times), rows)]
    if not parts:
        return {"mae": np.empty(0), "spearman": np.empty(0)}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _metrics(target: np.ndarray, prediction: np.ndarray, times: np.ndarray) -> dict[str, np.ndarray]:
    total = times.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = times @ np.abs(target.astype(np.float64) - prediction) / total
        one, two = (_centred_ranks(x, times, total) for x in (target, prediction))
        size = np.sqrt((times * one**2).sum(axis=1) * (times * two**2).sum(axis=1))
        spearman = np.where(size > 0, (times * one * two).sum(axis=1) / size, 0.0)
    return {"mae": error, "spearman": np.where(total > 0, spearman, np.nan)}


def _centred_ranks(values: np.ndarray, times: np.ndarray, total: np.ndarray) -> np.ndarray:
    """[resample, item] mean rank of each item among the repeated ones, minus the mean of all ranks."""
    distinct, place = np.unique(values, return_inverse=True)
    counts = np.zeros((len(times), len(distinct)))
    np.add.at(counts.T, place.reshape(-1), times.T)
    rank = np.cumsum(counts, axis=1) - 0.5 * counts + 0.5
    return rank[:, place.reshape(-1)] - 0.5 * (total[:, None] + 1.0)
