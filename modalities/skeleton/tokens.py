"""Tokens of a clip: a joint, or a whole body part, for a few frames.

- A part token holds the joints of one part in the slots of the vocabulary, so that clips of any layout give the same
  six parts a person: few tokens, and one model for several layouts. A joint token holds one joint: all that a camera
  tracks, also what is too fine for a slot or only a layout of its own knows.
- The numbers of a joint are its streams (`streams`), frame by frame; what was lost is NaN, and a token of which nothing
  was seen is invalid. Joints, parts and persons that a window never shows have no tokens at all.
- Coordinates are seconds from the window's start, the person's number, and where the joint stands in a standard person
  (a part stands in the middle of its slots), never where it is now: that is what the values say.
- Edges join a joint to its parent within a time step and to itself in the next one, both ways; parts hang on the trunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from einops import rearrange

from ...core.sequence import PatchSequence, SequenceSpec
from .body import Body
from .streams import stack_streams
from .vocabulary import PARTS, SLOTS, VOCABULARY

AXES = ("time_s", "person", "x", "y", "z")
_PLACE_STEP = {"joint": 0.15, "part": 0.3}  # metres between neighbours in a standard person
_TRUNK = PARTS.index("trunk")


@dataclass(frozen=True)
class TokenShape:
    """tokens: what one of them holds. streams: of `STREAMS`, in order. patch_frames: frames of a token at sfreq_hz."""

    tokens: Literal["part", "joint"]
    streams: tuple[str, ...]
    patch_frames: int
    sfreq_hz: float

    @property
    def channels(self) -> int:
        return 3 * len(self.streams)

    @property
    def spec(self) -> SequenceSpec:
        step = _PLACE_STEP[self.tokens]
        one = (self.channels, self.patch_frames)
        return SequenceSpec(
            axes=AXES,
            axis_scales=(self.patch_frames / self.sfreq_hz, 1.0, step, step, step),
            patch_shape=(SLOTS, *one) if self.tokens == "part" else one,
            sfreq_hz=self.sfreq_hz,
            kinds=(self.tokens,),
        )


@dataclass(frozen=True, eq=False)
class _Units:
    """What has a track of tokens through the window: joints or parts.

    content: [unit, ..., frame]. person, part: [unit]. place: [unit, 3]. links: [2, link] pairs of units, each once.
    """

    content: np.ndarray
    person: np.ndarray
    part: np.ndarray
    place: np.ndarray
    links: np.ndarray


def make_tokens(
    values: np.ndarray, body: Body, parent: np.ndarray, shape: TokenShape, moving_hz: float
) -> PatchSequence:
    """Positions [sensor, 3, frame] -> one row.

    parent: [sensor] where each bone comes from, -1 = nowhere. moving_hz: true frames a second, of the motion streams.
    """
    content = stack_streams(values, parent, shape.streams, moving_hz)
    seen = np.flatnonzero(np.isfinite(content).any(axis=(1, 2)))
    kept = seen if len(seen) else np.arange(min(1, len(content)))
    units = _joints(content, body, kept) if shape.tokens == "joint" else _parts(content, body, kept)
    return _cut(units, shape)


def _joints(content: np.ndarray, body: Body, kept: np.ndarray) -> _Units:
    number = np.full(len(content) + 1, -1)  # the last is that of "no parent"
    number[kept] = np.arange(len(kept))
    parent = number[body.parent[kept]]
    child = np.flatnonzero(parent >= 0)
    return _Units(content[kept], body.person[kept], body.part[kept], body.place[kept], np.stack([child, parent[child]]))


def _parts(content: np.ndarray, body: Body, kept: np.ndarray) -> _Units:
    kept = kept[body.slot[kept] >= 0]
    unit = body.person[kept] * len(PARTS) + body.part[kept]
    numbers, at = np.unique(unit, return_inverse=True)
    filled = np.full((max(len(numbers), 1), SLOTS, *content.shape[1:]), np.nan, np.float32)
    filled[at, body.slot[kept]] = content[kept]
    numbers = numbers if len(numbers) else np.zeros(1, int)
    person, part = np.divmod(numbers, len(PARTS))
    return _Units(filled, person, part, part_places()[part], _part_links(person, part))


def _part_links(person: np.ndarray, part: np.ndarray) -> np.ndarray:
    """[2, link]: parts hang on the trunk; those of a person without one hang together."""
    same = person[:, None] == person
    trunk = same & (part == _TRUNK)
    joined = np.where(trunk.any(axis=1)[:, None], trunk | trunk.T, same)
    return np.stack(np.nonzero(np.triu(joined, 1)))


def _cut(units: _Units, shape: TokenShape) -> PatchSequence:
    size, count = shape.patch_frames, -(-units.content.shape[-1] // shape.patch_frames)
    padded = np.full((*units.content.shape[:-1], count * size), np.nan, np.float32)
    padded[..., : units.content.shape[-1]] = units.content
    cut = rearrange(padded, "unit ... (step frame) -> unit step ... frame", frame=size)
    flat = cut.reshape(1, len(cut) * count, -1)
    coords = np.empty((len(cut), count, len(AXES)), np.float32)
    coords[..., 0] = (np.arange(count) + 0.5) * (size / shape.sfreq_hz)
    coords[..., 1] = units.person[:, None]
    coords[..., 2:] = units.place[:, None]
    group = np.repeat(units.person * len(PARTS) + units.part, count)[None]
    return PatchSequence.build(
        shape.spec,
        torch.from_numpy(rearrange(coords, "unit step coord -> 1 (unit step) coord")),
        values=torch.from_numpy(flat),
        valid=torch.from_numpy(np.isfinite(flat).any(axis=-1)),
        group=torch.from_numpy(group.astype(np.int64)),
        edges=torch.from_numpy(_edges(units.links, len(cut), count)),
    )


def _edges(links: np.ndarray, units: int, steps: int) -> np.ndarray:
    """[2, edge] int64 over (unit, step), both ways: links within each step, and each unit to its next step."""
    number = np.arange(units * steps).reshape(units, steps)
    within = number[links].reshape(2, -1)
    onward = np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()])
    forward = np.concatenate([within, onward], axis=1)
    return np.concatenate([forward, forward[::-1]], axis=1).astype(np.int64)


def positions(sequence: PatchSequence, shape: TokenShape) -> list[np.ndarray]:
    """The inverse: positions [joint, 3, frame] of each row, joints or the slots of parts in the order of the row; NaN
    where a token is invalid or not among the tokens.

    Raises NotImplementedError where the joint stream is not among the values.
    """
    if "joint" not in shape.streams:
        raise NotImplementedError("only the joint stream says where joints were")
    assert sequence.values is not None
    first = 3 * shape.streams.index("joint")
    values = sequence.values.masked_fill(~sequence.valid.unsqueeze(-1), torch.nan).cpu().numpy()
    values = values.reshape(*sequence.valid.shape, -1, shape.channels, shape.patch_frames)[..., first : first + 3, :]
    coords, group = sequence.coords.cpu().numpy(), sequence.group.cpu().numpy()
    step_s, found = sequence.spec.axis_scales[0], []
    for row, where, number in zip(values, coords, group, strict=True):
        real = where[:, 0] > 0  # padding lies at time 0, the middle of a stretch always later
        track = np.concatenate([number[real, None], where[real, 1:]], axis=1)
        _, start, unit = np.unique(track, axis=0, return_index=True, return_inverse=True)
        unit = start.argsort().argsort()[unit.ravel()]  # in the order of the row
        at = np.round(where[real, 0] / step_s - 0.5).astype(int)
        grid = np.full((len(start), at.max(initial=-1) + 1, *row.shape[1:]), np.nan, np.float32)
        grid[unit, at] = row[real]
        found.append(rearrange(grid, "unit step slot xyz frame -> (unit slot) xyz (step frame)"))
    return found


@cache
def part_places() -> np.ndarray:
    """[part, 3] middle of the joints that have a slot in each part of the standard person."""
    slotted = [joint for joint in VOCABULARY.values() if joint.slot >= 0]
    return np.array(
        [np.mean([joint.place for joint in slotted if joint.part == part], axis=0) for part in PARTS], np.float32
    )
