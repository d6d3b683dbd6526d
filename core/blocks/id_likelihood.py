"""Cross-entropy over all ids of a vocabulary, a few rows of scores at a time.

A step over 2,000 rows and 40,000 ids has 80 million scores. Automatic differentiation walks over them about ten times
(scores, mask, maximum, exponent, sum, gather, and back); here they are made a few rows at a time, walked over while
they are in the processor's cache, and only their exponents are kept, in the precision of the products. The backward
pass is two products of what was kept, and sparse corrections for the ids that were right.

Let s = vectors table' and p = softmax(s) without the ids that are left out; for pairs (r, i) the values are
-log p[r, i], so with G the gradients g of the pairs of a row, summed, d vectors = G p table - sum g table[i], and
d table = p' (G vectors) - sum g vectors[r].
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_CHUNK = 128  # rows at a time: their scores of 40,000 ids are 20 MB


def id_likelihood(
    vectors: Tensor,
    table: Tensor,
    row: Tensor,
    ids: Tensor,
    out_row: Tensor | None = None,
    out_ids: Tensor | None = None,
) -> Tensor:
    """[pair] float32 negative log-likelihood of `ids` [pair] of the vectors `row` [pair].

    vectors: [row, width]; table: [id, width]. out_row, out_ids: [n] pairs that are no alternatives; what is asked for
    must not be among them. Products are made in the precision of an active autocast, else in that of `vectors`.
    """
    kind = vectors.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else vectors.dtype
    if out_row is None or out_ids is None:
        out_row = out_ids = ids.new_zeros(0)
    else:
        order = torch.argsort(out_row, stable=True)
        out_row, out_ids = out_row[order], out_ids[order]
    with torch.autocast(kind, enabled=False):
        found: Any = _Likelihood.apply(vectors, table, row, ids, out_row, out_ids, dtype)
    return found


class _Likelihood(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, vectors: Tensor, table: Tensor, row: Tensor, ids: Tensor, out_row: Tensor, out_ids: Tensor,
        dtype: torch.dtype,
    ) -> Tensor:  # fmt: skip
        n, near, across = len(vectors), vectors.to(dtype), table.to(dtype)
        turned = across.T.contiguous()
        kept = torch.empty(n, len(table), dtype=dtype, device=table.device)
        total = torch.empty(n, device=table.device)
        largest = torch.empty_like(total)
        bounds = torch.searchsorted(out_row, torch.arange(0, n + _CHUNK, _CHUNK, device=out_row.device)).tolist()
        for k, start in enumerate(range(0, n, _CHUNK)):
            part = slice(start, start + _CHUNK)
            scores = (near[part] @ turned).float()
            gone = slice(bounds[k], bounds[k + 1])
            scores[out_row[gone] - start, out_ids[gone]] = -torch.inf
            # finite also for a row of which nothing is left, and nothing asked
            largest[part] = scores.amax(dim=1).clamp(min=torch.finfo().min)
            scores.sub_(largest[part].unsqueeze(1)).exp_()
            total[part] = scores.sum(dim=1)
            kept[part] = scores
        ctx.save_for_backward(vectors, table, row, ids, kept, total)
        right = (near[row].float() * across[ids].float()).sum(dim=1)
        return (total.log() + largest)[row] - right

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        vectors, table, row, ids, kept, total = ctx.saved_tensors
        # by row; divided by the total because what was kept is not normed
        share = (torch.zeros_like(total).index_add_(0, row, gradient.float()) / total.clamp(min=1e-30)).unsqueeze(1)
        weight = gradient.float().unsqueeze(1)
        of_vectors = (kept @ table.to(kept.dtype)).float() * share
        of_vectors.index_add_(0, row, -weight * table[ids].float())
        of_table = (kept.T @ (vectors.float() * share).to(kept.dtype)).float()
        of_table.index_add_(0, ids, -weight * vectors[row].float())
        return of_vectors.to(vectors.dtype), of_table.to(table.dtype), *[None] * 5
