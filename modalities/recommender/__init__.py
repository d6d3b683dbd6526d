"""Recommender graphs: who took what, as histories that the common core can read.

Rooms: `modality` (the adapter) with `log`, `catalogue` and `field`; `interactions` with `names`, `filters`, `splits`
and `leaks`; `reading` of `tables`, `lists` and `side_graphs`; `datasets` and `demo`; `spectral` positions; `priors`
that need no training; `ranking` and `blend`.
"""

from .modality import Recommender, RecommenderConfig

__all__ = ["Recommender", "RecommenderConfig"]
