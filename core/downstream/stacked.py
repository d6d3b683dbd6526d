"""Several window stores of the same spec and task, read as one.

Evaluation scores the windows of further stores (the same records with fewer sensors) by exactly the trained models of
its rows. With the stores end to end, they are more test items, and no protocol has to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..batching import collate
from ..data.items import Items
from ..sequence import PatchSequence

if TYPE_CHECKING:
    from ..data.store import WindowStore


class StackedStore:
    """What downstream rooms read of a `WindowStore`, over several. Names and codes are those of the first.

    first: [store] index of each store's first window in the stack.
    """

    def __init__(self, stores: Sequence[WindowStore]) -> None:
        self.stores, base = tuple(stores), stores[0]
        self.spec, self.task = base.spec, base.task
        self.records, self.subjects = base.records, base.subjects
        self.lengths = np.concatenate([store.lengths for store in stores])
        self.first = np.cumsum([0, *(len(store) for store in stores[:-1])])

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def start_s(self) -> np.ndarray:
        """[window] place of each window in its recording."""
        return np.concatenate([store.start_s for store in self.stores])

    @property
    def record_code(self) -> np.ndarray:
        """[window] code of each window's record, in the first store's names."""
        return np.concatenate([_renamed(store.record_code, store.records, self.records) for store in self.stores])

    def batch(self, indices: np.ndarray) -> PatchSequence:
        """Windows `indices`, in their order, padded to the longest. Codes of a row are those of its own store."""
        rows = np.asarray(indices, np.int64)
        owner = np.searchsorted(self.first, rows, side="right") - 1
        present = np.unique(owner)
        if len(present) == 1:
            return self.stores[present[0]].batch(rows - self.first[present[0]])
        order = np.argsort(owner, kind="stable")
        parts = [self.stores[i].batch(rows[owner == i] - self.first[i]) for i in present]
        return collate(parts).rows(torch.from_numpy(np.argsort(order)))


def stack_items(stack: StackedStore, items: Sequence[Items]) -> tuple[Items, list[np.ndarray]]:
    """The items of all stores of a stack as one, and the index there of each item of each store.

    Records and subjects get the codes of the first store.
    """
    parts, places, count = [], [], 0
    for store, first, own in zip(stack.stores, stack.first, items, strict=True):
        codes = {
            name: _renamed(getattr(own, name), getattr(store, f"{name}s"), getattr(stack, f"{name}s"))
            for name in ("record", "subject")
        }
        parts.append(replace(own, window=own.window + first, **codes))
        places.append(np.arange(count, count + len(own)))
        count += len(own)
    names = ["window", "at", "label", "features", "hand", "subject", "record", "given"]
    names += ["place"] if parts[0].place is not None else []
    return replace(parts[0], **{n: np.concatenate([getattr(part, n) for part in parts]) for n in names}), places


def _renamed(codes: np.ndarray, names: Sequence[str], into: Sequence[str]) -> np.ndarray:
    """Codes of `names` as codes of the same names in `into`; -1 = unknown."""
    place = {name: i for i, name in enumerate(into)}
    return np.array([*(place.get(name, -1) for name in names), -1])[codes]
