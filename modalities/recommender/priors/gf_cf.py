"""GF-CF: items taken together, plus the smooth part of the history (Shen et al. 2021, doi:10.1145/3459637.3482264).

Scores are h R~^T R~ + weight * h D^-1/2 V V^T D^1/2, with R~ the symmetric-normalised training graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ..interactions import Interactions
from .item_graph import ItemGraph, item_graph_of
from .low_pass import RANKS, LowPass
from .scorer import HistoryScorer, Prior


@dataclass(frozen=True)
class GfCf(Prior):
    """rank, computed: as of the low-pass part. weight: of that part, 0.3 in the paper."""

    rank: int = 256
    weight: float = 0.3
    computed: int = 0

    name = "gf-cf"
    grid = tuple({"rank": r, "weight": w, "computed": RANKS[-1]} for r in RANKS for w in (0.3, 1.0))

    def fit(self, train: Interactions) -> HistoryScorer:
        smooth = LowPass(self.rank, 0.5, self.computed).fit(train)
        return BlurScorer(train, item_graph_of(train), smooth, self.weight)


class BlurScorer(HistoryScorer):
    """The history spread over items taken together, and its smooth part."""

    def __init__(self, train: Interactions, graph: ItemGraph, smooth: HistoryScorer, weight: float) -> None:
        super().__init__(train)
        self._graph, self._smooth, self._weight = graph, smooth, np.float32(weight)

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return self._graph.of(histories) + self._weight * self._smooth.score(histories)
