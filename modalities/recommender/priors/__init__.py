"""Scorers that need no training: what every learned model is measured against, and blended with.

One file a prior; `scorer` is what they share and `choice` how their options are chosen, on validation only.
"""

from .bspm import Bspm
from .choice import Chosen, choose
from .ease import Ease
from .gf_cf import GfCf
from .item_knn import ItemKnn
from .low_pass import LowPass
from .popularity import Popularity
from .scorer import HistoryScorer, Prior

PRIORS: dict[str, type[Prior]] = {p.name: p for p in (Popularity, ItemKnn, LowPass, GfCf, Bspm, Ease)}

__all__ = [
    "PRIORS",
    "Bspm",
    "Chosen",
    "Ease",
    "GfCf",
    "HistoryScorer",
    "ItemKnn",
    "LowPass",
    "Popularity",
    "Prior",
    "choose",
]
