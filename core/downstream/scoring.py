"""Metrics of one prediction: those of its items and, for dense tasks, of the boundaries of its segments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .metrics import classification_metrics
from .segments import HIT, OFFSET, ONSET, boundary_f1

if TYPE_CHECKING:
    from .rows import Prediction


def row_metrics(prediction: Prediction, classes: tuple[str, ...]) -> dict[str, float]:
    """All metrics of a row. In dense tasks F1 is that of onsets and offsets, everything else that of steps."""
    values = classification_metrics(prediction.label, prediction.probability, classes)
    bounds = prediction.boundaries
    if bounds is None:
        return values
    kept = {name: value for name, value in values.items() if name != "macro_f1" and not name.startswith("f1_")}
    counts = bounds.counts(np.zeros(len(prediction.label), np.int64), 1, len(classes))[0]
    found = {name: float(value) for name, value in boundary_f1(counts, classes, bounds.background).items()}
    return kept | {name: value for name, value in found.items() if not np.isnan(value)}


def boundary_table(prediction: Prediction, classes: tuple[str, ...]) -> list[dict[str, float | str]]:
    """One entry a class and side: sensitivity, precision, f1, n true boundaries, mean and std of the error.

    Errors are predicted minus true, over the boundaries that were found, in the unit of the first axis.
    """
    bounds = prediction.boundaries
    assert bounds is not None
    entries: list[dict[str, float | str]] = []
    for code, name in enumerate(classes):
        for side, where in ((ONSET, "onset"), (OFFSET, "offset")):
            here = (bounds.code == code) & (bounds.side == side)
            hit, false, missed = np.bincount(bounds.outcome[here], minlength=3)
            if hit + missed:
                error = bounds.error[here & (bounds.outcome == HIT)]
                entries.append(
                    {
                        "class": name, "side": where, "n": int(hit + missed),
                        "sensitivity": hit / (hit + missed), "precision": hit / max(1, hit + false),
                        "f1": 2 * hit / (2 * hit + false + missed),
                        "error_mean": float(error.mean()) if hit else float("nan"),
                        "error_std": float(error.std()) if hit else float("nan"),
                    }
                )  # fmt: skip
    return entries
