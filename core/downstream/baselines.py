"""Controls without an encoder: the class prior, covariates of people, and the field's own hand-made features.

Hand features get several learners: a linear one, trees, a kernel. Which one is the `hand-features` row is said by the
task (`Task.hand_learner`, the field's own choice) or fixed by the numbers of labelled items and of features, not by a
score: held-out labelled subjects were seen to decide differently from seed to seed, and the baseline moved with them.
All are returned, so that a report can print them side by side; but boosting is not tried on more features than items,
where it takes minutes to overfit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..config import ProbeConfig
from ..task import EXTRA_TREES, KERNEL_MACHINE
from .calibration import temperature_of_unseen
from .estimator import MOST_ITEMS
from .given import for_each
from .kernel import kernel_machine
from .linear import linear_probe
from .targets import typical
from .trees import boosted, extra_trees
from .trial import Trial

# below this many labelled items a line is the better guess
LEAST_BOOSTED = 1_000

_BOOSTING = "gradient boosting"
# tried only where the task names them
_OF_A_FIELD = {EXTRA_TREES: extra_trees, KERNEL_MACHINE: kernel_machine}


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


def hand_learners(trial: Trial, config: ProbeConfig, first: str = "") -> list[Learned]:
    """The learners on the hand features, first the one whose row this is: `first`, "" = by numbers."""
    linear, items = _logistic(trial, trial.items.hand, config), len(trial.learnable) // trial.items.models
    learners = [linear]
    if trial.items.hand.shape[1] <= items:
        learners.append(Learned(_BOOSTING, boosted(trial, config), {}))
        if items >= LEAST_BOOSTED:
            learners.reverse()
    if first in _OF_A_FIELD:
        return [Learned(first, _OF_A_FIELD[first](trial, config), {}), *learners]
    return sorted(learners, key=lambda learned: learned.learner != first) if first else learners


def draws(trial: Trial, config: ProbeConfig, first: str = "") -> bool:
    """Whether `hand_learners` depend on the trial's seed: forests and kernels draw, and so does who thins a class."""
    one = trial.multilabel or trial.numeric
    counts = [len(trial.learnable)] if one else np.bincount(trial.items.label[trial.learnable], minlength=1)
    return first in _OF_A_FIELD or max(counts) > min(config.most_items, MOST_ITEMS)


def temperature_of(learned: Learned, trial: Trial, config: ProbeConfig) -> float:
    """How much less sure a learner on the hand features should be of people it was not fitted to; 1 = as it is."""

    def again(part: Trial) -> np.ndarray:
        if learned.learner in (_BOOSTING, *_OF_A_FIELD):
            return {_BOOSTING: boosted, **_OF_A_FIELD}[learned.learner](part, config)
        return _logistic(part, part.items.hand, replace(config, linear_c=(learned.chosen["c"],))).probability

    return temperature_of_unseen(trial, again, config.class_weight)


def _logistic(trial: Trial, columns: np.ndarray, config: ProbeConfig) -> Learned:
    # they take the place of the side features: standardised, clipped, penalised alike
    swapped = replace(trial, items=replace(trial.items, features=columns))
    nothing = np.empty((len(trial.items), 0), np.float32)
    probability, chosen = linear_probe(swapped, nothing, config)
    name = "ridge regression" if trial.numeric else "logistic regression"
    return Learned(name, probability, {"c": chosen["c"]})
