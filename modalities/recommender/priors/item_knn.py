"""Items like those in the history: cosine of who took them, the nearest few of each item (Sarwar et al. 2001).

The similarity of two items is shrunk where few users took both, s = n_ab / (sqrt(n_a n_b) + shrink). Items are compared
in blocks, so that memory holds the neighbours that are kept and one block of those that are not.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ....core.errors import InputError
from ..interactions import Interactions
from .item_graph import as_dense
from .scorer import HistoryScorer, Prior

_BLOCK_ENTRIES = 2**25


@dataclass(frozen=True)
class ItemKnn(Prior):
    """neighbours: kept of each item. shrink: of similarities that few users speak for."""

    neighbours: int = 200
    shrink: float = 10.0

    name = "item-knn"
    grid = tuple({"neighbours": n, "shrink": s} for n in (50, 100, 200, 400) for s in (0.0, 10.0))

    def __post_init__(self) -> None:
        if self.neighbours < 1 or self.shrink < 0:
            raise InputError("item-knn needs neighbours >= 1 and shrink >= 0", got=f"{self.neighbours}, {self.shrink}")

    def fit(self, train: Interactions) -> HistoryScorer:
        by_item = sparse.csr_matrix(train.matrix.T)
        root = np.sqrt(train.item_degree).astype(np.float32)
        pieces = []
        for at, until in _blocks(train):
            together = sparse.csr_matrix(by_item[at:until] @ train.matrix)
            pieces.append(self._nearest(together, root, at))
        return _Scorer(train, sparse.csr_matrix(sparse.vstack(pieces).T))

    def _nearest(self, together: sparse.csr_matrix, root: np.ndarray, start: int) -> sparse.csr_matrix:
        """[item of the block, item] similarities of the nearest ones. together: how many users took both."""
        own = np.repeat(np.arange(start, start + together.get_shape()[0]), np.diff(together.indptr))
        similarity = together.data / (root[own] * root[together.indices] + np.float32(self.shrink))
        similarity[own == together.indices] = 0
        kept = np.zeros(len(similarity), bool)
        for first, last in zip(together.indptr[:-1], together.indptr[1:], strict=True):
            if last - first <= self.neighbours:
                kept[first:last] = True
            else:
                order = np.argpartition(similarity[first:last], -self.neighbours)
                kept[first + order[-self.neighbours :]] = True
        kept &= similarity > 0
        rows, columns = own[kept] - start, together.indices[kept]
        return sparse.csr_matrix((similarity[kept], (rows, columns)), shape=together.shape)


def _blocks(train: Interactions) -> list[tuple[int, int]]:
    """(first, last + 1) items of each block; together at most `_BLOCK_ENTRIES` pairs, unless one item has more."""
    pairs = np.asarray(train.matrix.T @ train.user_degree.astype(np.float64)).ravel()
    block = (np.cumsum(np.minimum(pairs, train.n_items)) // _BLOCK_ENTRIES).astype(np.int64)
    edges = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), train.n_items]
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]


class _Scorer(HistoryScorer):
    """similar: [item of the history, item] similarities."""

    def __init__(self, train: Interactions, similar: sparse.csr_matrix) -> None:
        super().__init__(train)
        self._similar = similar

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return as_dense(histories @ self._similar)
