"""Graph decoder: answers at hidden nodes by messages from their neighbours.

The light decoder of GraphMAE (Hou et al. 2022, https://arxiv.org/abs/2205.10803) and SkeletonMAE (Yan et al. 2023,
https://arxiv.org/abs/2307.08476). It works behind any encoder: tokens of visible patches are put back on their nodes.
What stands on the hidden ones is an option. Masked again (`remask`), they begin as learned tokens, so the encoder
spends nothing on them and the decoder sees `depth` steps far; not masked again, they go on as the encoder left them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..sequence import SequenceSpec, gather
from .attention import init_weights
from .edges import flat_places, seen_places
from .encoder import Encoded
from .graph import graph_positions
from .heads import Query, QueryHead
from .message_passing import graph_blocks, through
from .registry import register
from .views import IndexSet


@register("head", "graph_decoder")
class GraphDecoder(QueryHead):
    """(Encoded, Query) -> [row, k, out] by message passing over the whole graph.

    width, depth, layer, heads, mlp_ratio: as in the graph encoder. positions: "fourier" or "none", of hidden nodes.
    remask: begin hidden nodes as learned tokens; False needs an encoder that has states of them (`hidden: token`).
    out: numbers of an answer, default those of a patch.

    Raises InputError for batches without edges, and where nobody has encoded the hidden nodes it should go on from.
    """

    reads_graph = True

    def __init__(
        self,
        spec: SequenceSpec,
        in_width: int,
        *,
        width: int = 128,
        depth: int = 1,
        layer: str = "gin",
        heads: int = 4,
        mlp_ratio: float = 2.0,
        positions: str = "fourier",
        remask: bool = True,
        out: int | None = None,
    ) -> None:
        super().__init__()
        self.out, self.remask = out or spec.patch_size, remask
        self.enter = nn.Linear(in_width, width)
        self.positions = graph_positions(positions, spec, width)
        self.ask = nn.Parameter(torch.zeros(len(spec.kinds), width)) if remask else None
        self.blocks = graph_blocks(depth, width, layer, heads, mlp_ratio)
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, self.out)
        self.apply(init_weights)
        if self.ask is not None:
            nn.init.trunc_normal_(self.ask, std=0.02)

    def forward(self, encoded: Encoded, query: Query) -> Tensor:
        assert query.graph is not None
        assert query.index is not None
        graph = query.graph
        x = self._nodes(encoded, *graph.valid.shape, kind=graph.kind)
        if self.positions is not None:
            x = x + self.positions(graph.coords)
        x = through(self.blocks, x, graph)[-1]
        return self.leave(self.norm(gather(x, None, query.index)))

    def _nodes(self, encoded: Encoded, rows: int, patches: int, kind: Tensor) -> Tensor:
        """[row, patch, width] what stands on each node before the first message."""
        if self.ask is None:
            if encoded.index is None:
                return self.enter(encoded.tokens)  # nothing is hidden
            if encoded.states is None:
                raise InputError(
                    "graph_decoder with remask: false needs states of hidden patches, and the encoder drops them",
                    fix="use encoder.name graph with hidden: token, or remask: true",
                )
            return self.enter(encoded.states)
        x, seen = self.enter(encoded.tokens), encoded.valid
        if encoded.index is not None:
            shown = IndexSet(encoded.index, encoded.valid)
            nodes = x.new_zeros(rows * patches, x.shape[-1])
            x = nodes.index_copy(0, flat_places(shown, patches), x[seen]).view(rows, patches, -1)
            seen = seen_places(shown, patches)
        return torch.where(seen.unsqueeze(-1), x, self.ask[kind].to(x.dtype))
