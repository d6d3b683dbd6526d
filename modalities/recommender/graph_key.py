"""Interactions as a key of caches: equal where the graph is, whatever its names and times."""

from __future__ import annotations

from .interactions import Interactions


class GraphKey:
    """train: the interactions, for whoever has to compute what is not in the cache."""

    def __init__(self, train: Interactions) -> None:
        self.train = train

    def __hash__(self) -> int:
        return hash(self.train.fingerprint)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GraphKey) and self.train.fingerprint == other.train.fingerprint
