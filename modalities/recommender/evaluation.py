"""How good a scorer is on held-out interactions: full ranking, every metric, and slices that means hide.

- Users with a held-out item count, each alike; users without a history among them (they are in published figures too).
- Head items are the most popular ones that together have half of the training interactions, tail items are the rest.
- Cold users are those with at most `COLD` interactions to learn from.
- The per-user values are kept: intervals (`core/downstream`) resample users, and compare two scorers user by user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from ...core.ranking import Score
from .interactions import Interactions
from .ranking import entries, find_hits, rank
from .ranking_metrics import exposure_metrics, slice_recall, user_metrics

KS = (10, 20, 50)
COLD = 5


@dataclass(frozen=True, eq=False)
class RankingResult:
    """users: [row] codes. per_user: metric -> [row] value, NaN where it does not apply. exposure: metrics of all lists
    together. best: [row, k] ranked items.
    """

    users: np.ndarray
    per_user: Mapping[str, np.ndarray]
    exposure: Mapping[str, float]
    best: np.ndarray

    @property
    def metrics(self) -> dict[str, float]:
        """Mean of each metric over the users it applies to, and those of all lists together."""
        means = {name: _mean(values) for name, values in self.per_user.items()}
        return {**means, **self.exposure}

    def __getitem__(self, metric: str) -> float:
        return _mean(self.per_user[metric])


def evaluate(
    score: Score, known: Interactions, held: Interactions, ks: Sequence[int] = KS, users: np.ndarray | None = None
) -> RankingResult:
    """Rank all items that users do not know yet and look for the held-out ones.

    known: what the scorer learned from; its items are struck out. held: validation or test. users: [row] codes to look
    at, default = all who have a held-out item.
    """
    asked = evaluation_users(held) if users is None else np.asarray(users)
    if (held.user_degree[asked] == 0).any():
        raise InputError("a user has nothing held out", field="users")
    best = rank(score, asked, known.matrix, max(ks))
    hits = find_hits(best, held.matrix, asked)
    per_user = user_metrics(hits, held.user_degree[asked], ks)
    per_user |= _slices(best, hits, known, held, asked, ks)
    exposure = exposure_metrics(best, known.item_degree, known.n_users, ks)
    return RankingResult(asked, per_user, exposure, best)


def evaluation_users(held: Interactions) -> np.ndarray:
    """[row] codes of users with anything held out. Raises InputError when there is none."""
    users = np.flatnonzero(held.user_degree > 0)
    if not len(users):
        raise InputError("no user has anything held out")
    return users


def head_items(item_degree: np.ndarray) -> np.ndarray:
    """[item] bool, the most popular items that together have half of all interactions."""
    order = np.argsort(-item_degree, kind="stable")
    before = np.cumsum(item_degree[order]) - item_degree[order]
    head = np.zeros(len(item_degree), bool)
    head[order] = before < item_degree.sum() / 2
    return head


def _slices(
    best: np.ndarray, hits: np.ndarray, known: Interactions, held: Interactions, users: np.ndarray, ks: Sequence[int]
) -> dict[str, np.ndarray]:
    head = head_items(known.item_degree)
    rows, items = entries(held.matrix, users)
    found = {}
    for name, chosen in (("head", head), ("tail", ~head)):
        wanted = np.bincount(rows[chosen[items]], minlength=len(users))
        found |= {f"{name}_recall@{k}": slice_recall(hits, best, chosen, wanted, k) for k in ks}
    cold = known.user_degree[users] <= COLD
    for k in ks:
        found[f"cold_recall@{k}"] = np.where(cold, hits[:, :k].sum(axis=1) / held.user_degree[users], np.nan)
    return found


def _mean(values: np.ndarray) -> float:
    counted = values[~np.isnan(values)]
    return float(counted.mean()) if len(counted) else float("nan")
