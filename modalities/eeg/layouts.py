"""Layouts: which electrodes share a token, and where on the scalp it stands.

electrode: one electrode a token. Any montage; the cheapest to reason about.
tubelet: one neighbourhood of the scalp a token, so a patch is time x electrodes, as in a video. The config names sites
(by default the 19 of the 10-20 system) that are grouped by distance; each site is a slot of its group. An electrode
stands in the slot of the nearest site, so every electrode is used, whatever its name. Electrodes that meet in one slot
are averaged; a slot without an electrode is missing.

An arrangement is a function of each electrode's own position. So the order of channels means nothing, and a channel
that is lost moves no other. The grid of EEG-VJEPA, which goes by list order, is in `grid`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...core.signals import mean_of_present
from .neighbours import nearest, neighbourhoods, reading_order

# a place gets the number of the cell of this grid in which it lies: the same electrode has the same number in every
# recording, without a list of all names
_CELLS = 128


@dataclass(frozen=True)
class Units:
    """Contents by unit of the scalp.

    content: [unit, stretch, slot, value], NaN = missing. place: [unit, 3]. number: [unit] int, equal for equal places.
    """

    content: np.ndarray
    place: np.ndarray
    number: np.ndarray


class Layout(Protocol):
    """slots: electrodes a token can hold."""

    slots: int

    def arrange(self, content: np.ndarray, places: np.ndarray) -> Units:
        """[channel, stretch, value] and their places [channel, 3] on the unit sphere."""
        ...


class ElectrodeLayout:
    """One electrode a token, in reading order."""

    slots = 1

    def arrange(self, content: np.ndarray, places: np.ndarray) -> Units:
        order = reading_order(places)
        return Units(content[order][:, :, None], places[order], place_number(places[order]))


class TubeletLayout:
    """Neighbourhoods of the sites [site, 3], of at most `size`. Units are all of them, also those without an electrode
    (their content is NaN)."""

    def __init__(self, sites: np.ndarray, size: int) -> None:
        groups = neighbourhoods(sites, size)
        self.slots = max(len(group) for group in groups)
        self._sites, self._unit, self._slot = sites, np.zeros(len(sites), int), np.zeros(len(sites), int)
        for unit, group in enumerate(groups):
            self._unit[group], self._slot[group] = unit, np.arange(len(group))
        centre = np.stack([sites[group].mean(axis=0) for group in groups])
        self._place = centre / np.linalg.norm(centre, axis=1, keepdims=True)

    def arrange(self, content: np.ndarray, places: np.ndarray) -> Units:
        site = nearest(places, self._sites)
        made = np.full((len(self._place), content.shape[1], self.slots, content.shape[2]), np.nan, np.float32)
        for i in np.unique(site):
            made[self._unit[i], :, self._slot[i]] = mean_of_present(content[site == i])
        return Units(made, self._place, np.arange(len(self._place)))


def place_number(places: np.ndarray) -> np.ndarray:
    """[place, 3] on the unit sphere -> [place] int64 number of the cell of space."""
    # rounded, not cut: the midline must not fall on an edge of cells
    cell = np.rint((np.clip(places, -1.0, 1.0) + 1.0) * (_CELLS / 2)).astype(np.int64)
    return (cell[:, 0] * (_CELLS + 1) + cell[:, 1]) * (_CELLS + 1) + cell[:, 2]
