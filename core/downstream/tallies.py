"""Per-subject tallies from which every metric of any resample of subjects can be computed at once.

A bootstrap of subjects only changes how often each subject counts. Confusions, score histograms and calibration bins
add up over subjects, so a thousand resamples are one small matrix product instead of a thousand passes over all items.
Confusion and calibration are exact. Ranking metrics see scores through `SCORE_BINS` quantile bins, ties within a bin
counted half, which moves them by less than 0.001; the reported means always come from `metrics`, exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .metrics import CALIBRATION_BINS, decide
from .targets import indicators, is_multilabel

SCORE_BINS = 512


@dataclass(frozen=True, eq=False)
class Tallies:
    """[subject, ...] counts of one prediction.

    positive, negative: [subject, class, bin] items with and without the class by score, ascending.
    hit, false, missed: [subject, class] true positives, false positives, false negatives.
    right: [subject] items decided correctly.
    calibration: [subject, 3, bin] items, summed confidence, summed correctness.
    """

    positive: np.ndarray
    negative: np.ndarray
    hit: np.ndarray
    false: np.ndarray
    missed: np.ndarray
    right: np.ndarray
    calibration: np.ndarray
    classes: tuple[str, ...]
    multilabel: bool

    @classmethod
    def of(cls, label: np.ndarray, probability: np.ndarray, owner: np.ndarray, owners: int, classes: tuple[str, ...]):
        """Tally items; `owner` [n] in [0, owners) is each item's subject."""
        multilabel = is_multilabel(label)
        truth = indicators(label, len(classes)).astype(bool)
        decided = decide(probability, multilabel)
        predicted = indicators(decided, len(classes)).astype(bool)
        right = (truth == predicted).all(axis=1)

        def add(values: np.ndarray) -> np.ndarray:
            out = np.zeros((owners, *values.shape[1:]))
            np.add.at(out, owner, values)
            return out

        positive, negative = (np.zeros((owners, len(classes), SCORE_BINS)) for _ in range(2))
        for c in range(len(classes)):
            place = _quantile_bins(probability[:, c])
            np.add.at(positive[:, c], (owner[truth[:, c]], place[truth[:, c]]), 1)
            np.add.at(negative[:, c], (owner[~truth[:, c]], place[~truth[:, c]]), 1)
        if multilabel:
            confidence, correct = probability.ravel(), truth.ravel()
            calibrated = np.repeat(owner, len(classes))
        else:
            confidence, correct, calibrated = probability.max(axis=1), right, owner
        edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
        place = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, CALIBRATION_BINS - 1)
        calibration = np.zeros((owners, 3, CALIBRATION_BINS))
        for row, value in enumerate((np.ones(len(place)), confidence, correct)):
            np.add.at(calibration[:, row], (calibrated, place), value)
        return cls(
            positive, negative, add(truth & predicted), add(~truth & predicted), add(truth & ~predicted), add(right),
            calibration, classes, multilabel,
        )  # fmt: skip

    def metrics(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """{metric: [resample]} where `times` [resample, subject] says how often each subject counts.

        Same rules as `metrics.classification_metrics`: classes absent from a resample are left out (NaN for their F1).
        """
        hit, false, missed = (times @ x for x in (self.hit, self.false, self.missed))
        total = times @ (self.positive.sum(axis=2) + self.negative.sum(axis=2))[:, 0]
        with np.errstate(invalid="ignore", divide="ignore"):
            present = hit + missed > 0
            f1 = np.where(present, 2 * hit / (2 * hit + false + missed), np.nan)
            recall = np.where(present, hit / (hit + missed), np.nan)
            if self.multilabel:
                absent = total[:, None] - hit - missed
                specificity = np.where(absent > 0, (absent - false) / absent, np.nan)
                recall = np.nanmean(np.stack([recall, specificity]), axis=0)
            out = {
                "accuracy": times @ self.right / total,
                "balanced_accuracy": mean_of(recall),
                "macro_f1": mean_of(f1),
                **{f"f1_{name}": f1[:, c] for c, name in enumerate(self.classes)},
            }
        ranked = [self._ranking(times, c) for c in range(len(self.classes))]
        out["auroc"] = mean_of(np.stack([auroc for auroc, _ in ranked], axis=1))
        out["auprc"] = mean_of(np.stack([auprc for _, auprc in ranked], axis=1))
        count, confidence, correct = np.moveaxis(np.tensordot(times, self.calibration, axes=1), 1, 0)
        out["ece"] = np.abs(confidence - correct).sum(axis=1) / count.sum(axis=1)
        return out

    def _ranking(self, times: np.ndarray, c: int) -> tuple[np.ndarray, np.ndarray]:
        positive, negative = times @ self.positive[:, c], times @ self.negative[:, c]
        below = np.cumsum(negative, axis=1) - 0.5 * negative
        hits = np.cumsum(positive[:, ::-1], axis=1)
        false = np.cumsum(negative[:, ::-1], axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            auroc = (positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))
            precision = np.nan_to_num(hits / (hits + false))
            auprc = (positive[:, ::-1] * precision).sum(axis=1) / positive.sum(axis=1)
        defined = (positive.sum(axis=1) > 0) & (negative.sum(axis=1) > 0)
        return np.where(defined, auroc, np.nan), np.where(defined, auprc, np.nan)


def _quantile_bins(score: np.ndarray) -> np.ndarray:
    """[n] bin of each score; every distinct score has a bin of its own when there are few enough."""
    distinct = np.unique(score)
    if len(distinct) > SCORE_BINS:
        distinct = np.unique(np.quantile(score, np.linspace(0, 1, SCORE_BINS + 1)[1:], method="higher"))
    return np.searchsorted(distinct, score).clip(max=SCORE_BINS - 1)


def mean_of(values: np.ndarray) -> np.ndarray:
    """[resample, class] -> [resample] mean without absent (NaN) ones; NaN where all are absent."""
    present = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(present, values, 0.0).sum(axis=1) / present.sum(axis=1)
