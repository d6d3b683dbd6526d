"""Controls without an encoder: the class prior and the field's own hand-made features.

Hand features get two learners, the linear one and gradient boosting (the stronger on most tabular data). Labelled
subjects held out in turn decide which becomes the `hand-features` row: one validation side of a few subjects was seen
to flip between seeds. Both are returned, so that a report can print them side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold
from sklearn.multiclass import OneVsRestClassifier

from ..config import ProbeConfig
from .linear import item_weights, linear_probe
from .targets import indicators
from .trial import Trial, thin

# common classes are thinned to this many items: boosting gains nothing visible from more, and time is linear in it
MOST_BOOSTED = 20_000
# the learners are compared on fewer, and in this many parts of the labelled subjects
MOST_COMPARED = 3_000
COMPARED_PARTS = 4


@dataclass(frozen=True, eq=False)
class Learned:
    """probability: [test item, class]; held_out: its score on labelled subjects held out in turn (-inf = too few)."""

    learner: str
    probability: np.ndarray
    chosen: dict[str, Any]
    held_out: float


def prior(trial: Trial) -> np.ndarray:
    """[test item, class]: the share of each class among the labelled subjects, the same for every item."""
    share = indicators(trial.items.label[trial.learnable], trial.classes).mean(axis=0)
    return np.tile(share, (len(trial.test), 1)).astype(np.float32)


def hand_learners(trial: Trial, config: ProbeConfig) -> list[Learned]:
    """Both learners on the hand features, the better one on held-out labelled subjects first."""
    scores = _held_out_scores(trial, config)
    learned = [Learned(name, *learn(trial, config), scores[name]) for name, learn in _LEARNERS.items()]
    return sorted(learned, key=lambda one: -one.held_out)


def _held_out_scores(trial: Trial, config: ProbeConfig) -> dict[str, float]:
    """Score of each learner over labelled subjects, each part predicted by a fit on the others."""
    index, _ = thin(trial.items, trial.learnable, MOST_COMPARED, trial.seed)
    subject = trial.items.subject[index]
    parts = min(COMPARED_PARTS, len(np.unique(subject)))
    if parts < 2:
        return dict.fromkeys(_LEARNERS, -np.inf)
    pooled = {name: np.zeros((len(index), trial.classes), np.float32) for name in _LEARNERS}
    for fitted, held_out in GroupKFold(parts, shuffle=True, random_state=trial.seed).split(index, groups=subject):
        part = replace(trial, train=index[fitted], validation=index[:0], test=index[held_out])
        for name, learn in _LEARNERS.items():
            pooled[name][held_out] = learn(part, config)[0]
    asked = replace(trial, validation=index)
    return {name: asked.score(probability) for name, probability in pooled.items()}


def _logistic(trial: Trial, config: ProbeConfig) -> tuple[np.ndarray, dict[str, Any]]:
    # the hand features take the place of the side features: standardised, clipped, penalised alike
    swapped = replace(trial, items=replace(trial.items, features=trial.items.hand))
    nothing = np.empty((len(trial.items), 0), np.float32)
    probability, chosen = linear_probe(swapped, nothing, config)
    return probability, {"c": chosen["c"]}


def _boosting(trial: Trial, config: ProbeConfig) -> tuple[np.ndarray, dict[str, Any]]:
    return _boost(trial, trial.learnable, trial.test, config), {}


_LEARNERS = {"logistic regression": _logistic, "gradient boosting": _boosting}


def _boost(trial: Trial, fitted: np.ndarray, asked: np.ndarray, config: ProbeConfig) -> np.ndarray:
    index, stands_for = thin(trial.items, fitted, MOST_BOOSTED, trial.seed)
    label, x = trial.items.label[index], trial.items.hand[index]
    # early stopping would hold out items of the same subjects; a fixed small number of rounds does not
    model = HistGradientBoostingClassifier(
        max_iter=80, learning_rate=0.1, max_leaf_nodes=15, l2_regularization=1.0, early_stopping=False,  # type: ignore[arg-type]
        random_state=trial.seed,
    )  # fmt: skip
    if trial.multilabel:
        return OneVsRestClassifier(model).fit(x, label).predict_proba(trial.items.hand[asked])
    weight = item_weights(trial, fitted, index, stands_for, config.class_weight).numpy()
    out = np.zeros((len(asked), trial.classes), np.float32)
    if len(np.unique(label)) == 1:
        out[:, label[0]] = 1.0
        return out
    model.fit(x, label, sample_weight=weight)
    out[:, np.asarray(model.classes_, np.int64)] = model.predict_proba(trial.items.hand[asked])
    return out
