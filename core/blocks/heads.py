"""Query heads: predict something at places the encoder did not see.

The narrow transformer that fills in hidden places is the same in JEPA (predicts latents, Assran et al. 2023,
https://arxiv.org/abs/2301.08243) and in MAE (predicts values); only its output width differs. Queries are mask tokens
that carry coordinates, so any place can be asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..sequence import SequenceSpec
from .attention import Block, init_weights, key_bias
from .edges import Graph
from .encoder import Encoded
from .positions import build_positions
from .registry import register


@dataclass(frozen=True)
class Query:
    """Places to predict at. coords: [row, k, axis]; kind: [row, k]; valid: [row, k].

    index: [row, k] positions on the batch's patch axis. graph: what joins them, for heads that read it.
    """

    coords: Tensor
    kind: Tensor
    valid: Tensor
    index: Tensor | None = None
    graph: Graph | None = None


class QueryHead(nn.Module):
    """Base of heads that read an encoding and answer queries: (Encoded, Query) -> [row, k, out].

    reads_graph: its queries bring the graph of the patches.
    """

    out: int
    reads_graph: ClassVar[bool] = False


class CoordinateTransformer(QueryHead):
    """Context tokens and mask tokens through a narrow transformer; the mask tokens' outputs are the answer."""

    block: type[nn.Module] = Block

    def __init__(
        self,
        spec: SequenceSpec,
        in_width: int,
        out: int,
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: float,
        positions: str,
    ) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        self.out = out
        self.enter = nn.Linear(in_width, width)
        self.positions, self.rotary = build_positions(positions, spec, width, heads)
        self.ask = nn.Parameter(torch.zeros(len(spec.kinds), width))
        self.blocks = nn.ModuleList(self.block(width, heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, out)
        self.apply(init_weights)
        nn.init.trunc_normal_(self.ask, std=0.02)

    def forward(self, encoded: Encoded, query: Query) -> Tensor:
        context = self.enter(encoded.tokens)
        asked, places = self.asked(query, context)
        coords = torch.cat([encoded.coords, places], dim=1)
        x = torch.cat([context, asked], dim=1)
        if self.positions is not None:
            x = x + self.positions(coords)
        rotation = self.rotary(coords) if self.rotary is not None else None
        bias = key_bias(torch.cat([encoded.valid, query.valid], dim=1))
        *earlier, last = self.blocks
        for block in earlier:
            x = block(x, bias, rotation)
        # nobody reads what the last block would make of the context
        x = last(x, bias, rotation, start=context.shape[1])
        return self.leave(self.norm(x))

    def asked(self, query: Query, like: Tensor) -> tuple[Tensor, Tensor]:
        """[row, k, width] mask tokens of the queries and [row, k, axis] their places, fillers at zero."""
        kind = query.kind.masked_fill(~query.valid, 0)
        asked = self.ask[kind] if len(self.ask) > 1 else self.ask.expand(*kind.shape, -1)
        return asked.to(like.dtype), query.coords.float().masked_fill(~query.valid.unsqueeze(-1), 0.0)


@register("head", "predictor")
class Predictor(CoordinateTransformer):
    """JEPA predictor: answers in the width of the encoder's tokens."""

    def __init__(
        self,
        spec: SequenceSpec,
        in_width: int,
        *,
        width: int = 96,
        depth: int = 3,
        heads: int = 3,
        mlp_ratio: float = 4.0,
        positions: str = "fourier",
    ) -> None:
        super().__init__(spec, in_width, in_width, width, depth, heads, mlp_ratio, positions)


@register("head", "decoder")
class Decoder(CoordinateTransformer):
    """MAE decoder: answers with the numbers of a patch."""

    def __init__(
        self,
        spec: SequenceSpec,
        in_width: int,
        *,
        width: int = 96,
        depth: int = 2,
        heads: int = 3,
        mlp_ratio: float = 4.0,
        positions: str = "fourier",
        out: int | None = None,
    ) -> None:
        super().__init__(spec, in_width, out or spec.patch_size, width, depth, heads, mlp_ratio, positions)
