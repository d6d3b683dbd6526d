"""Longer decisions: several windows of a recording heard before it is said what they are.

A window is as long as tokens need, a decision as long as the question allows: half a minute of EEG tells more about a
state than five seconds. Nothing is trained anew. Windows that begin in the same stretch of a record give one decision,
by the mean of their log-odds (the independent opinions of one expert; Genest & Zidek 1986, doi:10.1214/ss/1177013825).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from ..config import Recipe
from ..data.numbers import is_number
from ..errors import InputError
from .bootstrap import Bootstrap
from .rows import Evaluation, Prediction, Row
from .scoring import row_metrics
from .tables import bracketed, line_table
from .targets import indicators, is_multilabel

METRICS = ("auroc", "balanced_accuracy", "macro_f1", "mae", "spearman")
_LEAST = 1e-6  # no window is so sure that the others do not count


def check_decisions(recipe: Recipe) -> None:
    """Raise InputError for lengths that mean nothing."""
    for seconds in recipe.evaluate.decisions_s:
        if seconds <= 0:
            raise InputError("must be positive", field="evaluate.decisions_s", got=seconds)


def longer_decisions(prediction: Prediction, start_s: np.ndarray, seconds: float) -> Prediction:
    """One decision for each stretch of `seconds` of a record, from the windows that begin in it.

    start_s: [n] where each window begins in its record. A class holds for a stretch when it does for most of its
    windows; numbers are averaged. Left out are stretches with less than half as many windows as the fullest one (the
    end of a record), and where classes exclude each other those in which none holds: the state changes there.
    """
    stretch = np.stack([prediction.record, np.floor(start_s / seconds).astype(np.int64), prediction.given], axis=1)
    _, first, owner = np.unique(stretch, axis=0, return_index=True, return_inverse=True)
    owner, windows = owner.reshape(-1), np.bincount(owner.reshape(-1))
    kept = 2 * windows >= windows.max(initial=0)
    origin = {name: getattr(prediction, name)[first] for name in ("subject", "record", "item", "given")}
    if is_number(prediction.label):
        label, said = (_mean(x, owner, windows)[kept] for x in (prediction.label[:, None], prediction.probability))
        return Prediction(label[:, 0], said, **{name: x[kept] for name, x in origin.items()})
    several = is_multilabel(prediction.label)
    truth = indicators(prediction.label, prediction.probability.shape[1])
    p = np.clip(prediction.probability, _LEAST, 1.0)
    odds = np.log(p) - np.log(np.clip(1.0 - p, _LEAST, 1.0)) if several else np.log(p)
    truth, odds = (_mean(x, owner, windows) for x in (truth, odds))
    if several:
        label, probability = (truth > 0.5).astype(np.float32), expit(odds)
    else:
        label, probability = truth.argmax(axis=1), softmax(odds, axis=1)
        kept &= truth.max(axis=1) > 0.5
    return Prediction(label[kept], probability[kept], **{name: x[kept] for name, x in origin.items()})


def longer_table(evaluation: Evaluation, resamples: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """One entry a line of the summary, length and metric: model, protocol, label_fraction, metric, seconds, mean,
    ci_low, ci_high, n; [] where no longer decisions were asked for. Bounds: 95 % bootstrap over subjects."""
    entries = []
    for seconds in dict.fromkeys(seconds for _, seconds in evaluation.longer):
        predictions = {key: p for (key, length), p in evaluation.longer.items() if length == seconds}
        rows = [Row(*key, row_metrics(p, evaluation.classes)) for key, p in predictions.items()]
        longer = replace(evaluation, rows=rows, predictions=predictions)
        bootstrap = Bootstrap(longer, resamples, seed)
        for line in longer.lines():
            head = dict(zip(("model", "protocol", "label_fraction"), line, strict=True))
            for metric in (m for m in METRICS if any(m in row.metrics for row in longer.runs(*line))):
                numbers = bootstrap.interval(line, metric).plain()
                entries.append(head | {"metric": metric, "seconds": seconds, **numbers, "n": len(longer.runs(*line))})
    return entries


def decisions_table(table: list[dict[str, Any]], metric: str) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the table on screen: a metric of each line at each length."""
    return line_table([e for e in table if e["metric"] == metric], "seconds", "{:g} s", bracketed)


def _mean(x: np.ndarray, owner: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """[n, class] -> [stretch, class] mean over the windows of each stretch."""
    total = np.zeros((len(windows), x.shape[1]))
    np.add.at(total, owner, x)
    return total / windows[:, None]
