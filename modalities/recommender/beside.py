"""What side graphs say of items without training, to stand beside a ranking that knows the interactions alone.

A model that reads a side graph should be compared with a ranking that reads it too. Like all of them these score
histories, whoever they belong to:

- friends: the people who took what a history holds, spread to their friends, and what these took:
  h R~' S R~ with S the normalised graph of friends and R~ the normalised training graph;
- facts: items that lie near those of the history on the side graphs of items.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from ...core.blocks.propagation import inverse_root, normalised
from ...core.ranking import Ranker
from .blend import mixed, standardised
from .catalogue import Catalogue

SideScores = Callable[[sparse.csr_matrix], np.ndarray]  # histories [row, item] -> [row, item]
WEIGHTS = (0.1, 0.3)  # of a side graph


def side_scores(catalogue: Catalogue, positions: int) -> dict[str, SideScores]:
    """What there is: "friends", "facts". positions: how many an item has on each graph."""
    found: dict[str, SideScores] = {}
    if catalogue.train is None:
        return found
    if catalogue.friends is not None:
        both = catalogue.friends.maximum(catalogue.friends.T)
        found["friends"] = _through(normalised(catalogue.train.matrix), normalised(sparse.csr_matrix(both)))
    numbers = np.arange(positions + 1, catalogue.known.shape[1])
    if len(numbers):
        # the last number of each graph is a flag
        places = catalogue.known[:, numbers[(numbers + 1) % (positions + 1) != 0]]
        found["facts"] = _near(places, catalogue.train.item_degree)
    return found


def beside(alone: Ranker, side: SideScores, weight: float) -> Ranker:
    """A ranker and a side graph as one."""

    def fit(known: sparse.csr_matrix) -> SideScores:
        own = alone(known)
        return lambda shown: mixed(standardised(own(shown)), standardised(side(shown)), weight)

    return fit


def _through(taken: sparse.csr_matrix, friends: sparse.csr_matrix) -> SideScores:
    spread = sparse.csr_matrix(friends @ taken)

    def score(histories: sparse.csr_matrix) -> np.ndarray:
        return sparse.csr_matrix((histories @ taken.T) @ spread).toarray()

    return score


def _near(positions: np.ndarray, degree: np.ndarray) -> SideScores:
    size = np.sqrt(np.square(positions).sum(axis=1, keepdims=True))
    unit = np.divide(positions, size, out=np.zeros_like(positions), where=size > 0)
    # what everybody takes says little of a taste
    start = unit * inverse_root(degree.astype(np.float64))[:, None]

    def score(histories: sparse.csr_matrix) -> np.ndarray:
        return np.asarray(histories @ start) @ unit.T

    return score
