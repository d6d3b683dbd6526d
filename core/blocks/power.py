"""Decibels and sums of power where values are logarithms of power.

A value is (natural logarithm of power - any mean) / spread. The mean does not matter to a ratio of powers; the spread
does, and is handed in.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

NEPERS_PER_DB = math.log(10.0) / 10.0  # of power


def add_power(x: Tensor, other: Tensor, spread: float) -> Tensor:
    """Values of two sounds heard at once. NaN where the first is: what was not recorded is not heard now either."""
    return torch.where(torch.isfinite(other), torch.logaddexp(spread * x, spread * other) / spread, x)


def mean_power(x: Tensor, known: Tensor, spread: float) -> Tensor:
    """[row, ...] -> [row], the value of the mean power of the known numbers; -inf in a row without any."""
    loud = (spread * x).masked_fill(~known, -torch.inf).flatten(1)
    total, count = torch.logsumexp(loud, dim=1), known.flatten(1).sum(dim=1)
    return torch.where(count > 0, total - count.clamp(min=1).log(), -torch.inf) / spread
