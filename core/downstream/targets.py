"""Labels of a task: one class an item, several classes that may hold at once, or a number.

Codes: [item] int64 with -1 = unlabelled, or [item, class] float32 of 0/1 with NaN = unlabelled. Numbers: [item] float32
with NaN = unlabelled; what a model says of them is one column, as a score of one class would be, but as it is.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from ..data.numbers import is_number

# A class rarer than this share is weighted as if it had it: its few items would otherwise drown every other gradient.
RAREST_SHARE = 1e-3


def is_multilabel(label: np.ndarray | Tensor) -> bool:
    """Whether several classes may hold at once."""
    return label.ndim == 2


def labelled(label: np.ndarray) -> np.ndarray:
    """[item] bool, True where the label is known."""
    if is_number(label):
        return ~np.isnan(label)
    return np.all(label >= 0, axis=1) if is_multilabel(label) else np.asarray(label >= 0)  # NaN >= 0 is False


def class_counts(label: np.ndarray, classes: int) -> np.ndarray:
    """[class] number of labelled items that carry each class."""
    label = label[labelled(label)]
    if is_multilabel(label):
        return label.sum(axis=0).astype(np.int64)
    return np.bincount(label, minlength=classes)


def indicators(label: np.ndarray, classes: int) -> np.ndarray:
    """[item, class] float32 of 0/1; numbers are all of one class."""
    if is_number(label):
        return np.ones((len(label), 1), np.float32)
    if is_multilabel(label):
        return label.astype(np.float32)
    return np.eye(classes, dtype=np.float32)[label]


def indicators_given(label: np.ndarray, given: np.ndarray, classes: int, models: int) -> np.ndarray:
    """[item, given * class] float32 of 0/1: each class once for each thing given; given: [item] codes."""
    own, truth = np.eye(models, dtype=np.float32)[given], indicators(label, classes)
    return (own[:, :, None] * truth[:, None, :]).reshape(len(label), models * truth.shape[1])


def typical(label: np.ndarray, classes: int) -> np.ndarray:
    """[class] float32: what is said where nothing is known, the share of each class, or the median of numbers [1]."""
    if is_number(label):
        return np.array([np.median(label) if len(label) else 0.0], np.float32)
    return indicators(label, classes).mean(axis=0) if len(label) else np.full(classes, 1.0 / classes, np.float32)


def even_sample(label: np.ndarray, most: int) -> np.ndarray:
    """Positions of at most `most` items in which no class takes more than it must from the rare ones."""
    if len(label) <= most:
        return np.arange(len(label))
    rng = np.random.default_rng(0)
    sizes = np.bincount(label)
    left, open_classes, take = most, [c for c in np.argsort(sizes) if sizes[c]], {}
    for i, c in enumerate(open_classes):
        take[c] = min(sizes[c], left // (len(open_classes) - i))
        left -= take[c]
    return np.sort(np.concatenate([rng.choice(np.flatnonzero(label == c), n, replace=False) for c, n in take.items()]))


def class_weights(label: np.ndarray, classes: int, scheme: str) -> np.ndarray:
    """[class] float32 loss weight: equal ("none"), or inverse to the class's count ("balanced") or its root ("sqrt").

    One class an item: the mean weight over the labelled items is 1. Several: the weight of a class's positives
    relative to its negatives, 1 where they are equally many.
    """
    if scheme == "none" or is_number(label):
        return np.ones(classes, np.float32)
    power = {"sqrt": 0.5, "balanced": 1.0}[scheme]
    total = int(labelled(label).sum())
    counts = class_counts(label, classes)
    floored = np.maximum(counts, max(1.0, RAREST_SHARE * total))
    if is_multilabel(label):
        return (np.maximum(total - counts, 1) / floored).astype(np.float32) ** power
    weights = (total / floored) ** power
    return (weights * total / max(1.0, float((weights * counts).sum()))).astype(np.float32)


def loss(logits: Tensor, label: Tensor, weights: Tensor, smoothing: float = 0.0) -> Tensor:
    """Weighted mean cross-entropy of [item, class] logits; binary cross-entropy a class for multi-label tasks; of
    numbers the smooth L1 distance, in the unit of the labels.

    weights: [class], or [item, class] where items of different heads have weights of their own.
    """
    if is_number(label):
        return F.smooth_l1_loss(logits[:, 0], label)
    if is_multilabel(label):
        soft = label * (1.0 - smoothing) + 0.5 * smoothing
        return F.binary_cross_entropy_with_logits(logits, soft, pos_weight=weights)
    if weights.ndim == 1:
        return F.cross_entropy(logits, label, weight=weights, label_smoothing=smoothing)
    # the same with weights a row, which torch does not take
    costs = -weights * logits.log_softmax(dim=-1)
    own = F.one_hot(label, logits.shape[-1])
    costs = (1.0 - smoothing) * (own * costs).sum() + smoothing / logits.shape[-1] * costs.sum()
    return costs / (own * weights).sum()


def probabilities(logits: Tensor, multilabel: bool) -> Tensor:
    """[..., class] logits to probabilities; a single column of a task that is not multi-label is a number and stays."""
    if logits.shape[-1] == 1 and not multilabel:
        return logits.float()
    return logits.float().sigmoid() if multilabel else logits.float().softmax(dim=-1)
