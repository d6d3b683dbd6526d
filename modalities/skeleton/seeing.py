"""Skeletons seen: joints and parts by name, a standing figure to draw them on, and streams by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy.spatial.distance import cdist

from ...core.seeing import Seeing, SeenWindow, without_values
from ...core.sequence import PatchSequence
from .body import resolve_body
from .strips import draw_strip
from .tokens import AXES, TokenShape, part_places
from .vocabulary import PARTS, VOCABULARY, sensor_name, split_sensor

_ALREADY_M = 0.002  # a place nearer than this to a joint is that joint
_PERSON, _X = AXES.index("person"), AXES.index("x")
_APART_M = 1.1  # distance at which several persons are drawn
_HALF_M = 0.035  # half the width of a limb that is drawn


class SkeletonSeeing(Seeing):
    """Of joint and of part tokens."""

    def __init__(self, shape: TokenShape) -> None:
        self.shape = shape

    def place_names(self, where: np.ndarray) -> list[str]:
        """The joint at each place, or the part whose middle is nearest; of a second person as in "left_arm#2"."""
        names, places = _joints()
        distance = cdist(where[:, _X:], places)
        parts = cdist(where[:, _X:], part_places()).argmin(axis=1)
        exact = (distance.min(axis=1) < _ALREADY_M) & (self.shape.tokens == "joint")
        found = [
            names[j] if known else PARTS[p] for known, j, p in zip(exact, distance.argmin(axis=1), parts, strict=True)
        ]
        return [sensor_name(name, round(float(n))) for name, n in zip(found, where[:, _PERSON], strict=True)]

    def draw_places(
        self, axes: Any, where: np.ndarray, values: np.ndarray, limit: float, colours: Any, *, smooth: bool = True
    ) -> bool:
        """Standing figures from the front, their left to the right of the picture, joints or limbs in colour."""
        from matplotlib.colors import Normalize

        names, scale = self.place_names(where), Normalize(-limit, limit)
        number = np.round(where[:, _PERSON]).astype(int)
        for person in np.unique(number):
            known = {split_sensor(names[i])[0]: colours(scale(values[i])) for i in np.flatnonzero(number == person)}
            _draw_figure(axes, known, _APART_M * int(person))
        axes.set_xlim(-0.6, 0.6 + _APART_M * number.max(initial=0))
        axes.set_ylim(-1.05, 0.85)
        axes.set_aspect("equal")
        axes.set_axis_off()
        return True

    def draw_window(self, figure: Any, window: SeenWindow, colours: Mapping[str, str]) -> bool:
        return draw_strip(figure, window, self.shape, colours)

    def without_parts(self, batch: PatchSequence) -> dict[str, PatchSequence]:
        """The batch without each stream in turn."""
        if len(self.shape.streams) < 2:
            return {}
        place = torch.arange(batch.spec.patch_size) // self.shape.patch_frames % self.shape.channels // 3
        return {
            name: without_values(batch, (place == number).to(batch.device))
            for number, name in enumerate(self.shape.streams)
        }

    def value_axis(self, kind: int) -> tuple[np.ndarray, str]:
        return (np.arange(self.shape.patch_frames) + 0.5) / self.shape.sfreq_hz, "seconds"


def _draw_figure(axes: Any, colour: dict[str, Any], aside: float) -> None:
    """Bones as lines; over them the bones of the parts and the joints that have a colour."""
    from matplotlib.patches import Circle, Polygon

    names, places = _figure()
    at = places[:, :2] + (aside, 0.0)
    body = resolve_body(names)
    for child, parent in enumerate(body.parent):
        if parent < 0:
            continue
        axes.plot(*at[[child, parent]].T, color="0.7", lw=1.5, zorder=1)
        part = PARTS[body.part[child]]
        if part in colour and np.linalg.norm(at[child] - at[parent]) > 0:
            axes.add_patch(Polygon(_thick(at[child], at[parent]), facecolor=colour[part], edgecolor="none", zorder=2))
    for name in colour:
        if name in VOCABULARY:
            x, y, _ = VOCABULARY[name].place
            axes.add_patch(Circle((x + aside, y), 0.04, facecolor=colour[name], edgecolor="0.4", lw=0.5, zorder=3))


def _thick(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[4, 2] corners of a bar from a to b."""
    across = _HALF_M * np.array([b[1] - a[1], a[0] - b[0]]) / np.linalg.norm(b - a)
    return np.stack([a + across, b + across, b - across, a - across])


@cache
def _joints() -> tuple[tuple[str, ...], np.ndarray]:
    return tuple(VOCABULARY), np.array([joint.place for joint in VOCABULARY.values()])


@cache
def _figure() -> tuple[tuple[str, ...], np.ndarray]:
    """The joints a figure is drawn from."""
    sides = ("collar", "shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "foot")
    names = ("pelvis", "spine", "chest", "neck", "head", *(f"{s}_{name}" for name in sides for s in ("left", "right")))
    return names, np.array([VOCABULARY[name].place for name in names])
