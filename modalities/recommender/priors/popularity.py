"""The most taken items, the same for everybody: what a scorer must beat to be worth anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ..interactions import Interactions
from .scorer import HistoryScorer, Prior


@dataclass(frozen=True)
class Popularity(Prior):
    """No options."""

    name = "popularity"

    def fit(self, train: Interactions) -> HistoryScorer:
        return _Scorer(train)


class _Scorer(HistoryScorer):
    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return np.tile(self.train.item_degree.astype(np.float32), (histories.get_shape()[0], 1))
