"""Neighbourhoods on the scalp: groups of places that lie together, by distance alone.

A tubelet of EEG as video covers a piece of the scalp, as a patch of an image covers neighbouring pixels. Rows of a
channel list are no neighbours (F7 stands beside F3, but Fz after P4), so groups are made from positions: k-means of
equal capacity, each round a linear assignment of places to seats, started from places far from each other. The result
depends on the set of places and not on their order; every place is in exactly one group.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from ...core.errors import InputError

_ROUNDS = 50  # far more than the few that it takes


def neighbourhoods(places: np.ndarray, size: int) -> list[np.ndarray]:
    """[site, 3] -> groups of at most `size` site numbers, as few and as equal as can be, each and all front to back.

    Raises InputError when `size` is not positive or two sites share one place.
    """
    if size < 1:
        raise InputError("a neighbourhood needs at least one electrode", got=size)
    order = reading_order(places)
    x = np.asarray(places, dtype=float)[order]
    if len(x) > 1 and np.sort(cdist(x, x), axis=1)[:, 1].min() < 1e-6:
        raise InputError("two electrodes stand at one place")
    count = -(-len(x) // size)
    seats = np.arange(count).repeat(-(-len(x) // count))
    centres, owner = x[_far_apart(x, count)], np.full(len(x), -1)
    for _ in range(_ROUNDS):
        before = owner
        _, seat = linear_sum_assignment(cdist(x, centres)[:, seats] ** 2)
        owner = seats[seat]
        if np.array_equal(owner, before):
            break
        centres = np.stack([x[owner == i].mean(axis=0) if (owner == i).any() else centres[i] for i in range(count)])
    groups = [order[owner == i] for i in range(count) if (owner == i).any()]
    centre = np.stack([np.asarray(places)[group].mean(axis=0) for group in groups])
    return [groups[i] for i in reading_order(centre)]


def reading_order(places: np.ndarray) -> np.ndarray:
    """[place] order from front to back, left to right, top to bottom; rounded, so that noise does not swap them."""
    x, y, z = np.round(np.asarray(places, dtype=float), 4).T
    return np.lexsort((-z, x, -y))


def nearest(places: np.ndarray, sites: np.ndarray) -> np.ndarray:
    """[place] number of the nearest site."""
    return cdist(places, sites).argmin(axis=1)


def _far_apart(x: np.ndarray, count: int) -> np.ndarray:
    """Numbers of `count` places, each the farthest from those before it; the first is the farthest from the middle."""
    chosen = [int(np.linalg.norm(x - x.mean(axis=0), axis=1).round(6).argmax())]
    while len(chosen) < count:
        chosen.append(int(cdist(x, x[chosen]).min(axis=1).round(6).argmax()))
    return np.array(chosen)
