"""Small graphs for the recommender tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from omnipatch.modalities.recommender.interactions import Interactions


def random_interactions(seed: int, users: int = 12, items: int = 15, share: float = 0.3, time: bool = False):
    """Each pair with probability `share`, at least one of each user."""
    rng = np.random.default_rng(seed)
    taken = rng.random((users, items)) < share
    taken[np.arange(users), rng.integers(0, items, users)] = True
    user, item = np.nonzero(taken)
    when = rng.integers(0, 50, len(user)).astype(float) if time else None
    return Interactions.from_codes(user, item, users=users, items=items, time=when)


def blocks_of_taste(seed=0, users=60, items=50, blocks=4):
    """Users take items of their own block, and a few others. Returns interactions and block of users and items."""
    rng = np.random.default_rng(seed)
    of_user, of_item = rng.integers(0, blocks, users), rng.integers(0, blocks, items)
    taken = rng.random((users, items)) < np.where(of_user[:, None] == of_item, 0.5, 0.05)
    user, item = np.nonzero(taken)
    return Interactions.from_codes(user, item, users=users, items=items), of_user, of_item


@st.composite
def graphs(draw, time: bool = False, most: int = 9):
    """Interactions of a few users and items, some of them without any."""
    users, items = draw(st.integers(1, most)), draw(st.integers(1, most))
    pairs = draw(st.lists(st.tuples(st.integers(0, users - 1), st.integers(0, items - 1)), min_size=1, max_size=40))
    user, item = np.array(pairs).T
    when = draw(st.lists(st.integers(0, 9), min_size=len(pairs), max_size=len(pairs))) if time else None
    return Interactions.from_codes(user, item, users=users, items=items, time=when)
