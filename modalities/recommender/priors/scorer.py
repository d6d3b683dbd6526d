"""What priors share: options that are fitted to a training graph and then score any history.

A scorer looks at histories and not at who they belong to, so somebody new is served at once. Who has no history gets
the most popular items.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from ..interactions import Interactions


class HistoryScorer(ABC):
    """Scores of all items for histories of known items."""

    def __init__(self, train: Interactions) -> None:
        self.train = train

    def __call__(self, users: np.ndarray) -> np.ndarray:
        """[row, item] float32 scores for users of the training graph, by their codes."""
        return self.of_histories(self.train.matrix[users])

    def of_histories(self, histories: sparse.csr_matrix) -> np.ndarray:
        """[row, item] float32 scores for anybody's history, [row, item] float32 of ones."""
        scores = np.ascontiguousarray(self.score(histories), np.float32)
        scores[np.diff(histories.indptr) == 0] = self.train.item_degree
        return scores

    @abstractmethod
    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        """[row, item] scores; rows without history are taken care of elsewhere."""


class Prior(ABC):
    """A frozen dataclass of options.

    name: by which recipes and tables call it. grid: options to choose from, on validation.
    """

    name: ClassVar[str]
    grid: ClassVar[Sequence[Mapping[str, Any]]] = ({},)

    @abstractmethod
    def fit(self, train: Interactions) -> HistoryScorer:
        """A scorer for a training graph. Raises InputError when the graph is too large for this prior."""
