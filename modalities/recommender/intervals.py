"""Intervals of ranking metrics by resampling users (percentile bootstrap), paired where two scorers meet.

Users are what was sampled, and each has one value a metric; a difference is taken user by user before resampling, so
that what makes a user hard for both cancels out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError

LEVEL = 0.95
_AT_ONCE = 2**22  # numbers drawn together


@dataclass(frozen=True)
class UserInterval:
    """Mean over users and its percentile interval; NaN bounds for fewer than two users."""

    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """True when the interval leaves zero out."""
        return self.low > 0 or self.high < 0


def mean_interval(values: np.ndarray, resamples: int = 1000, seed: int = 0) -> UserInterval:
    """Of [user] values; NaN = the metric does not apply to the user."""
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return UserInterval(float(values.mean()) if len(values) else float("nan"), float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    rows = max(1, _AT_ONCE // len(values))
    means = [
        values[rng.integers(0, len(values), (min(rows, resamples - at), len(values)), dtype=np.int32)].mean(axis=1)
        for at in range(0, resamples, rows)
    ]
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(np.concatenate(means), [tail, 100 - tail])
    return UserInterval(float(values.mean()), float(low), float(high))


def difference_interval(one: np.ndarray, other: np.ndarray, resamples: int = 1000, seed: int = 0) -> UserInterval:
    """Of `one - other`, [user] values of the same users in the same order."""
    if one.shape != other.shape:
        raise InputError("two scorers were asked about different users", got=one.shape, expected=other.shape)
    return mean_interval(one - other, resamples, seed)
