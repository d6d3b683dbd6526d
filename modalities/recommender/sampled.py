"""Ranking among a few drawn items instead of all: what some papers report, and what can be told of it.

A score among n drawn items is a smooth function of the rank among all items in which the top hardly counts: it changes
which of two models is better, and no figure of it compares with one of a full ranking (Krichene and Rendle 2020,
doi:10.1145/3394486.3403226). It is here to read such tables, never for a choice.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ...core.ranking import Score


def among_drawn(
    score: Score, shown: sparse.csr_matrix, asked: sparse.csr_matrix, negatives: int, seed: int = 0
) -> Score:
    """Scores of what is asked for and of `negatives` other unseen items of each row, -inf elsewhere.

    shown, asked: [row, item]. The draw is a function of seed and row alone, so all scorers meet the same items.
    """

    def drawn(rows: np.ndarray) -> np.ndarray:
        every = score(rows)
        kept = np.full_like(every, -np.inf)
        for at, row in enumerate(rows):
            own = _candidates(shown, asked, int(row), negatives, seed)
            kept[at, own] = every[at, own]
        return kept

    return drawn


def _candidates(shown: sparse.csr_matrix, asked: sparse.csr_matrix, row: int, negatives: int, seed: int) -> np.ndarray:
    """[item] codes: those asked for, then the drawn ones (fewer where there are not as many)."""
    _, items = shown.get_shape()
    wanted = asked.indices[asked.indptr[row] : asked.indptr[row + 1]]
    taken = np.concatenate([wanted, shown.indices[shown.indptr[row] : shown.indptr[row + 1]]])
    rng = np.random.default_rng((seed, row))
    # as many more as could fall on items that are no negatives: enough are left, and they are a fair draw
    some = rng.choice(items, min(items, negatives + len(taken)), replace=False)
    return np.concatenate([wanted, some[~np.isin(some, taken)][:negatives]])
