"""Places at which whole windows are read: those of the sensors that the training side has.

Coordinates only, no content and no label. Where there are more than `most` places (dense caps, mixed montages), as many
are kept that lie farthest from each other: each further one is the place with the largest distance to all before
(Gonzalez 1985, doi:10.1016/0304-3975(85)90224-5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..data.store import WindowStore

MOST_PLACES = 32
# places nearer to each other than this part of a step are one
_SAME = 0.05


def anchor_places(store: WindowStore, windows: np.ndarray, most: int = MOST_PLACES) -> np.ndarray:
    """[place, axis] places on the axes after the first at which the records of some windows have tokens.

    The first of the windows of each record is looked at: sensors do not change within one.
    """
    _, first = np.unique(store.record_code[windows], return_index=True)
    scales = np.array(store.spec.axis_scales[1:])
    if not len(scales):
        return np.zeros((1, 0), np.float32)
    found = np.empty((0, len(scales)), np.float32)
    for row in windows[first]:
        batch = store.batch(np.array([row]))
        cells = np.round(batch.coords[0, batch.valid[0], 1:].numpy() / (scales * _SAME)) * (scales * _SAME)
        found = np.unique(np.concatenate([found, cells.astype(np.float32)]), axis=0)
    return found if len(found) <= most else found[_spread_out(found / scales, most)]


def _spread_out(places: np.ndarray, most: int) -> np.ndarray:
    """Ascending indices of `most` of the places, far from each other; the first is the one nearest to the middle."""
    chosen = [int(np.linalg.norm(places - places.mean(axis=0), axis=1).argmin())]
    distance = np.linalg.norm(places - places[chosen[0]], axis=1)
    while len(chosen) < most:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return np.sort(chosen)
