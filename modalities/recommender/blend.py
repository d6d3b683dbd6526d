"""Two scorers in one: a prior that needs no training and what was learned, with a weight chosen on validation.

Scores of different kinds have different scales, so each is made zero mean and unit variance over the items of a user
first. A weight of 0 is the first scorer alone: where the second adds nothing, nothing is lost but time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from ...core.ranking import Score
from .evaluation import evaluation_users
from .interactions import Interactions
from .ranking import best_unseen, blocks, find_hits
from .ranking_metrics import user_metrics

WEIGHTS = tuple(np.linspace(0, 1, 11).round(2).tolist())


@dataclass(frozen=True)
class Blend:
    """`(1 - weight) * first + weight * second`, each standardised."""

    first: Score
    second: Score
    weight: float

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise InputError("a weight is a share", field="weight", got=self.weight, expected="0 to 1")

    def __call__(self, users: np.ndarray) -> np.ndarray:
        """[row, item] float32."""
        return mixed(standardised(self.first(users)), standardised(self.second(users)), self.weight)


@dataclass(frozen=True, eq=False)
class ChosenBlend:
    """blend: with the best weight. trials: weight -> the metric on validation."""

    blend: Blend
    trials: Mapping[float, float]


def choose_blend(
    first: Score,
    second: Score,
    known: Interactions,
    validation: Interactions,
    weights: Sequence[float] = WEIGHTS,
    metric: str = "ndcg@20",
) -> ChosenBlend:
    """The weight that ranks validation best; of equal ones the smallest.

    known: what both scorers learned from (train, without validation). Every user is scored once, for all weights.
    """
    users, k = evaluation_users(validation), int(metric.split("@")[1])
    total = np.zeros(len(weights))
    for part in blocks(users, known.n_items):
        one, two = standardised(first(part)), standardised(second(part))
        for at, weight in enumerate(weights):
            best = best_unseen(mixed(one, two, weight), known.matrix, part, k)
            hits = find_hits(best, validation.matrix, part)
            total[at] += user_metrics(hits, validation.user_degree[part], (k,))[metric].sum()
    found = total / len(users)
    return ChosenBlend(
        Blend(first, second, weights[int(found.argmax())]), dict(zip(weights, found.tolist(), strict=True))
    )


def standardised(scores: np.ndarray) -> np.ndarray:
    """[row, item] float32 with zero mean and unit variance in each row; rows of equal scores become zero."""
    centred = scores - scores.mean(axis=1, keepdims=True, dtype=np.float32)
    size = np.sqrt(np.einsum("ij,ij->i", centred, centred) / scores.shape[1])[:, None]
    return np.divide(centred, size, out=np.zeros_like(centred), where=size > 1e-12)


def mixed(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    """A new array."""
    return np.float32(1 - weight) * first + np.float32(weight) * second
