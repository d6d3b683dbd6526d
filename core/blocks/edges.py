"""Graphs over the patches of a batch: edges between patches that are really there.

Edges run from source to target over flattened patches (row * patch + position), as torch-geometric has them. What a
block reads of a graph is its structure only; contents of hidden patches are not in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError, nearest
from ..sequence import PatchSequence
from .views import IndexSet

REACHES = ("all", "step")


@dataclass(frozen=True)
class Graph:
    """Structure of a batch, without content.

    valid: [row, patch] bool, nodes. coords: [row, patch, axis], 0 where invalid. kind: [row, patch], 0 where invalid.
    edges: [2, edge] int between valid nodes.
    """

    valid: Tensor
    coords: Tensor
    kind: Tensor
    edges: Tensor


def graph_of(batch: PatchSequence, rows: Tensor | None = None, reach: str = "all") -> Graph:
    """The graph of the rows of a batch (None = as they are).

    reach: "all" edges, or only those inside a "step" of the first axis: the two ends lie less than half a step apart.

    Raises InputError for a batch without edges and for an unknown reach.
    """
    check_reach(reach)
    if batch.edges is None:
        raise InputError(
            "a graph block needs edges between patches, and this batch has none",
            fix="use encoder.name transformer (and no graph_decoder), or a modality whose patchify gives edges",
        )
    batch = batch if rows is None else batch.rows(rows)
    assert batch.edges is not None
    valid = batch.valid
    coords = batch.coords.float().masked_fill(~valid.unsqueeze(-1), 0.0)
    edges = between(batch.edges, valid)
    if reach == "step":
        place = coords[..., 0].flatten()
        near = (place[edges[0]] - place[edges[1]]).abs() < 0.5 * batch.spec.axis_scales[0]
        edges = edges[:, near]
    return Graph(valid, coords, batch.kind.masked_fill(~valid, 0), edges)


def check_reach(reach: str) -> None:
    """Raises InputError with the nearest name of a reach."""
    if reach not in REACHES:
        raise InputError(f"edges reaching {reach!r} are unknown", expected="all or step", fix=nearest(reach, REACHES))


def between(edges: Tensor, kept: Tensor) -> Tensor:
    """The edges whose two ends are both kept; kept: [row, patch] bool."""
    flat = kept.flatten()
    return edges[:, flat[edges[0]] & flat[edges[1]]]


def induced(edges: Tensor, chosen: IndexSet, n_patches: int) -> Tensor:
    """Edges between chosen patches, renumbered to their places in the index set (row * k + place)."""
    rows, k = chosen.index.shape
    place = edges.new_full((rows * n_patches,), -1)
    place[flat_places(chosen, n_patches)] = torch.arange(rows * k, device=edges.device)[chosen.valid.flatten()]
    moved = place[edges]
    return moved[:, (moved >= 0).all(dim=0)]


def flat_places(chosen: IndexSet, n_patches: int) -> Tensor:
    """[chosen patch] flattened places (row * n_patches + position) of the real entries of an index set."""
    row = torch.arange(len(chosen.index), device=chosen.index.device).unsqueeze(1)
    return (row * n_patches + chosen.index)[chosen.valid]


def seen_places(chosen: IndexSet, n_patches: int) -> Tensor:
    """[row, patch] bool: which patches an index set names."""
    seen = torch.zeros(len(chosen.index) * n_patches, dtype=torch.bool, device=chosen.index.device)
    seen[flat_places(chosen, n_patches)] = True
    return seen.view(-1, n_patches)
