"""An encoder of ids on the graph of what occurred together: propagation instead of layers.

LightGCN (He et al. 2020, https://arxiv.org/abs/2002.02126) without vectors of its own for rows, so that a new one is
served by its history: with R the matrix [row, id] of what may be learned from, and R~ = D_row^-1/2 R D_id^-1/2,

    E_(k+1) = R~' R~ E_k,   table = mean of E_0 ... E_layers,   row = sum over its ids of table / sqrt(d_row d_id).

Two steps of LightGCN (to people and back) are one here. The operator is symmetric, so the backward pass is the same two
sparse products.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ..errors import InputError
from ..known import KnownIds
from ..sequence import PatchSequence, SequenceSpec
from .embed import PatchEmbedding
from .encoder import Encoded, Encoder
from .registry import register


@register("encoder", "id_graph")
class IdGraphEncoder(Encoder):
    """Propagated vectors of ids, summed over a row. Attention, coordinates and kinds are not looked at.

    width: of a vector. layers: propagations there and back.
    """

    def __init__(self, spec: SequenceSpec, *, width: int = 64, layers: int = 1) -> None:
        super().__init__(spec)
        if not spec.vocabulary:
            raise ValueError("a graph of ids needs patches with ids, these carry values")
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        self.width, self.depth = width, layers
        self.embed = PatchEmbedding(spec, width)
        self.embed.init_weights()
        self._operator: tuple[Tensor, Tensor] | None = None  # R~ and its transpose; the modality's, not weights
        self._scale: Tensor | None = None
        self._table: tuple[tuple[int, bool], Tensor] | None = None

    def tell(self, known: KnownIds) -> None:
        """Learn the graph."""
        if known.taken is None:
            return
        taken = sparse.csr_matrix(known.taken, dtype=np.float32)
        rows, ids = (np.asarray(taken.sum(axis=axis)).ravel() for axis in (1, 0))
        rows, ids = (np.divide(1, np.sqrt(d), out=np.zeros(len(d), np.float32), where=d > 0) for d in (rows, ids))
        normal = sparse.csr_matrix(sparse.diags(rows) @ taken @ sparse.diags(ids), dtype=np.float32)
        self._operator = (_tensor(normal), _tensor(sparse.csr_matrix(normal.T)))
        self._scale = torch.from_numpy(ids)

    def id_table(self) -> Tensor:
        """[id, width] propagated vectors. Those of the last encoding are reused while nothing has changed."""
        key = (self.embed.tables[0].weight._version, torch.is_grad_enabled())  # type: ignore[operator]
        if self._table is None or self._table[0] != key:
            self._table = (key, self._propagated())
        return self._table[1]

    def encode(self, batch: PatchSequence, index: Tensor | None, keep_layers: int) -> Encoded:
        if torch.is_grad_enabled():
            self._table = None  # a graph serves one backward pass
        table, scale = self.id_table(), self._scale
        assert scale is not None
        assert batch.ids is not None
        valid = batch.valid
        ids = batch.ids[..., 0].masked_fill(~valid, 0)
        tokens = torch.nn.functional.embedding(ids, table)
        weight = scale.to(table.device)[ids] * valid / valid.sum(dim=1, keepdim=True).clamp(min=1).sqrt()
        pooled = (tokens * weight.unsqueeze(-1)).sum(dim=1)
        layers = (tokens,) if keep_layers else ()
        return Encoded(tokens, valid, batch.coords.float(), index, pooled, layers, tokens)

    def _propagated(self) -> Tensor:
        if self._operator is None:
            raise InputError(
                "this encoder needs to know which ids occurred together", field="encoder.name", got="id_graph",
                fix="use a modality that tells it, or the encoder set",
            )  # fmt: skip
        there, back = (part.to(self.embed.tables[0].weight.device) for part in self._operator)  # type: ignore[union-attr]
        with torch.autocast(there.device.type, enabled=False):  # sparse products know float32 alone
            x = total = self.embed.vectors(0)
            for _ in range(self.depth):
                x = _ThereAndBack.apply(x, there, back)
                total = total + x
            return total / (self.depth + 1)

    def __deepcopy__(self, memo: dict[int, object]) -> IdGraphEncoder:
        """A copy for a moving average: the graph is shared, what was propagated is not."""
        import copy

        new = type(self).__new__(type(self))
        memo[id(self)] = new
        shared = {"_operator": self._operator, "_scale": self._scale, "_table": None}
        new.__dict__.update({k: copy.deepcopy(v, memo) for k, v in self.__dict__.items() if k not in shared} | shared)
        return new


class _ThereAndBack(torch.autograd.Function):
    """R' R x, which is its own gradient."""

    @staticmethod
    def forward(ctx, x: Tensor, there: Tensor, back: Tensor) -> Tensor:  # type: ignore[override]
        ctx.operator = (there, back)
        return back @ (there @ x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        there, back = ctx.operator
        return back @ (there @ gradient.contiguous()), None, None


def _tensor(matrix: sparse.csr_matrix) -> Tensor:
    starts, ids = (torch.from_numpy(part.astype(np.int64)) for part in (matrix.indptr, matrix.indices))
    return torch.sparse_csr_tensor(starts, ids, torch.from_numpy(matrix.data), matrix.shape, check_invariants=False)
