"""Heads that make one vector of a whole row by looking at its tokens, not only at their mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..sequence import SequenceSpec
from .encoder import Encoded
from .registry import register


class RowHead(nn.Module):
    """Base of heads that read an encoding: Encoded -> [row, out]. First in the chain of a term at site pooled.

    keep_layers: how many of the last layers' states it reads.
    """

    out: int
    keep_layers: int = 0

    def forward(self, encoded: Encoded) -> Tensor:
        raise NotImplementedError


@register("head", "attention_pool")
class AttentionPool(RowHead):
    """A learned query a head weighs the tokens; the weighted means of all heads are joined.

    heads: number of queries, a divisor of the width.
    """

    def __init__(self, spec: SequenceSpec, in_width: int, *, heads: int = 4) -> None:
        super().__init__()
        if in_width % heads:
            raise ValueError(f"width {in_width} is not a multiple of heads {heads}")
        self.out, self.heads = in_width, heads
        self.norm = nn.LayerNorm(in_width)
        self.ask = nn.Linear(in_width, heads)
        self.value = nn.Linear(in_width, in_width)

    def forward(self, encoded: Encoded) -> Tensor:
        rows, patches, width = encoded.tokens.shape
        x = self.norm(encoded.tokens)
        # large but finite: a row without any valid token stays finite
        scores = self.ask(x).float().masked_fill(~encoded.valid.unsqueeze(-1), -1e4)
        share = torch.softmax(scores, dim=1).to(x.dtype)
        value = self.value(x).view(rows, patches, self.heads, width // self.heads)
        return torch.einsum("rph,rphd->rhd", share, value).reshape(rows, width)
