"""Intervals by resampling whole subjects (Efron and Tibshirani 1993, chapter 8: resample what was sampled).

- Items of one subject are anything but independent; resampling items would give intervals many times too narrow.
- Subjects of all folds are drawn together, and a fold counts by how many of its own were drawn. So leaving one out,
  where no fold has anybody to resample, has an interval too.
- All lines see the same resamples, so differences between two lines are paired.
- A metric is averaged over seeds within each resample. The interval speaks of new subjects, for models like these.
- Where something is given, a metric is computed within each of it and averaged in each resample, as it is in the rows.
- Subjects that lack a class their fold's test side has (under one thing given) would answer another question, a macro
  average over fewer classes: that fold has no say in the resample; where no fold has one, it is drawn again.
- Where so few subjects share the classes that all resamples are the same (one of each), nothing is known about other
  subjects: there is no interval, instead of one without width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..data.numbers import is_number
from .ranks import resampled_numbers
from .rows import Evaluation, Prediction, Row
from .segments import boundary_f1
from .tallies import Tallies, mean_of
from .targets import indicators_given

LEVEL = 0.95
# more subjects are merged at random into this many blocks: the variance estimate stays unbiased, the cost bounded
MOST_UNITS = 2000
# a mean of absolute gaps: noise can only widen them, so every resample lies above; its spread is used, its level not
_BIASED = ("ece",)
_ATTEMPTS = 50  # times the wanted number of resamples that may be drawn before we make do with fewer


@dataclass(frozen=True)
class Interval:
    """Percentile interval; NaN bounds when nothing could be resampled."""

    mean: float
    low: float
    high: float

    def plain(self, mean: str = "mean", low: str = "ci_low", high: str = "ci_high") -> dict[str, float | None]:
        """By the names of an entry; None where it is not known, for JSON has no NaN."""
        values = {mean: self.mean, low: self.low, high: self.high}
        return {name: None if np.isnan(value) else value for name, value in values.items()}


def resample_counts(holds: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """[resample, subject] how often each subject was drawn. holds: [subject, class] bool, which classes each has."""
    return resample_folds([holds], resamples, seed)[0][0]


def resample_folds(holds: Sequence[np.ndarray], resamples: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """How often each subject of each fold was drawn, with replacement, and what a fold counts in each resample.

    holds: of each fold [subject, class] bool, which classes each subject has.
    Returns [resample, subject] counts of each fold, and [resample, fold] weights: its subjects that were drawn, as
    a share of all it has; 0 where they lack a class of the fold.
    """
    rng = np.random.default_rng(seed)
    ends = np.cumsum([len(held) for held in holds])
    counts: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    found = 0
    for _ in range(_ATTEMPTS):
        times = rng.multinomial(ends[-1], np.full(ends[-1], 1.0 / ends[-1]), size=resamples)
        weight = np.stack(
            [_weight(t, h) for t, h in zip(np.split(times, ends[:-1], axis=1), holds, strict=True)], axis=1
        )
        kept = weight.any(axis=1)
        counts.append(times[kept])
        weights.append(weight[kept])
        found += int(kept.sum())
        if found >= resamples:
            break
    drawn, weight = np.concatenate(counts)[:resamples], np.concatenate(weights)[:resamples]
    return np.split(drawn, ends[:-1], axis=1), weight


def _weight(times: np.ndarray, holds: np.ndarray) -> np.ndarray:
    """[resample] share of a fold's subjects that were drawn, 0 where they lack a class."""
    complete = ((times > 0) @ holds.astype(np.int64) > 0)[:, holds.any(axis=0)].all(axis=1)
    return np.where(complete, times.sum(axis=1) / len(holds), 0.0)


def _distinct(times: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The resamples of a fold that differ, and [resample] which of them each is: few subjects are often drawn alike.

    Where the fold has no say everybody is drawn once: a number nobody reads, instead of a division by nothing.
    """
    found, back = np.unique(np.where(weight[:, None] > 0, times, 1), axis=0, return_inverse=True)
    return found, back.reshape(-1)


class Bootstrap:
    """Resampled metrics of every line of an evaluation.

    samples(line, metric): [resample] metric averaged over the line's seeds and folds.
    """

    def __init__(self, evaluation: Evaluation, resamples: int, seed: int = 0) -> None:
        self.evaluation = evaluation
        self._by_row: dict[tuple, dict[str, np.ndarray]] = {}
        predictions = {row.fold: evaluation.predictions[row.key] for row in reversed(evaluation.rows)}
        self._column = {fold: column for column, fold in enumerate(sorted(predictions))}
        units = [self._units(predictions[fold], seed) for fold in self._column]
        drawn, self._weights = resample_folds([holds for _, holds in units], resamples, seed)
        distinct = [_distinct(times, weight) for times, weight in zip(drawn, self._weights.T, strict=True)]
        ranks = not evaluation.classes  # people are asked for ids: no class makes a resample incomplete
        self._alike = not ranks and all((times == times[0]).all() for times in (*drawn, self._weights))
        for row in evaluation.rows:
            prediction, column = evaluation.predictions[row.key], self._column[row.fold]
            of_code, (times, back) = units[column][0], distinct[column]
            found = [_resampled(part, of_code, times, evaluation.classes) for part in prediction.parts]
            metrics = {name: mean_of(np.stack([values[name] for values in found], axis=1)) for name in found[0]}
            self._by_row[row.key] = {name: values[back] for name, values in metrics.items()}

    def _units(self, prediction: Prediction, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Unit of each subject code (shifted by one: -1 = unknown), and [unit, class] which classes each unit holds."""
        subjects, first = np.unique(prediction.subject, return_inverse=True)
        unit = np.arange(len(subjects))
        if len(subjects) > MOST_UNITS:
            unit = np.random.default_rng(seed).permutation(len(subjects)) % MOST_UNITS
        of_code = np.zeros(subjects.max() + 2, np.int64)
        of_code[subjects + 1] = unit
        models, classes = max(1, len(self.evaluation.given)), len(self.evaluation.classes)
        truth = indicators_given(prediction.label, prediction.given, classes, models) > 0
        holds = np.zeros((int(unit.max()) + 1, truth.shape[1]), bool)
        np.logical_or.at(holds, unit[first], truth)
        return of_code, holds

    def samples(self, line: tuple[str, str, float], metric: str) -> np.ndarray:
        """[resample] values; NaN where all resamples are the same people."""
        if self._alike:
            return np.full(len(self._weights), np.nan)
        rows = self.evaluation.runs(*line)
        weight = np.stack([self._weights[:, self._column[row.fold]] for row in rows])
        known = [self._by_row[row.key] for row in rows]
        if any(metric not in values for values in known):  # of all lists together: no mean over subjects
            return np.full(len(self._weights), np.nan)
        values = np.stack([values[metric] for values in known])
        total = weight.sum(axis=0)
        total[total == 0] = np.nan  # a line need not have been run on every fold
        return np.where(weight > 0, weight * values, 0.0).sum(axis=0) / total

    def interval(self, line: tuple[str, str, float], metric: str) -> Interval:
        """Mean over the line's rows and its percentile interval."""
        found = _percentile(_mean(self.evaluation.runs(*line), metric), self.samples(line, metric), metric)
        # shifting the samples of a biased metric can leave its range
        return replace(found, low=float(np.maximum(0.0, found.low))) if metric in _BIASED else found

    def difference(self, line: tuple[str, str, float], other: tuple[str, str, float], metric: str) -> Interval:
        """Mean of `line` minus mean of `other`, with the interval of the paired difference."""
        mean = _mean(self.evaluation.runs(*line), metric) - _mean(self.evaluation.runs(*other), metric)
        one, two = self.samples(line, metric), self.samples(other, metric)
        return _percentile(mean, one - two, metric)


def _resampled(
    prediction: Prediction, of_code: np.ndarray, times: np.ndarray, classes: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """{metric: [resample]}; of_code: unit of each subject code (shifted by one); times: [resample, unit]."""
    owner = of_code[prediction.subject + 1]
    if prediction.values is not None:
        return {name: _resampled_mean(values, owner, times) for name, values in prediction.values.items()}
    if is_number(prediction.label):
        return resampled_numbers(prediction.label, prediction.probability[:, 0], times[:, owner])
    metrics = Tallies.of(prediction.label, prediction.probability, owner, times.shape[1], classes).metrics(times)
    if (bounds := prediction.boundaries) is not None:
        counts = np.tensordot(times, bounds.counts(owner, times.shape[1], len(classes)), axes=1)
        metrics |= boundary_f1(counts, classes, bounds.background)
    return metrics


def _resampled_mean(values: np.ndarray, owner: np.ndarray, times: np.ndarray) -> np.ndarray:
    """[resample] mean of [n] values, NaN = does not count. owner: [n] unit; times: [resample, unit]."""
    counts = ~np.isnan(values)
    total, number = (
        times @ np.bincount(owner, weights=weight, minlength=times.shape[1])
        for weight in (np.where(counts, values, 0.0), counts)
    )
    with np.errstate(invalid="ignore"):
        return total / number


def _mean(rows: Sequence[Row], metric: str) -> float:
    return float(np.mean([row.metrics[metric] for row in rows if metric in row.metrics]))


def _percentile(mean: float, samples: np.ndarray, metric: str) -> Interval:
    samples = samples[~np.isnan(samples)]
    if not len(samples):
        return Interval(mean, float("nan"), float("nan"))
    if metric in _BIASED:
        samples = samples - samples.mean() + mean
    tail = 50.0 * (1.0 - LEVEL)
    low, high = np.percentile(samples, [tail, 100.0 - tail])
    return Interval(mean, float(low), float(high))
