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

from ..config import ProbeConfig
from .estimator import fit_and_predict
from .given import for_each
from .scaling import Standardizer
from .trial import Trial


def boosted(trial: Trial, config: ProbeConfig) -> np.ndarray:
    """[test item, class] of gradient boosting on the hand features."""
    # early stopping would hold out items of the same subjects; a fixed small number of rounds does not
    options: dict[str, Any] = {"max_iter": 80, "learning_rate": 0.1, "max_leaf_nodes": 15, "l2_regularization": 1.0}
    options |= {"early_stopping": False, "random_state": trial.seed}
    kind = HistGradientBoostingRegressor if trial.numeric else HistGradientBoostingClassifier
    return for_each(trial, lambda part: fit_and_predict(part, kind(**options), config))


def extra_trees(trial: Trial, config: ProbeConfig) -> np.ndarray:
    """[test item, class] of extremely randomised trees on the hand features; a missing one is the training mean."""

    options: dict[str, Any] = {"n_estimators": 200, "min_samples_leaf": 2, "max_features": "sqrt"}

    def learn(part: Trial) -> np.ndarray:
        scale = Standardizer.fit(part.items.hand[part.learnable])
        kind = ExtraTreesRegressor if part.numeric else ExtraTreesClassifier
        return fit_and_predict(part, kind(**options, random_state=part.seed), config, scale)

    return for_each(trial, learn)
