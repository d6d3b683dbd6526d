"""Layers that pass messages along edges, from torch-geometric (extra `graph`, imported when first needed).

- "gin": (1 + eps) h_v + sum of the neighbours' h_u through a two-layer network, eps learned (Xu et al. 2019,
  https://arxiv.org/abs/1810.00826).
- "gcn": degree-normalised mean (Kipf and Welling 2017, https://arxiv.org/abs/1609.02907).
- "gat": attention over neighbours (Velickovic et al. 2018, https://arxiv.org/abs/1710.10903).

Each stands in a pre-norm residual block. Published GINs normalise over the batch; here layer norm does it, because the
token of a patch may depend neither on other windows nor on padding.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from torch import Tensor, nn

from ..errors import InputError, nearest

if TYPE_CHECKING:
    from .edges import Graph

LAYERS = ("gin", "gcn", "gat")


def torch_geometric_nn() -> ModuleType:
    """`torch_geometric.nn`. Raises InputError that names the extra where it is not installed."""
    try:
        import torch_geometric.nn as found
    except ImportError as error:
        raise InputError(
            "graph layers need torch-geometric, which is not installed", got=str(error),
            fix='pip install "omnipatch[graph]", or use encoder.name transformer',
        ) from error  # fmt: skip
    return found


class GraphBlock(nn.Module):
    """x + layer(norm(x), edges) over flattened patches [node, width].

    layer: one of LAYERS. heads: of "gat", a divisor of the width. mlp_ratio: inner width of the network of "gin".
    """

    def __init__(self, width: int, layer: str, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.layer = _build_layer(width, layer, heads, mlp_ratio)
        self.act = nn.Identity() if layer == "gin" else nn.GELU()

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        return x + self.act(self.layer(self.norm(x), edges))


def graph_blocks(depth: int, width: int, layer: str, heads: int, mlp_ratio: float) -> nn.ModuleList:
    """A stack of blocks. Raises InputError for an unknown layer and where torch-geometric is missing."""
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}")
    return nn.ModuleList(GraphBlock(width, layer, heads, mlp_ratio) for _ in range(depth))


def through(blocks: nn.ModuleList, x: Tensor, graph: Graph) -> list[Tensor]:
    """[row, patch, width] after each block."""
    shape, x, states = x.shape, x.flatten(0, 1), []
    for block in blocks:
        x = block(x, graph.edges)
        states.append(x.view(shape))
    return states


def _build_layer(width: int, layer: str, heads: int, mlp_ratio: float) -> nn.Module:
    if layer not in LAYERS:
        raise InputError(f"unknown graph layer {layer!r}", expected=", ".join(LAYERS), fix=nearest(layer, LAYERS))
    found = torch_geometric_nn()
    if layer == "gin":
        inner = int(width * mlp_ratio)
        return found.GINConv(nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width)), train_eps=True)
    if layer == "gcn":
        return found.GCNConv(width, width)
    if width % heads:
        raise ValueError(f"width {width} is not a multiple of heads {heads}")
    return found.GATConv(width, width // heads, heads=heads)
