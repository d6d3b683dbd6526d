"""Intervals by resampling whole subjects (Efron and Tibshirani 1993, chapter 8: resample what was sampled).

- Items of one subject are anything but independent; resampling items would give intervals many times too narrow.
- All lines of a fold see the same resamples, so differences between two lines are paired.
- A metric is averaged over seeds within each resample. The interval speaks of new subjects, for models like these.
- A resample that lacks a class the test side has would answer another question (a macro average over fewer classes), so
  it is drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .rows import Evaluation, Prediction, Row
from .segments import boundary_f1
from .tallies import Tallies
from .targets import indicators

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
    """[resample, subject] how often each subject was drawn, with replacement.

    holds: [subject, class] bool, which classes each subject has; resamples that miss a class are drawn again.
    """
    rng = np.random.default_rng(seed)
    subjects, needed = len(holds), holds.any(axis=0)
    kept: list[np.ndarray] = []
    found = 0
    for _ in range(_ATTEMPTS):
        times = rng.multinomial(subjects, np.full(subjects, 1.0 / subjects), size=resamples)
        complete = ((times > 0) @ holds.astype(np.int64) > 0)[:, needed].all(axis=1)
        kept.append(times[complete])
        found += int(complete.sum())
        if found >= resamples:
            break
    return np.concatenate(kept)[:resamples]


class Bootstrap:
    """Resampled metrics of every line of an evaluation.

    samples(line, metric): [resample] metric averaged over the line's seeds and folds.
    """

    def __init__(self, evaluation: Evaluation, resamples: int, seed: int = 0) -> None:
        self.evaluation = evaluation
        self._by_row: dict[tuple, dict[str, np.ndarray]] = {}
        folds: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for row in evaluation.rows:
            prediction = evaluation.predictions[row.key]
            if row.fold not in folds:
                folds[row.fold] = self._draw(prediction, resamples, seed + row.fold)
            units, times = folds[row.fold]
            owner = units[prediction.subject + 1]
            tallies = Tallies.of(prediction.label, prediction.probability, owner, times.shape[1], evaluation.classes)
            self._by_row[row.key] = tallies.metrics(times)
            if (bounds := prediction.boundaries) is not None:
                counts = bounds.counts(owner, times.shape[1], len(evaluation.classes))
                resampled = np.tensordot(times, counts, axes=1)
                self._by_row[row.key] |= boundary_f1(resampled, evaluation.classes, bounds.background)

    def _draw(self, prediction: Prediction, resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Unit of each subject code (shifted by one: -1 = unknown) and the resampled counts of the units."""
        subjects, first = np.unique(prediction.subject, return_inverse=True)
        unit = np.arange(len(subjects))
        if len(subjects) > MOST_UNITS:
            unit = np.random.default_rng(seed).permutation(len(subjects)) % MOST_UNITS
        of_code = np.zeros(subjects.max() + 2, np.int64)
        of_code[subjects + 1] = unit
        truth = indicators(prediction.label, len(self.evaluation.classes)) > 0
        holds = np.zeros((int(unit.max()) + 1, truth.shape[1]), bool)
        np.logical_or.at(holds, unit[first], truth)
        return of_code, resample_counts(holds, resamples, seed)

    def samples(self, line: tuple[str, str, float], metric: str) -> np.ndarray:
        """[resample] values; the shortest fold decides how many there are."""
        values = [self._by_row[row.key][metric] for row in self.evaluation.runs(*line)]
        count = min(len(v) for v in values)
        return np.mean([v[:count] for v in values], axis=0)

    def interval(self, line: tuple[str, str, float], metric: str) -> Interval:
        """Mean over the line's rows and its percentile interval."""
        found = _percentile(_mean(self.evaluation.runs(*line), metric), self.samples(line, metric), metric)
        # shifting the samples of a biased metric can leave its range
        return replace(found, low=max(0.0, found.low)) if metric in _BIASED else found

    def difference(self, line: tuple[str, str, float], other: tuple[str, str, float], metric: str) -> Interval:
        """Mean of `line` minus mean of `other`, with the interval of the paired difference."""
        mean = _mean(self.evaluation.runs(*line), metric) - _mean(self.evaluation.runs(*other), metric)
        one, two = self.samples(line, metric), self.samples(other, metric)
        return _percentile(mean, one - two, metric)


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
