"""Graph encoder: patches to tokens by messages along the edges of a batch.

Beside the transformer, on the same `PatchSequence`: a patch hears from its neighbours only, `depth` steps far. Which
patches are neighbours is the modality's knowledge (bones, interactions) and reaches the encoder as `edges`.

A hidden patch may be left out, so that the graph is cut where it stood ("dropped", costs what it shows as in MAE), or
stay as a node without content whose place and edges are known ("token", as in GraphMAE, Hou et al. 2022,
https://arxiv.org/abs/2205.10803, and SkeletonMAE, Yan et al. 2023, https://arxiv.org/abs/2307.08476). Tokens are those
of visible patches either way; what the encoder makes of hidden ones is `Encoded.states`, for decoders on the graph.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..sequence import PatchSequence, SequenceSpec
from .attention import init_weights
from .edges import Graph, check_reach, graph_of, induced, seen_places
from .embed import PatchEmbedding
from .encoder import Encoded, Encoder, masked_mean, whole_rows
from .message_passing import graph_blocks, through
from .positions import FourierPositions
from .registry import register
from .views import IndexSet, select

HIDDEN = ("token", "dropped")


@register("encoder", "graph")
class GraphEncoder(Encoder):
    """Message passing over the batch's edges.

    width, depth, mlp_ratio, heads: size; heads for "gat" only. layer: "gin", "gcn" or "gat" (`message_passing`).
    hidden: what becomes of hidden patches, "token" or "dropped" (see above).
    positions: "fourier" (added to the embedding) or "none": then only content and edges tell patches apart.
    reach: "all" edges, or those within a "step" of the first axis, so that each time has a graph of its own.

    Raises InputError without torch-geometric, and for batches without edges.
    """

    def __init__(
        self,
        spec: SequenceSpec,
        *,
        width: int = 128,
        depth: int = 3,
        layer: str = "gin",
        heads: int = 4,
        mlp_ratio: float = 2.0,
        hidden: str = "token",
        positions: str = "fourier",
        reach: str = "all",
    ) -> None:
        super().__init__(spec)
        if hidden not in HIDDEN:
            raise ValueError(f"hidden must be 'token' or 'dropped', got {hidden!r}")
        check_reach(reach)
        self.width, self.depth, self.hidden, self.reach = width, depth, hidden, reach
        self.embed = PatchEmbedding(spec, width)
        self.positions = graph_positions(positions, spec, width)
        self.absent = nn.Parameter(torch.zeros(len(spec.kinds), width)) if hidden == "token" else None
        self.blocks = graph_blocks(depth, width, layer, heads, mlp_ratio)
        self.norm = nn.LayerNorm(width)
        self.apply(init_weights)
        self.embed.init_weights()
        if self.absent is not None:
            nn.init.trunc_normal_(self.absent, std=0.02)

    def forward(
        self,
        batch: PatchSequence,
        rows: Tensor | None = None,
        visible: IndexSet | None = None,
        keep_layers: int = 0,
    ) -> Encoded:
        if visible is None:
            return super().forward(batch, rows, None, keep_layers)
        whole, visible = whole_rows(batch, rows, visible)
        graph = graph_of(whole, reach=self.reach)
        if self.hidden == "dropped":
            part = select(whole, None, visible)
            coords = part.coords.float().masked_fill(~visible.valid.unsqueeze(-1), 0.0)
            cut = Graph(visible.valid, coords, part.kind, induced(graph.edges, visible, whole.n_patches))
            return self._encode(part, cut, visible.index, keep_layers)
        return self._encode(whole, graph, None, keep_layers, seen_places(visible, whole.n_patches)).shown(visible)

    def encode(self, batch: PatchSequence, index: Tensor | None, keep_layers: int) -> Encoded:
        return self._encode(batch, graph_of(batch, reach=self.reach), index, keep_layers)

    def _encode(
        self, batch: PatchSequence, graph: Graph, index: Tensor | None, keep_layers: int, seen: Tensor | None = None
    ) -> Encoded:
        """seen: [row, patch] bool, patches whose content may be looked at; None = all valid ones."""
        seen = graph.valid if seen is None else seen
        embedding = x = self.embed(batch.values, batch.ids, batch.kind, seen)
        if self.absent is not None:  # on every path, or a weight without gradient would stall DistributedDataParallel
            x = torch.where(seen.unsqueeze(-1), x, self.absent[graph.kind].to(x.dtype))
        if self.positions is not None:
            x = x + self.positions(graph.coords)
        states = through(self.blocks, x, graph)
        tokens = self.norm(states[-1])
        layers = tuple(states[self.depth - keep_layers :]) if keep_layers else ()
        return Encoded(tokens, graph.valid, graph.coords, index, masked_mean(tokens, graph.valid), layers, embedding)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        first = [p for m in (self.embed, self.positions) if m is not None for p in m.parameters()]
        if self.absent is not None:
            first.append(self.absent)
        return [first, *(list(b.parameters()) for b in self.blocks), list(self.norm.parameters())]


def graph_positions(name: str, spec: SequenceSpec, width: int) -> FourierPositions | None:
    """What is added to tokens of `width` ("fourier"), or nothing ("none"). Rotations belong to attention."""
    if name not in ("fourier", "none"):
        raise ValueError(f"positions of a graph block must be 'fourier' or 'none', got {name!r}")
    return FourierPositions(spec, width) if name == "fourier" else None
