"""EEG seen: electrodes by name, maps of the scalp, bands by name."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from ...core.seeing import Seeing
from ...core.sequence import PatchSequence
from .bands import without_bands
from .sites import site_places
from .spectral import band_centres
from .tokens import TokenShape

_FEWEST = 4  # electrodes that a map can be drawn from
_MOST_NAMES = 32  # electrodes of which a map can say the names
_COMMON = re.compile(r"(Fp|AF|F|FC|FT|C|T|CP|TP|P|PO|O)(z|[1-9]|10)")
_ALREADY = 0.03  # a place nearer than this to a site of the 10-05 system is that site


class EEGSeeing(Seeing):
    """Of tokens that stand on the scalp: electrodes and tubelets."""

    def __init__(self, shape: TokenShape) -> None:
        self.shape = shape

    def place_names(self, where: np.ndarray) -> list[str]:
        """The site at each place; between sites (of neighbourhoods) the nearest one of the 10-10 system."""
        every, places = _sites()
        distance = cdist(where[:, 1:4], places)
        common = np.array([_COMMON.fullmatch(name) is not None for name in every])
        exact = distance.argmin(axis=1)
        near = np.where(common, distance, np.inf).argmin(axis=1)
        return [every[i] if row[i] < _ALREADY else every[j] for row, i, j in zip(distance, exact, near, strict=True)]

    def draw_places(
        self, axes: Any, where: np.ndarray, values: np.ndarray, limit: float, colours: Any, *, smooth: bool = True
    ) -> bool:
        """The scalp from above, nose up."""
        try:
            from mne.viz import plot_topomap
        except ImportError:
            return False
        if len(where) < _FEWEST:
            return False
        flat = flattened(where[:, 1:4])
        plot_topomap(
            values, flat, axes=axes, show=False, cmap=colours, vlim=(-limit, limit), sphere=1.0, extrapolate="head",
            contours=4 if smooth else 0, image_interp="cubic" if smooth else "nearest",
        )  # fmt: skip
        if len(where) <= _MOST_NAMES:
            for name, point in zip(self.place_names(where), flat, strict=True):
                axes.annotate(name, point, (0, 3), textcoords="offset points", ha="center", va="bottom", fontsize=7.5)
        return True

    def without_parts(self, batch: PatchSequence) -> dict[str, PatchSequence]:
        return without_bands(batch, self.shape)

    def value_axis(self, kind: int) -> tuple[np.ndarray, str]:
        name = self.shape.kinds[kind]
        if name == "wave":
            return (np.arange(self.shape.values(name)) + 0.5) / self.shape.sfreq_hz, "seconds"
        if name == "profile" or (name == "spectrum" and self.shape.band_groups == 1):
            return band_centres(self.shape.edges_hz), "Hz"
        return np.empty(0), ""


def flattened(places: np.ndarray) -> np.ndarray:
    """[place, 3] on the unit sphere -> [place, 2], distance from the vertex as it is along the scalp; the equator has
    radius one (azimuthal equidistant projection)."""
    across = np.maximum(np.hypot(places[:, 0], places[:, 1]), 1e-9)
    reach = np.arctan2(across, places[:, 2]) / (np.pi / 2)
    return places[:, :2] / across[:, None] * reach[:, None]


@cache
def _sites() -> tuple[list[str], np.ndarray]:
    names = sorted(site_places(), key=lambda name: (len(name), name))
    return names, np.array([site_places()[name] for name in names])
