"""Items like those in the history: cosine of who took them, the nearest few of each item (Sarwar et al. 2001).

The similarity of two items is shrunk where few users took both, s = n_ab / (sqrt(n_a n_b) + shrink).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ....core.errors import InputError
from ..interactions import Interactions
from .item_graph import as_dense
from .scorer import HistoryScorer, Prior

_BLOCK_BYTES = 2**27


@dataclass(frozen=True)
class ItemKnn(Prior):
    """neighbours: kept of each item. shrink: of similarities that few users speak for."""

    neighbours: int = 100
    shrink: float = 10.0

    name = "item-knn"
    grid = tuple({"neighbours": n, "shrink": s} for n in (20, 50, 100, 200, 400) for s in (0.0, 10.0))

    def __post_init__(self) -> None:
        if self.neighbours < 1 or self.shrink < 0:
            raise InputError("item-knn needs neighbours >= 1 and shrink >= 0", got=f"{self.neighbours}, {self.shrink}")

    def fit(self, train: Interactions) -> HistoryScorer:
        by_item = sparse.csr_matrix(train.matrix.T)
        root = np.sqrt(train.item_degree).astype(np.float32)
        step = max(1, _BLOCK_BYTES // (4 * train.n_items))
        pieces = [
            self._nearest(by_item[at : at + step] @ train.matrix, root, at) for at in range(0, train.n_items, step)
        ]
        return _Scorer(train, sparse.csr_matrix(sparse.vstack(pieces).T))

    def _nearest(self, together: sparse.csr_matrix, root: np.ndarray, start: int) -> sparse.csr_matrix:
        """[item of the block, neighbour] similarities of the nearest ones. together: users who took both."""
        counts = together.toarray()
        rows = np.arange(len(counts))
        counts[rows, start + rows] = 0
        scale = np.outer(root[start : start + len(counts)], root) + np.float32(self.shrink)
        similarity = np.divide(counts, scale, out=np.zeros_like(counts), where=scale > 0)
        kept = min(self.neighbours, similarity.shape[1])
        nearest = np.argpartition(-similarity, kept - 1, axis=1)[:, :kept]
        value = np.take_along_axis(similarity, nearest, axis=1).ravel()
        found = sparse.csr_matrix((value, (np.repeat(rows, kept), nearest.ravel())), shape=similarity.shape)
        found.eliminate_zeros()
        return found


class _Scorer(HistoryScorer):
    """similar: [item of the history, item] similarities."""

    def __init__(self, train: Interactions, similar: sparse.csr_matrix) -> None:
        super().__init__(train)
        self._similar = similar

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return as_dense(histories @ self._similar)
