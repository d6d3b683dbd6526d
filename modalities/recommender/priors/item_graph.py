"""Items that are taken together: M^T M of the normalised training graph M [user, item], applied to histories.

Held as numbers where that is small (dense when most pairs occur), else applied as two products: the explicit form is
an order of magnitude faster, but grows with the squared length of histories.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import sparse

from ....core.blocks.propagation import normalised
from ..graph_key import GraphKey
from ..interactions import Interactions

_MOST_BYTES = 2 * 2**30
_DENSE = 0.2  # share of pairs that occur, from which on a dense product is faster


class ItemGraph:
    """`of(histories)` = histories @ M^T @ M, [row, item]; `of_scores` the same for dense rows."""

    def __init__(self, operator: sparse.csr_matrix) -> None:
        self._operator = operator
        self._explicit: np.ndarray | sparse.csr_matrix | None = None
        _, n_items = operator.get_shape()
        most_entries = min(int((np.diff(operator.indptr).astype(np.int64) ** 2).sum()), n_items * n_items)
        if 8 * most_entries <= _MOST_BYTES:
            found = sparse.csr_matrix(operator.T @ operator)
            self._explicit = found.toarray() if found.nnz > _DENSE * n_items * n_items else found

    def of(self, histories: sparse.csr_matrix) -> np.ndarray:
        if self._explicit is None:
            return self._in_two(histories.toarray())
        return as_dense(histories @ self._explicit)

    def of_scores(self, scores: np.ndarray) -> np.ndarray:
        """For rows without zeros to save, two sparse products are faster than one with all pairs of items."""
        return scores @ self._explicit if isinstance(self._explicit, np.ndarray) else self._in_two(scores)

    def _in_two(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray((self._operator.T @ (self._operator @ rows.T)).T)


def item_graph_of(train: Interactions) -> ItemGraph:
    """That of a training graph; the last one is remembered, for priors are tried with many options."""
    return _item_graph(GraphKey(train))


@lru_cache(maxsize=1)
def _item_graph(graph: GraphKey) -> ItemGraph:
    return ItemGraph(normalised(graph.train.matrix))


def as_dense(product: np.ndarray | sparse.spmatrix) -> np.ndarray:
    """A product that may have come out sparse."""
    return np.asarray(product) if isinstance(product, np.ndarray) else sparse.csr_matrix(product).toarray()
