"""What the common core asks of rankings: which need no training, and how good one is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.sparse import csr_matrix

from ...core.ranking import Ranked, Ranker, Score
from .evaluation import evaluate
from .interactions import Interactions
from .names import numbered
from .priors import PRIORS, Prior

KS = (10, 20)


def rankers() -> Mapping[str, Sequence[Ranker]]:
    """All priors, each in the variants of its grid."""
    return {name: [_ranker(kind(**options)) for options in kind.grid] for name, kind in PRIORS.items()}


def judge(score: Score, shown: csr_matrix, asked: csr_matrix) -> Ranked:
    """Full ranking of all items that a row does not show."""
    found = evaluate(score, interactions(shown), interactions(asked), KS)
    return Ranked(found.per_user, found.exposure)


def interactions(matrix: csr_matrix) -> Interactions:
    """[row, item] entries as interactions of people and items without names of their own."""
    matrix = csr_matrix(matrix)
    matrix.sum_duplicates()
    rows, items = matrix.shape
    return Interactions(
        numbered(rows), numbered(items), matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    )


def _ranker(prior: Prior) -> Ranker:
    def fit(known: csr_matrix) -> Callable[[csr_matrix], np.ndarray]:
        return prior.fit(interactions(known)).of_histories

    return fit
