"""Controls without an encoder: the class prior, covariates of people, and the field's own hand-made features.

Hand features get two learners, the linear one and gradient boosting (the stronger on most tabular data). Which one is
the `hand-features` row is fixed by the numbers of labelled items and of features, not by a score: held-out labelled
subjects were seen to decide differently from seed to seed, and the baseline moved with them. Both are returned, so that
a report can print them side by side; but boosting is not tried on more features than items, where it takes minutes to
overfit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.multiclass import OneVsRestClassifier

from ..config import ProbeConfig
from .given import for_each
from .linear import item_weights, linear_probe
from .targets import typical
from .trial import Trial, thin

# common classes are thinned to this many items: boosting gains nothing visible from more, and time is linear in it
MOST_BOOSTED = 20_000
# below this many labelled items a line is the better guess
LEAST_BOOSTED = 1_000


@dataclass(frozen=True, eq=False)
class Learned:
    """probability: [test item, class]; chosen: settings that validation subjects decided."""

    learner: str
    probability: np.ndarray
    chosen: dict[str, Any]


def covariate_learner(trial: Trial, columns: np.ndarray, config: ProbeConfig) -> Learned:
    """Logistic regression on [item, column] covariates and nothing else."""
    return _logistic(trial, columns, config)


def prior(trial: Trial) -> np.ndarray:
    """[test item, class]: the share of each class among the labelled subjects, the same for all with the same given."""

    def share(part: Trial) -> np.ndarray:
        return np.tile(typical(part.items.label[part.learnable], part.classes), (len(part.test), 1))

    return for_each(trial, share)


def hand_learners(trial: Trial, config: ProbeConfig) -> list[Learned]:
    """The learners on the hand features, first the one whose row this is."""
    linear, items = _logistic(trial, trial.items.hand, config), len(trial.learnable) // trial.items.models
    if trial.items.hand.shape[1] > items:
        return [linear]
    boosted = Learned("gradient boosting", for_each(trial, lambda part: _boost(part, config)), {})
    return [boosted, linear] if items >= LEAST_BOOSTED else [linear, boosted]


def _logistic(trial: Trial, columns: np.ndarray, config: ProbeConfig) -> Learned:
    # they take the place of the side features: standardised, clipped, penalised alike
    swapped = replace(trial, items=replace(trial.items, features=columns))
    nothing = np.empty((len(trial.items), 0), np.float32)
    probability, chosen = linear_probe(swapped, nothing, config)
    return Learned("logistic regression", probability, {"c": chosen["c"]})


def _boost(trial: Trial, config: ProbeConfig) -> np.ndarray:
    fitted, asked = trial.learnable, trial.test
    index, stands_for = thin(trial.items, fitted, MOST_BOOSTED, trial.seed)
    # a feature that none of the fitted items has splits nothing, and scikit-learn cannot bin it
    hand = np.where(np.isfinite(trial.items.hand[index]).any(axis=0), trial.items.hand, np.float32(0))
    label, x = trial.items.label[index], hand[index]
    # early stopping would hold out items of the same subjects; a fixed small number of rounds does not
    model = HistGradientBoostingClassifier(
        max_iter=80, learning_rate=0.1, max_leaf_nodes=15, l2_regularization=1.0, early_stopping=False,  # type: ignore[arg-type]
        random_state=trial.seed,
    )  # fmt: skip
    if trial.multilabel:
        return OneVsRestClassifier(model).fit(x, label).predict_proba(hand[asked])
    weight = item_weights(trial, fitted, index, stands_for, config.class_weight).numpy()
    out = np.zeros((len(asked), trial.classes), np.float32)
    if len(np.unique(label)) == 1:
        out[:, label[0]] = 1.0
        return out
    model.fit(x, label, sample_weight=weight)
    out[:, np.asarray(model.classes_, np.int64)] = model.predict_proba(hand[asked])
    return out
