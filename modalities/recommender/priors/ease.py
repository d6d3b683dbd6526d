"""EASE: the linear model that writes each history by the other items in it (Steck 2019, doi:10.1145/3308558.3313710).

Closed form: B = I - P / diag(P) with P = (R^T R + regularisation I)^-1. Items squared in memory, cubed in time: for
catalogues of some thousands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, sparse

from ....core.errors import InputError
from ..interactions import Interactions
from .item_graph import as_dense
from .scorer import HistoryScorer, Prior


@dataclass(frozen=True)
class Ease(Prior):
    """regularisation: ridge penalty. most_items: larger catalogues are refused."""

    regularisation: float = 500.0
    most_items: int = 12_000

    name = "ease"
    grid = tuple({"regularisation": r} for r in (50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0))

    def __post_init__(self) -> None:
        if not self.regularisation > 0:
            raise InputError("ease needs a penalty", field="regularisation", got=self.regularisation, expected="> 0")

    def fit(self, train: Interactions) -> HistoryScorer:
        if train.n_items > self.most_items:
            raise InputError(
                "too many items for ease", got=train.n_items, expected=f"at most {self.most_items}",
                fix="use gf-cf, or raise most_items (memory grows with its square)",
            )  # fmt: skip
        gram = as_dense(train.matrix.T @ train.matrix).astype(np.float64)
        gram[np.diag_indices_from(gram)] += self.regularisation
        inverse = linalg.inv(gram, overwrite_a=True, check_finite=False, assume_a="pos")
        weights = (-inverse / np.diag(inverse)).astype(np.float32)
        np.fill_diagonal(weights, 0)
        return _Scorer(train, weights)


class _Scorer(HistoryScorer):
    """weights: [item of the history, item]."""

    def __init__(self, train: Interactions, weights: np.ndarray) -> None:
        super().__init__(train)
        self._weights = weights

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return as_dense(histories @ self._weights)
