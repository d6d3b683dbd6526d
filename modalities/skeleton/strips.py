"""Skeleton strips: a clip as figures side by side, seen from the front, with what is hidden and what was predicted.

Read as one reads a film strip: a figure every few frames, its left to the right of the picture. Bones join the joints
that a clip has, along the vocabulary, whatever its tokens are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from ...core.seeing import SeenWindow
from .body import resolve_body
from .tokens import AXES, TokenShape, part_places
from .vocabulary import PARTS, VOCABULARY, sensor_name

_FIGURES = 9  # in a strip
_MARGIN = 0.12  # share of a figure's height around it
_PERSON, _X = AXES.index("person"), AXES.index("x")


@dataclass(frozen=True, eq=False)
class Track:
    """Joints through a window.

    sensors: names. position: [sensor, 3, frame], NaN = not there. hidden: [sensor, frame] bool.
    """

    sensors: tuple[str, ...]
    position: np.ndarray
    hidden: np.ndarray


def track(values: np.ndarray, coords: np.ndarray, hidden: np.ndarray, shape: TokenShape) -> Track | None:
    """Where the joints of tokens [token, value] were; None where the tokens do not say it (no joint stream)."""
    if "joint" not in shape.streams:
        return None
    first, size = 3 * shape.streams.index("joint"), shape.patch_frames
    content = values.reshape(len(values), -1, shape.channels, size)[:, :, first : first + 3]
    step = np.round(coords[:, 0] / shape.spec.axis_scales[0] - 0.5).astype(int)
    frames = (step.max(initial=-1) + 1) * size
    names: dict[str, int] = {}
    places: list[tuple[int, int, int]] = []  # (token, slot, sensor)
    for token, joints in enumerate(_joints_of(coords, shape)):
        seen = np.isfinite(content[token]).any(axis=(1, 2))
        places += [(token, slot, names.setdefault(name, len(names))) for slot, name in joints.items() if seen[slot]]
    position = np.full((len(names), 3, frames), np.nan, np.float32)
    covered = np.zeros((len(names), frames), bool)
    for token, slot, sensor in places:
        span = slice(step[token] * size, (step[token] + 1) * size)
        position[sensor, :, span] = content[token, slot]
        covered[sensor, span] = hidden[token]
    return Track(tuple(names), position, covered)


def _joints_of(coords: np.ndarray, shape: TokenShape) -> list[dict[int, str]]:
    """{slot: sensor} of each token."""
    person = np.round(coords[:, _PERSON]).astype(int)
    if shape.tokens == "joint":
        every = list(VOCABULARY.values())
        nearest = cdist(coords[:, _X:], [joint.place for joint in every]).argmin(axis=1)
        return [{0: sensor_name(every[i].name, p)} for i, p in zip(nearest, person, strict=True)]
    part = cdist(coords[:, _X:], part_places()).argmin(axis=1)
    # a slot that a joint and a marker share is the joint's, which stands first in the vocabulary
    slots: list[dict[int, str]] = [{} for _ in PARTS]
    for joint in VOCABULARY.values():
        if joint.slot >= 0:
            slots[PARTS.index(joint.part)].setdefault(joint.slot, joint.name)
    return [{slot: sensor_name(name, p) for slot, name in slots[i].items()} for i, p in zip(part, person, strict=True)]


def draw_strip(figure: Any, window: SeenWindow, shape: TokenShape, colours: Mapping[str, str]) -> bool:
    """Fill a matplotlib figure; False where the tokens do not say where joints were. See `Seeing.draw_window`."""
    true = track(window.values, window.coords, window.hidden, shape)
    if true is None or not np.isfinite(true.position).any():
        return False
    guess = None if window.predicted is None else track(window.predicted, window.coords, window.hidden, shape)
    seen = np.flatnonzero(np.isfinite(true.position).any(axis=(0, 1)))
    frames = np.unique(np.linspace(seen[0], seen[-1], _FIGURES).astype(int))
    panels = figure.subplots(1, len(frames), squeeze=False, sharex=True, sharey=True)[0]
    low, high = _reach(true.position[:, :, frames])
    for axes, frame in zip(panels, frames, strict=True):
        _draw(axes, true, frame, ~true.hidden[:, frame], colours["ink"], 1.4)
        _draw(axes, true, frame, true.hidden[:, frame], colours["hidden"], 1.8)
        if guess is not None:
            _draw(axes, guess, frame, guess.hidden[:, frame], colours["predicted"], 1.8)
        axes.set_aspect("equal")
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
        axes.set_axis_off()
        axes.set_title(f"{frame / shape.sfreq_hz:.1f} s", fontsize=9, color=colours["soft"], fontweight="normal")
    return True


def _draw(axes: Any, of: Track, frame: int, chosen: np.ndarray, colour: str, width: float) -> None:
    """Bones whose outer joint is chosen, and the chosen joints."""
    at = of.position[:, :2, frame]
    there = np.asarray(np.isfinite(at).all(axis=1))
    child = np.flatnonzero(there & chosen)
    parent = resolve_body(of.sensors).parent[child]
    joined = (parent >= 0) & there[parent]
    ends = np.stack([at[child[joined]], at[parent[joined]]], axis=1)
    axes.plot(*ends.transpose(2, 1, 0), color=colour, linewidth=width, solid_capstyle="round")
    axes.plot(*at[child].T, "o", color=colour, markersize=1.4 * width, markeredgewidth=0)


def _reach(position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower left and upper right corner of what is drawn, the same for all figures."""
    low, high = (f(position[:, :2], axis=(0, 2)) for f in (np.nanmin, np.nanmax))
    margin = _MARGIN * (high - low).max()
    return low - margin, high + margin
