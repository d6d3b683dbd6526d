"""A random part of long windows, anew in each step.

Windows of ids may differ in length a hundred times (the histories of people), and a batch is as wide as its longest. A
few patches of each leave room for many more windows in a step.
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .ragged import Ragged, places
from .store import WindowStore

_STREAM = 2  # number of the stream that draws them


class PartialWindows:
    """Which patches of its windows a step reads: at most `most` that tell of the row itself (`PatchSequence.content`),
    in their order, and all others.

    Every patch has the same odds: a window is cut into as many stretches as patches are wanted, one is drawn of each,
    and where the cuts begin is drawn as well.

    Raises InputError for windows of values, or with edges or events: those are read whole.
    """

    def __init__(self, store: WindowStore, most: int, seed: int) -> None:
        if not store.spec.vocabulary or store.has_more_than_patches:
            raise InputError(
                "these windows are read whole", field="trainer.most_patches", got=most, expected="0",
                fix="only windows of ids without edges and events can be read in part",
            )  # fmt: skip
        self.most, self.seed = most, seed
        kinds = store.kinds()
        content = kinds == 0 if store.spec.kind_columns else np.ones(len(kinds), bool)
        owner = np.repeat(np.arange(len(store.lengths)), store.lengths)
        self._content = np.bincount(owner[content], minlength=len(store.lengths))
        self._others = store.lengths - self._content
        # positions in each window, what tells of the row itself first
        order = np.lexsort((~content, owner))
        first = np.repeat(np.cumsum(store.lengths) - store.lengths, store.lengths)
        self._ordered = Ragged(store.lengths, {"position": order - first})

    def lengths(self) -> np.ndarray:
        """[window] patches that a step reads."""
        return np.minimum(self._content, self.most) + self._others

    def positions(self, windows: np.ndarray, step: int) -> np.ndarray:
        """[window, k] int64 positions of patches, -1 = none; a pure function of seed, step and the windows' order."""
        rng = np.random.default_rng([self.seed, step, _STREAM])
        count, others = self._content[windows, None], self._others[windows, None]
        wanted, place = np.minimum(count, self.most), np.arange(self.most)
        low, high = (np.minimum(place + more, wanted) * count // np.maximum(wanted, 1) for more in (0, 1))
        drawn = low + (rng.random((len(windows), self.most)) * (high - low)).astype(np.int64)
        turned = (drawn + (rng.random((len(windows), 1)) * count).astype(np.int64)) % np.maximum(count, 1)
        taken = np.sort(np.where(place < wanted, turned, np.iinfo(np.int64).max), axis=1)
        beyond = places(self._others[windows], int(others.max(initial=0)))
        rank = np.concatenate([np.where(place < wanted, taken, -1), np.where(beyond < 0, -1, count + beyond)], axis=1)
        return np.where(rank < 0, -1, self._ordered.picked(windows, rank)["position"])
