"""Where the beats of a recording are, and what of that a window needs to make beat and rhythm tokens.

Beats tile the recording: a beat runs from 60 % of the interval before it to 60 % of the interval after it, which puts
its P wave, QRS complex and T wave into one piece at any rate. So each moment, and each time patch, belongs to exactly
one beat, however long the beat is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .features import intervals, rhythm_features
from .intervals import RHYTHM_STATISTICS, rhythm_statistics

AFTER = 0.6  # share of an R-to-R interval that belongs to the beat before
_SHORTEST_S = 0.02  # marks that are closer are one place for the geometry
_KEY = "beats"


@dataclass(frozen=True, eq=False)
class WindowBeats:
    """The beats of one window, times in seconds from its start.

    r_s, start_s, stop_s: [beat] R mark and extent of each beat whose R mark lies in the window.
    group: [beat] number of its piece. edges_s: [edge] inner borders of the pieces; a time patch belongs to the piece
    `searchsorted(edges_s, time, "right")`.
    features: [beat, feature] intervals around each beat. rhythm: [span, statistic].
    """

    r_s: np.ndarray
    start_s: np.ndarray
    stop_s: np.ndarray
    group: np.ndarray
    edges_s: np.ndarray
    features: np.ndarray
    rhythm: np.ndarray

    def to_extras(self) -> dict[str, Any]:
        """As plain arrays for `Window.extras`."""
        return {f"{_KEY}.{name}": array for name, array in vars(self).items()}

    @classmethod
    def of(cls, extras: Mapping[str, Any], features: int, spans: int) -> WindowBeats:
        """Out of `Window.extras`; a window that says nothing has no beats."""
        none = {name: np.zeros(0) for name in ("r_s", "start_s", "stop_s", "edges_s")}
        none |= {"group": np.zeros(0, np.int64), "features": np.zeros((0, features), np.float32)}
        none["rhythm"] = np.full((spans, len(RHYTHM_STATISTICS)), np.nan, np.float32)
        return cls(**{name: extras.get(f"{_KEY}.{name}", empty) for name, empty in none.items()})


class BeatTrack:
    """All R marks of a recording [beat] in seconds, ascending, with the intervals around them."""

    def __init__(self, r_s: np.ndarray) -> None:
        self.r_s = np.asarray(r_s, float)
        self.features = rhythm_features(self.r_s)
        before, after = (np.maximum(rr, _SHORTEST_S) for rr in intervals(self.r_s))
        self.start_s, self.stop_s = self.r_s - (1 - AFTER) * before, self.r_s + AFTER * after

    def window(self, start_s: float, length_s: float, spans_s: tuple[float, ...]) -> WindowBeats:
        """The beats of a window; rhythm is taken over `spans_s` around its middle, beyond its ends too."""
        stop_s = start_s + length_s
        inside = np.flatnonzero((self.r_s >= start_s) & (self.r_s < stop_s))
        inner = np.flatnonzero((self.stop_s[:-1] > start_s) & (self.stop_s[:-1] < stop_s))
        # the piece of beat i ends at stop i, so the first piece of the window is that of the first inner edge
        first = inner[0] if len(inner) else np.searchsorted(self.stop_s, start_s, "right")
        return WindowBeats(
            r_s=self.r_s[inside] - start_s,
            start_s=self.start_s[inside] - start_s,
            stop_s=self.stop_s[inside] - start_s,
            group=np.maximum(inside - first, 0),
            edges_s=self.stop_s[inner] - start_s,
            features=self.features[inside],
            rhythm=rhythm_statistics(self.r_s, start_s + length_s / 2, spans_s),
        )
