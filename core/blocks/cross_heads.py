"""Query heads whose mask tokens look at the encoding only (CrossMAE, Fu et al. 2024,
https://arxiv.org/abs/2401.14391).

In `heads` the encoding and all queries attend to each other, so a decoder works on every place of a window, hidden or
not, and its cost grows with the square of their number. Here a query attends to the visible tokens alone: queries do
not see each other, an answer does not depend on what else is asked, and the cost is that of the queries. With a mask
that asks for a part of what it hides (`predict`), a decoder of many blocks is cheaper than the encoder it trains.
"""

from __future__ import annotations

from torch import Tensor, nn

from .attention import attend, key_bias, rotate
from .encoder import Encoded
from .heads import CoordinateTransformer, Decoder, Predictor, Query
from .registry import register

Rotation = tuple[Tensor, Tensor]


class CrossBlock(nn.Module):
    """Pre-norm block: queries [row, k, width] gather from a memory [row, patch, width], then a feed-forward."""

    def __init__(self, width: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of heads {heads}")
        self.heads = heads
        self.norm1, self.norm2, self.memory_norm = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask, self.offer, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        bias: Tensor | None = None,
        at: Rotation | None = None,
        of: Rotation | None = None,
    ) -> Tensor:
        """at, of: rotary positions of the queries and of the memory. bias: of the memory's invalid tokens."""
        q = self._split(self.ask(self.norm1(x)))
        k, v = (self._split(half) for half in self.offer(self.memory_norm(memory)).chunk(2, dim=-1))
        if at is not None and of is not None:
            q, k = rotate(q, *at), rotate(k, *of)
        x = x + self.out(attend(q, k, v, bias).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class _CrossAnswers(CoordinateTransformer):
    """Mask tokens through blocks of cross-attention to the encoding."""

    block = CrossBlock

    def forward(self, encoded: Encoded, query: Query) -> Tensor:
        memory = self.enter(encoded.tokens)
        x, places = self.asked(query, memory)
        if self.positions is not None:
            memory, x = memory + self.positions(encoded.coords), x + self.positions(places)
        at, of = (self.rotary(places), self.rotary(encoded.coords)) if self.rotary is not None else (None, None)
        bias = key_bias(encoded.valid)
        for block in self.blocks:
            x = block(x, memory, bias, at, of)
        return self.leave(self.norm(x))


@register("head", "cross_predictor")
class CrossPredictor(_CrossAnswers, Predictor):
    """As `predictor`, each query for itself."""


@register("head", "cross_decoder")
class CrossDecoder(_CrossAnswers, Decoder):
    """As `decoder`, each query for itself."""
