"""What is left out before anything is learned: weak ratings, rare users and items."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...core.errors import InputError
from .interactions import Interactions


def at_least(interactions: Interactions, rating: float) -> Interactions:
    """Only interactions rated `rating` or more; the ratings are dropped, what stays is a plain yes.

    Raises InputError when there are no ratings, or none as high.
    """
    if interactions.rating is None:
        raise InputError("there are no ratings to compare", field="rating", expected="a rating column")
    chosen = interactions.rating >= rating
    if not chosen.any():
        raise InputError(
            "no rating is as high",
            field="rating",
            got=f"at most {interactions.rating.max():g}",
            expected=f">= {rating:g}",
        )
    return replace(interactions.keep(chosen), rating=None)


def k_core(interactions: Interactions, users: int, items: int) -> Interactions:
    """The largest part in which each user has `users` items or more and each item `items` users or more.

    Users and items outside it lose their codes. Raises InputError when nothing is left.
    """
    rows = interactions.user
    alive = np.ones(len(rows), bool)
    while True:
        degree = np.bincount(rows[alive], minlength=interactions.n_users)
        taken = np.bincount(interactions.indices[alive], minlength=interactions.n_items)
        now = alive & (degree[rows] >= users) & (taken[interactions.indices] >= items)
        if now.sum() == alive.sum():
            break
        alive = now
    if not alive.any():
        raise InputError(
            "no user and item are that frequent", got=f"{len(rows)} interactions",
            expected=f"users with {users} items, items with {items} users", fix="ask for less",
        )  # fmt: skip
    return compact(interactions.keep(alive))


def compact(interactions: Interactions) -> Interactions:
    """Without users and items that have no interaction; the others move up, in the same order."""
    users, items = interactions.user_degree > 0, interactions.item_degree > 0
    new_code = np.cumsum(items) - 1
    return replace(
        interactions,
        users=interactions.users[users],
        items=interactions.items[items],
        indptr=np.append(interactions.indptr[:-1][users], len(interactions)),
        indices=new_code[interactions.indices].astype(np.int32),
    )
