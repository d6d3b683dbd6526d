"""Metrics of one prediction: those of its items and, for dense tasks, of the boundaries of its segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..data.numbers import is_number
from .metrics import classification_metrics, regression_metrics
from .segments import HIT, OFFSET, ONSET, boundary_f1

if TYPE_CHECKING:
    from .rows import Prediction


def row_metrics(prediction: Prediction, classes: tuple[str, ...]) -> dict[str, float]:
    """All metrics of a row: those within each thing given, averaged.

    In dense tasks F1 is that of onsets and offsets, everything else that of steps.
    """
    return average([_metrics(part, classes) for part in prediction.parts])


def average(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each metric over those that have it."""
    names = dict.fromkeys(name for values in metrics for name in values)
    return {name: float(np.mean([values[name] for values in metrics if name in values])) for name in names}


def _metrics(prediction: Prediction, classes: tuple[str, ...]) -> dict[str, float]:
    if is_number(prediction.label):
        return regression_metrics(prediction.label, prediction.probability[:, 0])
    values = classification_metrics(prediction.label, prediction.probability, classes)
    bounds = prediction.boundaries
    if bounds is None:
        return values
    kept = {name: value for name, value in values.items() if name != "macro_f1" and not name.startswith("f1_")}
    counts = bounds.counts(np.zeros(len(prediction.label), np.int64), 1, len(classes))[0]
    found = {name: float(value) for name, value in boundary_f1(counts, classes, bounds.background).items()}
    return kept | {name: value for name, value in found.items() if not np.isnan(value)}


def boundary_table(predictions: Sequence[Prediction], classes: tuple[str, ...]) -> list[dict[str, float | str]]:
    """One entry a class and side over all `predictions`: n, sensitivity, precision, f1, error_mean, error_std.

    n: true boundaries a prediction. Errors are predicted minus true, over the boundaries that were found, in the unit
    of the first axis. Empty for tasks that are not dense.
    """
    found = [p.boundaries for p in predictions if p.boundaries is not None]
    if not found:
        return []
    code, side, outcome, error = (
        np.concatenate([getattr(b, name) for b in found]) for name in ("code", "side", "outcome", "error")
    )
    entries: list[dict[str, float | str]] = []
    for c, name in enumerate(classes):
        for which, where in ((ONSET, "onset"), (OFFSET, "offset")):
            here = (code == c) & (side == which)
            hit, false, missed = np.bincount(outcome[here], minlength=3).tolist()
            if hit + missed:
                gap = error[here & (outcome == HIT)]
                entries.append(
                    {
                        "class": name, "side": where, "n": round((hit + missed) / len(found)),
                        "sensitivity": hit / (hit + missed), "precision": hit / max(1, hit + false),
                        "f1": 2 * hit / (2 * hit + false + missed),
                        "error_mean": float(gap.mean()) if hit else float("nan"),
                        "error_std": float(gap.std()) if hit else float("nan"),
                    }
                )  # fmt: skip
    return entries
