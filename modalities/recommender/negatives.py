"""Pairs to learn from, and items that a user did not take, drawn in one go.

A drawn item is looked up among the sorted keys of all interactions, and drawn anew where it is one of the user's own:
exact, and some twenty times faster than asking user by user.
"""

from __future__ import annotations

import numpy as np

from ...core.errors import InputError
from .interactions import Interactions, in_sorted


def draw_pairs(train: Interactions, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(user, item), [pair] int64 each: a user at random, each as likely, then one of their items (as LightGCN does)."""
    active = np.flatnonzero(train.user_degree > 0)
    user = active[rng.integers(0, len(active), n)]
    at = train.indptr[user] + (rng.random(n) * train.user_degree[user]).astype(np.int64)
    return user, train.indices[at].astype(np.int64)


def draw_negatives(train: Interactions, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[pair] int64 items, each one that its user did not take, uniform among them.

    Raises InputError for a user who took everything.
    """
    full = train.user_degree[users] >= train.n_items
    if full.any():
        raise InputError(
            "a user took every item, there is none left to draw", got=str(train.users[users[full][0]]),
            fix="leave the user out",
        )  # fmt: skip
    keys = train.keys
    items = rng.integers(0, train.n_items, len(users))
    wrong = np.flatnonzero(in_sorted(users * train.n_items + items, keys))
    while len(wrong):
        items[wrong] = rng.integers(0, train.n_items, len(wrong))
        wrong = wrong[in_sorted(users[wrong] * train.n_items + items[wrong], keys)]
    return items
