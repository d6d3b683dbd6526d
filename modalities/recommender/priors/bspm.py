"""BSPM: GF-CF, then a step back against the blur (Choi et al. 2023, doi:10.1145/3539618.3591645).

A filter that spreads a history over items taken together makes everybody a little alike. With b the scores of GF-CF
and R~ the symmetric-normalised training graph, scores are b - sharpening * b R~^T R~: one Euler step of the heat
equation backwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ..interactions import Interactions
from .gf_cf import GfCf
from .item_graph import ItemGraph, item_graph_of
from .low_pass import RANKS
from .scorer import HistoryScorer, Prior


@dataclass(frozen=True)
class Bspm(Prior):
    """rank, computed: as of the low-pass part. weight: of that part. sharpening: length of the step back."""

    rank: int = 256
    weight: float = 0.3
    sharpening: float = 0.6
    computed: int = 0

    name = "bspm"
    grid = tuple({"rank": r, "sharpening": t, "computed": RANKS[-1]} for r in RANKS for t in (0.5, 1.0))

    def fit(self, train: Interactions) -> HistoryScorer:
        blur = GfCf(self.rank, self.weight, self.computed).fit(train)
        return _Scorer(train, blur, item_graph_of(train), self.sharpening)


class _Scorer(HistoryScorer):
    def __init__(self, train: Interactions, blur: HistoryScorer, graph: ItemGraph, sharpening: float) -> None:
        super().__init__(train)
        self._blur, self._graph, self._step = blur, graph, np.float32(sharpening)

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        blurred = self._blur.score(histories)
        return blurred - self._step * self._graph.of_scores(blurred)
