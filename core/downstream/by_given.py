"""Each thing given by itself: what the means of the result table are made of.

Which exercise is judged well and which is not is what a clinic asks next; a mean over ten hides it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .bootstrap import Bootstrap
from .rows import WITHOUT_ENCODER, Evaluation, Prediction, Row, RowKey
from .scoring import row_metrics

METRICS = ("accuracy", "auroc", "balanced_accuracy", "macro_f1", "mae", "spearman")


def of_given(evaluation: Evaluation, code: int) -> Evaluation:
    """The decisions of one thing given alone; rows without any are left out."""
    predictions: dict[RowKey, Prediction] = {}
    for row in evaluation.rows:
        own = evaluation.predictions[row.key].part(evaluation.predictions[row.key].given == code)
        if len(own.label):
            predictions[row.key] = _alone(own)
    rows = [Row(*key, row_metrics(own, evaluation.classes)) for key, own in predictions.items()]
    return replace(evaluation, rows=rows, predictions=predictions, given=())


def _alone(prediction: Prediction) -> Prediction:
    return replace(prediction, given=np.zeros_like(prediction.given))


def by_given_table(evaluation: Evaluation, resamples: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """One entry a line of the summary, thing given and metric; [] where nothing is given.

    Entries: model, protocol, label_fraction, given, metric, mean, ci_low, ci_high, n. Bounds: 95 % bootstrap over
    subjects.
    """
    entries = []
    for code, name in enumerate(evaluation.given):
        own = of_given(evaluation, code)
        bootstrap = Bootstrap(own, resamples, seed) if own.rows else None
        for line in own.lines():
            assert bootstrap is not None
            head = dict(zip(("model", "protocol", "label_fraction"), line, strict=True))
            runs = own.runs(*line)
            for metric in (m for m in METRICS if any(m in row.metrics for row in runs)):
                numbers = bootstrap.interval(line, metric).plain()
                entries.append({**head, "given": name, "metric": metric, **numbers, "n": len(runs)})
    return entries


def by_given_lines(table: Sequence[dict[str, Any]], metric: str) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the table on screen: each thing given, and beside it the mean of a metric by each model.

    Of the largest share of the labels; what is given has long names and is many, so intervals are left to the page.
    """
    shown = [e for e in table if e["metric"] == metric]
    most = max((e["label_fraction"] for e in shown), default=1.0)
    cells: dict[str, dict[str, str]] = {}
    for e in (e for e in shown if e["label_fraction"] == most):
        line = e["model"] if e["model"] in WITHOUT_ENCODER else f"{e['model']} {e['protocol']}"
        cells.setdefault(e["given"], {})[line] = f"{e['mean']:.3f}"
    lines = list(dict.fromkeys(line for of in cells.values() for line in of))
    return ["given", *lines], [[name, *(of.get(line, "") for line in lines)] for name, of in cells.items()]
