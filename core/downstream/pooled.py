"""Ranking of all folds' decisions together.

Every score of the table is computed within a fold and averaged over folds: folds have models of their own, and a
probability of .6 need not mean the same in two of them. Few decisions a fold make such an AUROC coarse, though. So the
ranking metrics are also computed over the decisions of all folds together, as many papers do it. Both are honest; they
are not the same number, so each is called by its name.

A class prior ranks nobody within a fold, but across folds it ranks backwards (a fold with more patients to test on had
fewer to train on), so it has no entry.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .bootstrap import Bootstrap
from .rows import Evaluation, Prediction, Row, RowKey
from .scoring import row_metrics

METRICS = ("auroc", "auprc", "spearman")


def pooled_table(evaluation: Evaluation, resamples: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """One entry a line of the summary and ranking metric; [] where there is one fold.

    Entries: model, protocol, label_fraction, metric, mean (over seeds), ci_low, ci_high, n. Bounds: 95 % bootstrap over
    subjects.
    """
    if len({row.fold for row in evaluation.rows}) < 2:
        return []
    joined = join_folds(evaluation)
    bootstrap, entries = Bootstrap(joined, resamples, seed), []
    for line in (line for line in joined.lines() if line[0] != "prior"):
        head = dict(zip(("model", "protocol", "label_fraction"), line, strict=True))
        runs = joined.runs(*line)
        for metric in (m for m in METRICS if all(m in row.metrics for row in runs)):
            entries.append({**head, "metric": metric, **bootstrap.interval(line, metric).plain(), "n": len(runs)})
    return entries


def join_folds(evaluation: Evaluation) -> Evaluation:
    """One row a line and seed: the decisions of its folds, one after the other. Boundaries of segments are left out."""
    folds: dict[RowKey, list[Prediction]] = {}
    for row in evaluation.rows:
        folds.setdefault((*row.key[:4], 0), []).append(evaluation.predictions[row.key])
    predictions = {key: _joined(found) for key, found in folds.items()}
    rows = [Row(*key, row_metrics(p, evaluation.classes)) for key, p in predictions.items()]
    return replace(evaluation, rows=rows, predictions=predictions)


def _joined(found: list[Prediction]) -> Prediction:
    names = ("label", "probability", "subject", "record", "item", "given")
    joined: dict[str, Any] = {name: np.concatenate([getattr(one, name) for one in found]) for name in names}
    return Prediction(**joined)
