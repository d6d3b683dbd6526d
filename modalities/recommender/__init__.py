"""Recommender graphs: who took what, as histories that the common core can read.

Rooms, lowest first: `interactions` with `names`, `filters`, `splits` and `leaks`; `reading` of `tables` (`headers`,
`columns`) and `lists`; `side_graphs`; `datasets`, `demo` and `own_files` with `own_sides`; `spectral` positions; `log`
of who took what, with `people` and `questions`; `catalogue` of what is known, with `sides` and `labels`; `tokens`;
`ranking` with its metrics, `sampled` ones, `evaluation` and `blend`; `priors` that need no training, and side graphs
`beside` them; `field`, all of this for the core's rankings; `modality`, the adapter.
"""

from .modality import Recommender, RecommenderConfig

__all__ = ["Recommender", "RecommenderConfig"]
