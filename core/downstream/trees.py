"""Trees on hand-made features: gradient boosting, and extremely randomised trees (Geurts et al. 2006,
https://doi.org/10.1007/s10994-006-6226-1).

Boosting is the stronger where there are thousands of items; extremely randomised trees hardly overfit, so they are the
better where there are hundreds of features of a hundred items. Where something is given, each has trees of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.multiclass import OneVsRestClassifier

from ..config import ProbeConfig
from .given import for_each
from .linear import item_weights
from .scaling import Standardizer
from .trial import Trial, thin

# common classes are thinned to this many items: trees gain nothing visible from more, and time is linear in it
MOST_ITEMS = 20_000


def boosted(trial: Trial, config: ProbeConfig) -> np.ndarray:
    """[test item, class] of gradient boosting on the hand features."""
    # early stopping would hold out items of the same subjects; a fixed small number of rounds does not
    options: dict[str, Any] = {"max_iter": 80, "learning_rate": 0.1, "max_leaf_nodes": 15, "l2_regularization": 1.0}
    options |= {"early_stopping": False, "random_state": trial.seed}
    kind = HistGradientBoostingRegressor if trial.numeric else HistGradientBoostingClassifier
    return for_each(trial, lambda part: _predict(part, kind(**options), config))


def extra_trees(trial: Trial, config: ProbeConfig) -> np.ndarray:
    """[test item, class] of extremely randomised trees on the hand features; a missing one is the training mean."""

    options: dict[str, Any] = {"n_estimators": 200, "min_samples_leaf": 2, "max_features": "sqrt"}

    def learn(part: Trial) -> np.ndarray:
        scale = Standardizer.fit(part.items.hand[part.learnable])
        kind = ExtraTreesRegressor if part.numeric else ExtraTreesClassifier
        return _predict(part, kind(**options, random_state=part.seed), config, scale)

    return for_each(trial, learn)


def _predict(trial: Trial, model: Any, config: ProbeConfig, scale: Standardizer | None = None) -> np.ndarray:
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
