"""What the common core asks of item rankings: which need no training, how good one is, and how two become one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.sparse import csr_matrix

from ...core.ranking import FULL, Lists, Ranked, Ranker, RankingField, Score
from .beside import WEIGHTS, SideScores, beside
from .blend import Blend, choose_blend
from .evaluation import evaluate
from .interactions import Interactions
from .names import numbered
from .priors import PRIORS, GfCf, Prior
from .sampled import among_drawn

KS = (10, 20)
_CHOSEN_BY = 20  # length of the lists by which choices are made, whatever others are asked for
_BLENDS = tuple(round(0.05 * i, 2) for i in range(21))


class ItemRanking(RankingField):
    """All unseen items are ranked, unless drawn ones are asked for; choices go by ndcg@20 among all."""

    metric = f"ndcg@{_CHOSEN_BY}"

    def __init__(self, sides: Mapping[str, SideScores] | None = None) -> None:
        """sides: what side graphs say without training (`beside.side_scores`)."""
        self.sides = dict(sides or {})

    def rankers(self) -> Mapping[str, Sequence[Ranker]]:
        alone = {name: [_ranker(kind(**options)) for options in kind.grid] for name, kind in PRIORS.items()}
        with_sides = {
            f"{GfCf.name} + {name}": [beside(ranker, side, w) for ranker in alone[GfCf.name] for w in WEIGHTS]
            for name, side in self.sides.items()
        }
        return {**alone, **with_sides}

    def judge(self, score: Score, shown: csr_matrix, asked: csr_matrix, lists: Lists = FULL) -> Ranked:
        known, held = interactions(shown), interactions(asked)
        if lists.negatives:
            score = among_drawn(score, known.matrix, held.matrix, lists.negatives)
        found = evaluate(score, known, held, sorted({*(lists.cutoffs or KS), _CHOSEN_BY}))
        return Ranked(found.per_user, {} if lists.negatives else found.exposure)  # of drawn items exposure says nothing

    def choose_weight(self, first: Score, second: Score, shown: csr_matrix, asked: csr_matrix) -> tuple[float, float]:
        chosen = choose_blend(first, second, interactions(shown), interactions(asked), _BLENDS, self.metric)
        return chosen.blend.weight, chosen.trials[chosen.blend.weight]

    def blend(self, first: Score, second: Score, weight: float) -> Score:
        return Blend(first, second, weight)


def interactions(matrix: csr_matrix) -> Interactions:
    """[row, item] entries as interactions of people and items without names of their own."""
    matrix = csr_matrix(matrix)
    matrix.sum_duplicates()
    rows, items = matrix.get_shape()
    return Interactions(
        numbered(rows), numbered(items), matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    )


def _ranker(prior: Prior) -> Ranker:
    def fit(known: csr_matrix) -> Callable[[csr_matrix], np.ndarray]:
        return prior.fit(interactions(known)).of_histories

    return fit
