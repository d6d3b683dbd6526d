"""Decibels and sums of power on normalised log-mel values.

A value is (natural logarithm of power - mean) / spread of its recording. Neither is known any more when views are
made, and the mean does not matter to a ratio. The spread does: it is taken to be 4, which is what `normalize: fixed`
divides by; recordings of read digits and of sustained vowels have 3 to 5. So a decibel here is right to a quarter.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SPREAD = 4.0  # of the natural logarithm of power
_VALUES_PER_DB = math.log(10) / 10 / SPREAD


def from_db(db: float | Tensor) -> float | Tensor:
    """A ratio of powers in decibels as a difference of values."""
    return db * _VALUES_PER_DB


def add_power(x: Tensor, other: Tensor) -> Tensor:
    """Values of two sounds heard at once. NaN where the first is: what was not recorded is not heard now."""
    return torch.where(torch.isfinite(other), torch.logaddexp(SPREAD * x, SPREAD * other) / SPREAD, x)


def mean_power(x: Tensor, known: Tensor) -> Tensor:
    """[row, ...] -> [row], the value of the mean power of the known numbers; -inf in a row without any."""
    loud = (SPREAD * x).masked_fill(~known, -torch.inf).flatten(1)
    return (torch.logsumexp(loud, dim=1) - known.flatten(1).sum(dim=1).log()).nan_to_num(nan=-torch.inf) / SPREAD
