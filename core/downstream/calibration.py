"""How sure a learner may be of people it has not seen: one temperature for all its decisions.

Fitted to a few dozen people, trees tell those apart almost without error and are as sure of the next person, of whom
they know less. Pooled with another opinion by a mean, the surer one decides. So each of the training people is asked
for once by a learner that was fitted without them, and one number by which log-probabilities are divided makes these
answers as likely as they can be (temperature scaling, Guo et al. 2017, https://arxiv.org/abs/1706.04599; calibrated
before a linear pool, Ranjan & Gneiting 2010, https://doi.org/10.1111/j.1467-9868.2009.00726.x). Which class is the
likeliest of an item, and the order of items by their odds between two classes, stay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy.optimize import OptimizeResult, minimize_scalar
from scipy.special import expit, logit, softmax
from sklearn.model_selection import GroupKFold

from .targets import indicators, is_multilabel
from .trial import Trial

FOLDS = 3  # as many more fits, each of two thirds of the people
_LEAST = 1e-7  # no probability is zero
_RANGE = (np.log(0.2), np.log(20.0))  # of the temperature's logarithm


def softened(probability: np.ndarray, temperature: float, *, several: bool = False) -> np.ndarray:
    """[item, class] probabilities with log-probabilities (`several`: log-odds) divided by `temperature`."""
    p = np.clip(probability.astype(np.float64), _LEAST, 1.0 - _LEAST)
    return expit(logit(p) / temperature) if several else softmax(np.log(p) / temperature, axis=1)


def fit_temperature(probability: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The temperature of least log-loss, between 0.2 and 20.

    probability: [item, class]. label: [item] int64, or [item, class] 0/1. weight: [item] importance, None = alike.
    """
    several = is_multilabel(label)
    truth = indicators(label, probability.shape[1]).astype(bool)
    importance = np.ones(len(label)) if weight is None else weight

    def loss(logarithm: float) -> float:
        p = softened(probability, np.exp(logarithm), several=several)
        right = np.where(truth, p, 1.0 - p) if several else p[truth][:, None]
        return float(-(importance[:, None] * np.log(np.maximum(right, _LEAST))).sum())

    found: OptimizeResult = minimize_scalar(loss, bounds=_RANGE, method="bounded")  # type: ignore[assignment]
    return float(np.exp(found.x))


def temperature_of_unseen(trial: Trial, learn: Callable[[Trial], np.ndarray], scheme: str) -> float:
    """The temperature of a learner on people of the training and validation side who were left out of its fit.

    learn: trial -> [test item, class]. scheme: weights of classes, as the learner has them. 1 where labels are numbers
    or all are one person's. Items of a class that the others do not have are not asked for: no learner knows of it.
    """
    items, labelled = trial.items, trial.learnable
    people = items.subject[labelled]
    folds = min(FOLDS, len(np.unique(people)))
    if trial.numeric or folds < 2:
        return 1.0
    said, truth = [], []
    for fitted, held in GroupKFold(folds).split(labelled, groups=people):
        asked = labelled[held]
        if not trial.multilabel:
            asked = asked[np.isin(items.label[asked], items.label[labelled[fitted]])]
        if len(asked):
            nobody = np.zeros(0, np.int64)
            part = dataclasses.replace(trial, train=labelled[fitted], validation=nobody, test=asked)
            said.append(learn(part))
            truth.append(items.label[asked])
    if not said:
        return 1.0
    label = np.concatenate(truth)
    weight = None if trial.multilabel else trial.weights(labelled, scheme)[label]
    return fit_temperature(np.concatenate(said), label, weight)
