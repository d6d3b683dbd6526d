"""Spectral positions: where users and items lie on the slowest waves of their graph.

The graph is its symmetric-normalised matrix D_u^-1/2 R D_i^-1/2; its first singular vectors are the smooth directions
that graph filters keep (Shen et al. 2021, doi:10.1145/3459637.3482264). They play the part that coordinates play for an
electrode: known before anything is learned, the same for all models of a graph.

Design decisions
- Randomised subspace iteration (Halko et al. 2011, doi:10.1137/090771806), scikit-learn's, in float32.
- A singular vector has no sign of its own: the entry largest in size of each item vector is made positive.
- Made of training edges only, and named by their fingerprint: a validation or test edge can't reach a position.
- A graph that is too small for the asked rank has zeros in what is left: the width of a position is part of a model.
- A side graph has positions of its own. Its small components would each claim a direction, so degrees are raised by
  their mean before normalising (Qin and Rohe 2013).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from ...core.blocks.propagation import normalised
from ...core.errors import InputError
from .graph_key import GraphKey
from .interactions import Interactions
from .side_graphs import SideGraph

_OVERSAMPLES, _ITERATIONS = 16, 4
# (kind, key, make) -> arrays, kept from an earlier time or made now: `Corpus.kept` of the core
Kept = Callable[[str, str, Callable[[], Mapping[str, np.ndarray]]], Mapping[str, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Spectrum:
    """users: [user, rank] and items: [item, rank] singular vectors, float32. values: [rank], descending."""

    users: np.ndarray
    items: np.ndarray
    values: np.ndarray

    def first(self, rank: int) -> Spectrum:
        """The leading part."""
        return Spectrum(self.users[:, :rank], self.items[:, :rank], self.values[:rank])

    @property
    def item_positions(self) -> np.ndarray:
        """[item, rank] with a mean square of 1 in each direction, whatever the number of items."""
        return self.items * np.float32(np.sqrt(len(self.items)))

    @property
    def user_positions(self) -> np.ndarray:
        """[user, rank] likewise."""
        return self.users * np.float32(np.sqrt(len(self.users)))


def spectrum_of(train: Interactions, rank: int, seed: int = 0, kept: Kept | None = None) -> Spectrum:
    """The first `rank` singular vectors of a training graph; of the last few graphs they are remembered.

    kept: where results of earlier runs lie. Raises InputError for a rank below 1.
    """
    if rank < 1:
        raise InputError("no directions are asked for", field="rank", got=rank, expected=">= 1")
    if kept is None:
        return _spectrum(GraphKey(train), rank, seed)

    def make() -> dict[str, np.ndarray]:
        found = _spectrum(GraphKey(train), rank, seed)
        return {"users": found.users, "items": found.items, "values": found.values}

    return Spectrum(**kept("spectrum", f"{train.fingerprint}-{rank}-{seed}", make))


def side_positions(side: SideGraph, rank: int, seed: int = 0) -> np.ndarray:
    """[row, rank] positions of users (or items) on a side graph, with a mean square of 1 over those it links; zeros for
    the others."""
    linked = np.flatnonzero(side.linked)
    positions = np.zeros((side.rows, rank), np.float32)
    if len(linked):
        neighbours = side.adjacency[: side.rows] + sparse.eye(side.rows, side.nodes, dtype="float32", format="csr")  # pyright: ignore[reportArgumentType]
        found = decompose(normalised(sparse.csr_matrix(neighbours)[linked], raised=True), rank, seed)
        positions[linked] = found.user_positions
    return positions


def decompose(operator: sparse.csr_matrix, rank: int, seed: int = 0) -> Spectrum:
    """The first `rank` singular vectors of a sparse matrix [row, column], padded with zeros where it has fewer."""
    possible = min(rank, *operator.get_shape())
    left, values, right = randomized_svd(
        operator, possible, n_oversamples=_OVERSAMPLES, n_iter=_ITERATIONS,  # pyright: ignore[reportArgumentType]
        power_iteration_normalizer="QR",
        random_state=seed, flip_sign=False,
    )  # fmt: skip
    left, right = left.astype(np.float32), right.T.astype(np.float32)
    largest = np.abs(right).argmax(axis=0)
    sign = np.where(right[largest, np.arange(possible)] < 0, np.float32(-1), np.float32(1))
    missing = ((0, 0), (0, rank - possible))
    return Spectrum(
        np.pad(left * sign, missing), np.pad(right * sign, missing), np.pad(values.astype(np.float32), missing[1])
    )


@lru_cache(maxsize=2)
def _spectrum(graph: GraphKey, rank: int, seed: int) -> Spectrum:
    return decompose(normalised(graph.train.matrix), rank, seed)
