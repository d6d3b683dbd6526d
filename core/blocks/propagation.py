"""Propagation of vectors over a graph of rows and ids, as LightGCN does it (He et al. 2020,
https://arxiv.org/abs/2002.02126): no weights, each layer a product with the symmetric-normalised graph, the mean of
layers.

With R [row, id] what occurred together and R~ = D_row^-1/2 R D_id^-1/2,

    rows_(k+1) = R~ ids_k,   ids_(k+1) = R~' rows_k,   result = mean of layers 0 ... `layers`.

The graph is kept as two lists of neighbours, those of R~ and of its transpose: a layer is two small sums instead of one
product with both halves in one matrix, and the backward pass is a sum over the other one's. Each sum is a bag of
weighted vectors, which torch adds up four to eight times as fast on a CPU as it multiplies by a CSR matrix.

A few edges can be left out of one pass without making the graph anew: what they carry is taken off again, which costs
as much as these edges alone. Degrees stay those of the whole graph.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional as F


def normalised(matrix: sparse.csr_matrix, raised: bool = False) -> sparse.csr_matrix:
    """D_row^-1/2 M D_column^-1/2 in float32; rows and columns without entries stay zero.

    raised: degrees are counted from their mean up, so that small components do not stand out.
    """
    rows, columns = (np.asarray(matrix.sum(axis=axis), np.float64).ravel() for axis in (1, 0))
    left, right = (inverse_root(d + d.mean() if raised else d) for d in (rows, columns))
    return sparse.csr_matrix(sparse.diags_array(left) @ matrix @ sparse.diags_array(right), dtype=np.float32)


def inverse_root(degree: np.ndarray) -> np.ndarray:
    """[node] float32 degree^-1/2, 0 for nodes without edges."""
    return np.divide(1, np.sqrt(degree), out=np.zeros(len(degree)), where=degree > 0).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Propagated:
    """rows: [row, width], None where rows have no vectors of their own. ids: [id, width]. told: [id, width], what ids
    tell a row that is not in the graph: a step from here, as any row makes it, gives that row's vector.
    """

    rows: Tensor | None
    ids: Tensor
    told: Tensor


class Propagation:
    """Smooths vectors of rows and ids. The graph is no weight: make this anew from what may be learned from.

    matrix: [row, id] of ones. layers: steps, each in both directions.
    """

    def __init__(self, matrix: sparse.csr_matrix, layers: int = 3) -> None:
        operator = normalised(sparse.csr_matrix(matrix))
        operator.sort_indices()
        self.layers = layers
        self._keys: Tensor | None = None  # [edge] int64 row * ids + id, ascending
        self._to_rows, self._to_ids = _Neighbours.of(operator), _Neighbours.of(sparse.csr_matrix(operator.T))

    def __call__(self, rows: Tensor | None, ids: Tensor, without: Tensor | None = None) -> Propagated:
        """rows: [row, width], or None where rows begin with nothing, which saves half of the work; ids: [id, width].
        without: [2, edge] int64 rows and ids of edges that carry nothing this time; the graph need not have them."""
        self._move(ids.device)
        out = None if without is None else self._edges(without)
        row, own = rows, ids
        all_rows, all_ids, told = rows, ids, torch.zeros_like(ids)
        with torch.autocast(ids.device.type, enabled=False):  # these sums are of float32
            for layer in range(1, self.layers + 1):
                told = all_ids
                last = rows is None and layer == self.layers  # nobody asks for the rows then
                row, own = (
                    None if last else _less(_product(self._to_rows, self._to_ids, own), own, out),
                    _less(_product(self._to_ids, self._to_rows, row), row, None if out is None else out.turned()),
                )
                all_ids = all_ids if own is None else all_ids + own
                all_rows = None if all_rows is None or row is None else all_rows + row
        share = 1 / (self.layers + 1)
        return Propagated(None if all_rows is None else all_rows * share, all_ids * share, told * share)

    def _edges(self, pairs: Tensor) -> _Edges:
        """Those of the pairs that the graph has, each once."""
        own, ids = self._to_rows, self._to_rows.size
        if self._keys is None:
            row = torch.repeat_interleave(torch.arange(len(own.start) - 1, device=own.node.device), own.start.diff())
            self._keys = row * ids + own.node
        asked = torch.unique(pairs[0] * ids + pairs[1])
        at = torch.searchsorted(self._keys, asked).clamp(max=len(self._keys) - 1)
        at = at[self._keys[at] == asked]
        key = self._keys[at]
        return _Edges(key % ids, key.div(ids, rounding_mode="floor"), own.weight[at])

    def _move(self, device: torch.device) -> None:
        if self._to_rows.node.device != device:
            self._to_rows, self._to_ids = self._to_rows.to(device), self._to_ids.to(device)
            self._keys = None


@dataclass(frozen=True, eq=False)
class _Neighbours:
    """A sparse matrix by its rows. node, weight: [edge] columns and values, row after row; start: [row + 1] where each
    row begins and the last ends; size: of columns."""

    node: Tensor
    weight: Tensor
    start: Tensor
    size: int

    @classmethod
    def of(cls, matrix: sparse.csr_matrix) -> _Neighbours:
        node, start = (torch.from_numpy(a.astype(np.int64)) for a in (matrix.indices, matrix.indptr))
        return cls(node, torch.from_numpy(matrix.data), start, matrix.get_shape()[1])

    def to(self, device: torch.device) -> _Neighbours:
        return replace(self, node=self.node.to(device), weight=self.weight.to(device), start=self.start.to(device))

    def sums(self, x: Tensor) -> Tensor:
        """[row, width] of the weighted vectors of each row's columns. x: [column, width]."""
        return F.embedding_bag(
            self.node, x, self.start, mode="sum", per_sample_weights=self.weight, include_last_offset=True
        )


@dataclass(frozen=True, eq=False)
class _Edges:
    """[edge] where each begins, where it ends and what it weighs."""

    start: Tensor
    stop: Tensor
    weight: Tensor

    def turned(self) -> _Edges:
        return _Edges(self.stop, self.start, self.weight)


def _less(made: Tensor | None, x: Tensor | None, out: _Edges | None) -> Tensor | None:
    """A product with x, without what some edges had carried."""
    if made is None or x is None or out is None:
        return made
    return made.index_add(0, out.stop, -out.weight.unsqueeze(1) * x[out.start])


def _product(matrix: _Neighbours, transposed: _Neighbours, x: Tensor | None) -> Tensor | None:
    return None if x is None else _Product.apply(matrix, transposed, x)


class _Product(torch.autograd.Function):
    """matrix @ x, with the transposed matrix at hand for the gradient."""

    @staticmethod
    def forward(ctx: Any, matrix: _Neighbours, transposed: _Neighbours, x: Tensor) -> Tensor:
        ctx.transposed = transposed
        return matrix.sums(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor]:
        return None, None, ctx.transposed.sums(gradients[0].contiguous())
