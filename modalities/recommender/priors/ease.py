"""EASE: the linear model that writes each history by the other items in it (Steck 2019, doi:10.1145/3308558.3313710).

Closed form: B = I - P / diag(P) with P = (R^T R + regularisation I)^-1. Items squared in memory, cubed in time: for
catalogues of some thousands. In float32, by LAPACK's Cholesky pair: half the memory and time of a general inverse, and
with a penalty of 1 or more the weights differ from those in float64 in the fourth digit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

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
    grid = tuple({"regularisation": r} for r in (30.0, 100.0, 300.0, 1000.0, 3000.0))

    def __post_init__(self) -> None:
        if not self.regularisation > 0:
            raise InputError("ease needs a penalty", field="regularisation", got=self.regularisation, expected="> 0")

    def fit(self, train: Interactions) -> HistoryScorer:
        if train.n_items > self.most_items:
            raise InputError(
                "too many items for ease", got=train.n_items, expected=f"at most {self.most_items}",
                fix="use gf-cf, or raise most_items (memory grows with its square)",
            )  # fmt: skip
        gram = np.asfortranarray(as_dense(train.matrix.T @ train.matrix))
        gram[np.diag_indices_from(gram)] += np.float32(self.regularisation)
        factor, failed = lapack.spotrf(gram, lower=True, overwrite_a=True)  # pyright: ignore[reportAttributeAccessIssue]
        weights, singular = lapack.spotri(factor, lower=True, overwrite_c=True)  # pyright: ignore[reportAttributeAccessIssue]
        if failed or singular:
            raise InputError("the items cannot be told apart", field="regularisation", got=self.regularisation,
                             fix="raise it")  # fmt: skip
        # LAPACK fills one triangle
        weights = np.tril(weights) + np.tril(weights, -1).T
        weights /= -np.diag(weights).copy()
        np.fill_diagonal(weights, 0)
        return _Scorer(train, weights)


class _Scorer(HistoryScorer):
    """weights: [item of the history, item]."""

    def __init__(self, train: Interactions, weights: np.ndarray) -> None:
        super().__init__(train)
        self._weights = weights

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return as_dense(histories @ self._weights)
