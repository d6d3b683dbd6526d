"""The smooth part of a history: its projection on the first singular vectors of the training graph (ideal low-pass).

Scores are h D^-1/2 V V^T D^popularity, with D the items' degrees: 1/2 is the form of GF-CF, 0 favours rare items more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ....core.blocks.propagation import inverse_root
from ....core.errors import InputError
from ..interactions import Interactions
from ..spectral import spectrum_of
from .scorer import HistoryScorer, Prior

RANKS = (16, 32, 64, 128, 256, 512)  # small graphs need few directions, sparse ones many


@dataclass(frozen=True)
class LowPass(Prior):
    """rank: directions that pass. popularity: power of the items' degrees. computed: directions that are computed, of
    which the first `rank` are taken; 0 = as many. (Several ranks of one computation are cheaper, and differ slightly.)
    """

    rank: int = 64
    popularity: float = 0.5
    computed: int = 0

    name = "svd-low-pass"
    grid = tuple({"rank": r, "popularity": p, "computed": RANKS[-1]} for r in RANKS for p in (0.5, 0.25))

    def __post_init__(self) -> None:
        if self.computed and self.computed < self.rank:
            raise InputError("fewer directions are computed than pass", field="computed", got=self.computed)

    def fit(self, train: Interactions) -> LowPassScorer:
        vectors = spectrum_of(train, self.computed or self.rank).first(self.rank).items
        return LowPassScorer(train, vectors, self.popularity)


class LowPassScorer(HistoryScorer):
    """vectors: [item, rank]."""

    def __init__(self, train: Interactions, vectors: np.ndarray, popularity: float) -> None:
        super().__init__(train)
        self._into = inverse_root(train.item_degree)[:, None] * vectors
        self._out = (train.item_degree.astype(np.float32) ** np.float32(popularity)) * vectors.T
        # nobody took it: 0^0 would be one
        self._out[:, train.item_degree == 0] = 0

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return (histories @ self._into) @ self._out
