"""Lay the flat items of a task beside batches of windows.

Heads see items as `events` of a batch: [row, event] with a validity. A task that labels whole windows has one event a
row, so the rest of the room needs no second path. Items, not the store's own events, are the source: an item that is
not on the wanted side (another subject, not labelled) is simply not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..data.ragged import Ragged
from ..sequence import Events, PatchSequence
from .targets import is_multilabel

if TYPE_CHECKING:
    from ..data.items import Items
    from ..data.store import WindowStore


# items of a batch that is only looked at: a dense task has a thousand a window, and readouts weigh every token for each
MOST_ITEMS = 32_768


@dataclass(frozen=True)
class LaidOut:
    """batch: windows with their items as events; item: [row, event] index into the items, -1 = padding."""

    batch: PatchSequence
    item: Tensor


class ItemLayout:
    """The chosen items, grouped by window.

    windows: [row] store index of each window that holds at least one of them, ascending.
    """

    def __init__(self, items: Items, chosen: np.ndarray) -> None:
        chosen = np.asarray(chosen, np.int64)
        chosen = chosen[np.argsort(items.window[chosen], kind="stable")]
        self.windows, counts = np.unique(items.window[chosen], return_counts=True)
        label = np.full(len(chosen), -1) if is_multilabel(items.label) else items.label[chosen]
        columns = {"item": chosen, "at": items.at[chosen], "label": label, "features": items.features[chosen],
                   "given": items.given[chosen]}  # fmt: skip
        self._items = Ragged(counts, columns)

    def __len__(self) -> int:
        return len(self.windows)

    def batch(self, store: WindowStore, rows: np.ndarray) -> LaidOut:
        """The windows at positions `rows` of `windows`, padded to the longest."""
        most = int(self._items.counts[rows].max(initial=1))
        padded = {name: torch.from_numpy(array) for name, array in self._items.padded(rows, most).items()}
        valid = torch.arange(most) < torch.from_numpy(self._items.counts[rows]).unsqueeze(1)
        events = Events(
            at=padded["at"],
            label=padded["label"].masked_fill(~valid, -1),
            valid=valid,
            features=padded["features"],
            given=padded["given"],
        )
        batch = store.batch(self.windows[rows]).replace(events=events)
        return LaidOut(batch, padded["item"].masked_fill(~valid, -1))

    def batches(self, store: WindowStore, batch_size: int) -> Iterator[LaidOut]:
        """Every window once, windows of similar length together so that little is padded; at most `MOST_ITEMS` each."""
        order = np.argsort(store.lengths[self.windows], kind="stable")
        batch_size = min(batch_size, max(1, MOST_ITEMS // int(self._items.counts.max(initial=1))))
        for start in range(0, len(order), batch_size):
            yield self.batch(store, order[start : start + batch_size])

    def random_rows(self, batch_size: int, seed: int, step: int) -> np.ndarray:
        """Rows of training step `step`: each epoch is a fresh permutation, a pure function of (seed, epoch)."""
        size = min(batch_size, len(self))
        per_epoch = len(self) // size
        epoch, position = divmod(step, per_epoch)
        order = np.random.default_rng((seed, epoch)).permutation(len(self))
        return order[position * size : (position + 1) * size]
