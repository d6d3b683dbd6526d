"""An estimator of scikit-learn on the hand features of a trial: labelled items in, decisions on test items out."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.multiclass import OneVsRestClassifier

from ..config import ProbeConfig
from .linear import item_weights
from .scaling import Standardizer
from .trial import Trial, thin

# common classes are thinned to this many items: these learners gain nothing visible from more, and time grows with it
MOST_ITEMS = 20_000


def fit_and_predict(trial: Trial, model: Any, config: ProbeConfig, scale: Standardizer | None = None) -> np.ndarray:
    """[test item, class] of `model` on the hand features: probabilities, or numbers in one column.

    model: of scikit-learn, takes sample weights; a classifier, or a regressor where labels are numbers.
    scale: of the features; a missing one is then the mean. None = as they are.
    """
    fitted = trial.learnable
    index, stands_for = thin(trial.items, fitted, MOST_ITEMS, trial.seed)
    # a feature that none of the fitted items has splits nothing, and scikit-learn cannot bin it
    hand = np.where(np.isfinite(trial.items.hand[index]).any(axis=0), trial.items.hand, np.float32(0))
    hand = hand if scale is None else scale(hand)
    label, x, asked = trial.items.label[index], hand[index], hand[trial.test]
    if trial.multilabel:
        return OneVsRestClassifier(model).fit(x, label).predict_proba(asked)
    weight = item_weights(trial, fitted, index, stands_for, config.class_weight).numpy()
    if trial.numeric:
        return model.fit(x, label, sample_weight=weight).predict(asked)[:, None].astype(np.float32)
    out = np.zeros((len(asked), trial.classes), np.float32)
    if len(np.unique(label)) == 1:
        out[:, label[0]] = 1.0
        return out
    model.fit(x, label, sample_weight=weight)
    out[:, np.asarray(model.classes_, np.int64)] = model.predict_proba(asked)
    return out
