"""The embedded demo: logs of small made-up markets with people of different tastes."""

from __future__ import annotations

import numpy as np

from ...core.modality import Source
from .interactions import Interactions
from .splits import InteractionSplit, split_interactions

DEMO_USERS, DEMO_ITEMS, _TASTES = 240, 120, 6


def demo_sources(seed: int) -> list[Source]:
    """One market."""
    return [Source(path=None, record="demo", seed=seed)]


def make_split(rng: np.random.Generator) -> InteractionSplit:
    """People take popular items, mostly of their own taste."""
    weight = rng.zipf(1.6, DEMO_ITEMS).clip(max=20) * np.where(
        rng.integers(_TASTES, size=(DEMO_USERS, 1)) == np.arange(DEMO_ITEMS) % _TASTES, 12.0, 1.0
    )
    draw = rng.exponential(size=weight.shape) / weight
    degree = rng.integers(8, 24, DEMO_USERS)
    order = np.argsort(draw, axis=1)
    user = np.repeat(np.arange(DEMO_USERS), degree)
    item = np.concatenate([row[:n] for row, n in zip(order, degree, strict=True)])
    log = Interactions.from_codes(user, item, users=DEMO_USERS, items=DEMO_ITEMS)
    return split_interactions(log, "random", seed=int(rng.integers(2**31)))
