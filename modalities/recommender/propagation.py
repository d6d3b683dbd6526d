"""Propagation of vectors over the graph of users and items, as LightGCN does it (He et al. 2020,
doi:10.1145/3397271.3401063): no weights, each layer a product with the symmetric-normalised graph, the mean of layers.

The graph is kept as two CSR matrices, users to items and its transpose: a bipartite layer is two small products instead
of one with both halves in one matrix, and the backward pass is a product with the other one. torch's own backward
would transpose anew in every step.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from scipy import sparse
from torch import Tensor, nn

from .interactions import Interactions
from .spectral import normalised


class Propagation(nn.Module):
    """([user, width], [item, width]) -> the same, smoothed: the mean over 0 to `layers` steps on the graph.

    The graph is no weight and is not saved; make this anew from the training interactions.
    """

    def __init__(self, train: Interactions, layers: int = 3) -> None:
        super().__init__()
        operator = normalised(train.matrix)
        self.layers = layers
        self._to_users, self._to_items = _csr(operator), _csr(sparse.csr_matrix(operator.T))

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        sums = [users, items]
        for _ in range(self.layers):
            users, items = (
                _Product.apply(self._to_users, self._to_items, items),
                _Product.apply(self._to_items, self._to_users, users),
            )
            sums = [sums[0] + users, sums[1] + items]
        return sums[0] / (self.layers + 1), sums[1] / (self.layers + 1)


class _Product(torch.autograd.Function):
    """matrix @ x, with the transposed matrix at hand for the gradient."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transposed: Tensor, x: Tensor) -> Tensor:
        ctx.transposed = transposed
        return matrix @ x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor]:
        return None, None, ctx.transposed @ gradients[0]


def _csr(matrix: sparse.csr_matrix) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        parts = (torch.from_numpy(a) for a in (matrix.indptr, matrix.indices, matrix.data))
        return torch.sparse_csr_tensor(*parts, size=matrix.shape, check_invariants=False)
