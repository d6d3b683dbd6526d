"""Scorers that need no training: what every learned model is measured against, and blended with.

One file a prior; `scorer` is what they share. Which options are best is chosen by the core, on validation only.
"""

from .bspm import Bspm
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
    "Ease",
    "GfCf",
    "HistoryScorer",
    "ItemKnn",
    "LowPass",
    "Popularity",
    "Prior",
]
