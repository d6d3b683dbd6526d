"""Labels that are numbers: scores of quality, scales of symptoms.

A label is text in a file, a manifest and a window; a task whose scale is "interval" reads it as a number. One whose
scale is "ordinal" has named classes in order and counts them from zero. Both are float arrays of one axis, NaN =
unlabelled.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from ..modality import Task, one_class

BINS = ("lowest quarter", "second quarter", "third quarter", "highest quarter")


def is_number(label: Any) -> bool:
    """Whether labels (an array or a tensor) are numbers, not classes."""
    return label.ndim == 1 and "float" in str(label.dtype)


def number_of(names: Iterable[str], given: Collection[str] = ()) -> float:
    """The number among the names of a window, NaN = none. What is given (`Task.given`) is no label."""
    found = (parse_number(name) for name in names if name not in given)
    return next((number for number in found if not math.isnan(number)), math.nan)


def number_label(names: tuple[str, ...], task: Task) -> float:
    """What the names of a window say on the task's scale, NaN = nothing."""
    if task.scale == "interval":
        return number_of(names, task.given)
    code = one_class(names, task.classes)
    return float(code) if code >= 0 else math.nan


def parse_number(text: str) -> float:
    """The finite number that a text says, NaN = it says none."""
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def number_bins(label: np.ndarray) -> np.ndarray:
    """[item] int64 quarter of all numbers (see `BINS`) that each is in, -1 = unlabelled: for balance and pictures."""
    known = ~np.isnan(label)
    edges = np.unique(np.quantile(label[known], [0.25, 0.5, 0.75])) if known.any() else np.empty(0)
    return np.where(known, np.searchsorted(edges, label, side="left"), -1)
