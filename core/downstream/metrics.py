"""The numbers of a result row, from scikit-learn and torchmetrics.

One rule for classes that the test side does not contain: they are left out of every average and have no `f1_<class>`.
(Predicting such a class still counts as an error of the class that was there.) A ranking metric also needs an item
without the class.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn import metrics as sk
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from ..data.numbers import is_number
from .targets import indicators, is_multilabel

CALIBRATION_BINS = 15
# a class holds from this probability on, where several may hold at once
THRESHOLD = 0.5


def decide(probability: np.ndarray, multilabel: bool) -> np.ndarray:
    """Predicted class [item], or classes [item, class] as 0/1."""
    return (probability >= THRESHOLD).astype(np.int64) if multilabel else probability.argmax(axis=1)


def classification_metrics(label: np.ndarray, probability: np.ndarray, classes: tuple[str, ...]) -> dict[str, float]:
    """All classification metrics of [item] or [item, class] labels and [item, class] probabilities.

    Multi-label tasks: `accuracy` asks for all classes of an item, `balanced_accuracy` is the mean over classes of
    (sensitivity + specificity) / 2, the rest are means over classes; over those that some item has, here as everywhere.
    """
    multilabel = is_multilabel(label)
    truth, predicted = indicators(label, len(classes)), decide(probability, multilabel)
    present = np.flatnonzero(truth.any(axis=0))
    f1 = _f1(label, predicted, len(classes))
    values = {
        "accuracy": sk.accuracy_score(label, predicted),
        "balanced_accuracy": _balanced_accuracy(label, predicted, multilabel),
        "macro_f1": f1[present].mean() if len(present) else np.nan,  # of several labels an item may have none
        **{f"f1_{classes[c]}": f1[c] for c in present},
        **ranking_metrics(truth, probability),
        "ece": _calibration_error(label, probability, multilabel),
    }
    return {name: float(value) for name, value in values.items()}


def ranking_metrics(truth: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Macro one-vs-rest `auroc` and `auprc` over classes that some items have and some lack; {} when there is none."""
    ranked = np.flatnonzero(truth.any(axis=0) & ~truth.all(axis=0))
    if not len(ranked):
        return {}
    return {
        "auroc": float(np.mean([sk.roc_auc_score(truth[:, c], probability[:, c]) for c in ranked])),
        "auprc": float(np.mean([sk.average_precision_score(truth[:, c], probability[:, c]) for c in ranked])),
    }


def regression_metrics(target: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """`mae` in the target's unit and Spearman rank correlation (0 when either side is constant)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a constant side is handled below
        rank = float(spearmanr(target, prediction)[0])  # type: ignore[arg-type]
    return {"mae": float(sk.mean_absolute_error(target, prediction)), "spearman": 0.0 if np.isnan(rank) else rank}


def selection_score(label: np.ndarray, probability: np.ndarray, classes: tuple[str, ...]) -> float:
    """What every choice maximises, on validation items only: the mean of macro F1 and macro AUROC.

    Either alone is noisy with few subjects: F1 moves with the threshold, AUROC ignores the decision. Of numbers it is
    the mean error, negative.
    """
    if is_number(label):
        return -regression_metrics(label, probability[:, 0])["mae"]
    multilabel = is_multilabel(label)
    truth = indicators(label, len(classes))
    f1 = _f1(label, decide(probability, multilabel), len(classes))
    macro = float(np.mean(f1[truth.any(axis=0)])) if truth.any() else 0.0
    return 0.5 * (macro + ranking_metrics(truth, probability).get("auroc", 0.5))


def _f1(label: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """[class] F1; 0 where a class is never true or never predicted."""
    scores = sk.f1_score(label, predicted, labels=np.arange(classes), average=None, zero_division=0)  # type: ignore
    return np.asarray(scores)


def _balanced_accuracy(label: np.ndarray, predicted: np.ndarray, multilabel: bool) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "y_pred contains classes not in y_true" is our documented rule
        if not multilabel:
            return float(sk.balanced_accuracy_score(label, predicted))
        known = [(y, p) for y, p in zip(label.T, predicted.T, strict=True) if y.any()]
        return float(np.mean([sk.balanced_accuracy_score(y, p) for y, p in known])) if known else float("nan")


def _calibration_error(label: np.ndarray, probability: np.ndarray, multilabel: bool) -> float:
    """Expected calibration error over equal bins: of the winning class, or of all class probabilities."""
    # rounding may leave [0, 1] by a hair, which torchmetrics would take for logits
    score = torch.from_numpy(probability).double().clamp(0.0, 1.0)
    truth = torch.from_numpy(np.asarray(label)).long()
    if multilabel:
        return float(binary_calibration_error(score.flatten(), truth.flatten(), n_bins=CALIBRATION_BINS))
    classes = probability.shape[1]
    return float(multiclass_calibration_error(score, truth, num_classes=classes, n_bins=CALIBRATION_BINS))
