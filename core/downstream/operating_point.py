"""Where a trained head decides: offsets of its logits that balance the errors of unseen people.

A network can tell its own training subjects apart almost without error. Of new people it then knows the class that
looks alike in everybody better than the one that everybody shows in a way of their own, and its scores are right in
their order but wrong in where they divide. Subjects who did not train say by how much: an offset for each class is
fitted to them, a logistic regression with nothing but an intercept (the bias of vector scaling, Guo et al. 2017,
https://arxiv.org/abs/1706.04599), every class weighing the same.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit, softmax

from .targets import indicators, is_multilabel

_LEAST = 1e-7  # no probability is zero


def balanced_offsets(probability: np.ndarray, label: np.ndarray) -> np.ndarray:
    """[class] offsets of log-probabilities (of log-odds for several labels an item) from held-out items.

    A class that none of the items has, or that all have, keeps its place.
    """
    classes = probability.shape[1]
    truth, several = indicators(label, classes), is_multilabel(label)
    known = truth.any(axis=0) & ~truth.all(axis=0)
    if not known.any():
        return np.zeros(classes)

    def loss(offsets: np.ndarray) -> tuple[float, np.ndarray]:
        p = moved(probability, np.where(known, offsets, 0.0), several=several)
        if several:
            share = truth.mean(axis=0)
            w = np.where(truth > 0, 0.5 / np.maximum(share, _LEAST), 0.5 / np.maximum(1 - share, _LEAST)) / len(truth)
            right = np.where(truth > 0, p, 1.0 - p)
        else:
            w = (truth / np.maximum(truth.sum(axis=0), 1.0)).sum(axis=1, keepdims=True)
            right = (truth * p).sum(axis=1, keepdims=True)
        slope = (w * (p - truth)).sum(axis=0)
        return float(-(w * np.log(np.maximum(right, _LEAST))).sum()), np.where(known, slope, 0.0)

    return np.asarray(minimize(loss, np.zeros(classes), jac=True, method="BFGS").x)


def moved(probability: np.ndarray, offsets: np.ndarray, *, several: bool) -> np.ndarray:
    """[item, class] probabilities with offsets [class] added to their logarithms (`several`: to their log-odds)."""
    p = np.clip(probability.astype(np.float64), _LEAST, 1.0 - _LEAST)
    return expit(logit(p) + offsets) if several else softmax(np.log(p) + offsets, axis=1)
