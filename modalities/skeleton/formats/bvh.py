"""Biovision hierarchies (.bvh): a tree of bones and, for each frame, the numbers of its channels.

- Channels come in any order and number a joint. Rotations are multiplied in the order in which they are listed;
  positions take the place of the joint's offset, as exporters mean them.
- An End Site is a joint too: the tip of a head or a foot, called after its joint.
- The format knows neither unit nor up axis. A unit is taken for right when a person of it has a plausible size; y is up
  unless people clearly stand along z. `layout` overrules names, unit and axis.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ....core.errors import CorruptFileError, InputError
from ....core.recording import Recording
from ..clip import make_clip
from ..kinematics import euler_rotations, forward_kinematics
from ..layout import find_layout
from .bvh_layout import bvh_layout
from .options import ReadOptions
from .own_layout import in_layout
from .text import read_numbers, read_text

_CHANNELS = {f"{axis}{kind}" for axis in "XYZ" for kind in ("position", "rotation")}
_TIP = "_end"
_MOST_JOINTS, _DEEPEST = 1000, 200


@dataclass
class Node:
    """A joint of the hierarchy. first: the column at which its channels begin."""

    name: str
    parent: int
    offset: tuple[float, ...] = (0.0, 0.0, 0.0)
    channels: list[str] = field(default_factory=list)
    first: int = 0


def read(path: Path, options: ReadOptions) -> Recording:
    """The movement of the file's only hierarchy. Raises CorruptFileError with the line where it goes wrong."""
    lines = _Lines(read_text(path).splitlines(), path)
    nodes = _hierarchy(lines)
    frames, frame_s = _motion_header(lines)
    numbers = read_numbers(lines.rest(), path)
    columns = sum(len(node.channels) for node in nodes)
    if numbers.shape != (frames, columns):
        raise CorruptFileError(
            "frames do not fit the header", source=path, got=f"{numbers.shape[0]} frames of {numbers.shape[1]} values",
            expected=f"{frames} frames of {columns}",
        )  # fmt: skip
    lost = ~np.isfinite(numbers).all(axis=1)  # every joint hangs on others
    numbers[lost] = 0.0
    places = _places(nodes, numbers)
    places[lost] = np.nan
    names = [node.name for node in nodes]
    if options.layout:
        layout = find_layout(options.layout)
        known = {*layout.joints, *layout.meaning}
        kept = [i for i, name in enumerate(names) if name in known or not name.endswith(_TIP)]
        places = in_layout(places[None, :, kept], [names[i] for i in kept], layout, path)[0]
    else:
        rest = _places([replace(node, channels=[]) for node in nodes], numbers[:1])[0]
        layout, metres = bvh_layout(names, [node.parent for node in nodes], rest, places, path)
        places *= metres
    return make_clip(places[None], layout, options.sfreq_hz or _rate(frame_s), path.stem, source=path)


def _places(nodes: list[Node], numbers: np.ndarray) -> np.ndarray:
    """[frame, joint, 3] in the file's unit, of channels [frame, column]."""
    offsets = np.tile(np.array([node.offset for node in nodes], dtype=np.float64), (len(numbers), 1, 1))
    turns = np.tile(np.eye(3), (len(numbers), len(nodes), 1, 1))
    for joint, node in enumerate(nodes):
        columns = numbers[:, node.first : node.first + len(node.channels)]
        for column, channel in zip(columns.T, node.channels, strict=True):
            if channel.endswith("position"):
                offsets[:, joint, "XYZ".index(channel[0])] = column
        turning = [i for i, channel in enumerate(node.channels) if channel.endswith("rotation")]
        if turning:
            turns[:, joint] = euler_rotations(columns[:, turning], "".join(node.channels[i][0] for i in turning))
    return forward_kinematics(offsets, turns, [node.parent for node in nodes])


class _Lines:
    """Words line by line, with the line's number for messages."""

    def __init__(self, lines: list[str], path: Path) -> None:
        self._lines, self.path, self._at = lines, path, 0

    def words(self) -> list[str]:
        """Of the next line that is not blank."""
        while self._at < len(self._lines):
            self._at += 1
            if words := self._lines[self._at - 1].split():
                return words
        raise self.error("the file ends early", None, "a whole file")

    def rest(self) -> list[str]:
        return self._lines[self._at :]

    def numbers(self, words: list[str], count: int) -> tuple[float, ...]:
        try:
            found = tuple(float(word) for word in words)
        except ValueError as error:
            raise self.error("not a number", error, None) from error
        if len(found) != count or not np.isfinite(found).all() or max(map(abs, found)) > 1e6:
            raise self.error("implausible numbers", " ".join(words), f"{count} numbers")
        return found

    def error(self, what: str, got: object, expected: object) -> CorruptFileError:
        return CorruptFileError(what, source=self.path, field=f"line {self._at}", got=got, expected=expected)


def _hierarchy(lines: _Lines) -> list[Node]:
    """Joints and end sites, each after its parent; the next line is that after MOTION."""
    if [word.upper() for word in lines.words()] != ["HIERARCHY"]:
        raise lines.error("no BVH file", None, "HIERARCHY in its first line")
    nodes: list[Node] = []
    inside: list[int] = []  # joints whose brace is open, the last one innermost
    columns = 0
    while True:
        words = lines.words()
        key = words[0].upper()
        if key in ("ROOT", "JOINT", "END"):
            _open_joint(lines, words, nodes, inside)
        elif key == "}" and inside:
            inside.pop()
        elif key == "OFFSET" and inside:
            nodes[inside[-1]].offset = lines.numbers(words[1:], 3)
        elif key == "CHANNELS" and inside and not nodes[inside[-1]].channels:
            nodes[inside[-1]].channels, nodes[inside[-1]].first = _channels(lines, words), columns
            columns += len(words) - 2
        elif key == "MOTION" and nodes and not inside:
            return nodes
        else:
            raise lines.error("not part of a hierarchy", " ".join(words), "ROOT, JOINT, End Site, OFFSET, CHANNELS, }")


def _open_joint(lines: _Lines, words: list[str], nodes: list[Node], inside: list[int]) -> None:
    """Add the joint that a line opens, with its brace, which may stand on the next line."""
    is_root, named = words[0].upper() == "ROOT", " ".join(word for word in words[1:] if word != "{")
    if is_root and nodes and not inside:
        raise InputError("several people in one BVH file", source=lines.path, fix="write a file for each of them")
    if is_root != (not inside) or len(nodes) >= _MOST_JOINTS or len(inside) >= _DEEPEST:
        raise lines.error("a joint in the wrong place", " ".join(words), "one ROOT with joints inside")
    parent = inside[-1] if inside else -1
    name = named if words[0].upper() != "END" else f"{nodes[parent].name}{_TIP}"
    if not name or any(node.name == name for node in nodes):
        raise lines.error("two joints are called alike" if name else "a joint without a name", name, None)
    if words[-1] != "{" and lines.words() != ["{"]:
        raise lines.error("no opening brace", None, "{")
    nodes.append(Node(name, parent))
    inside.append(len(nodes) - 1)


def _channels(lines: _Lines, words: list[str]) -> list[str]:
    """Of a line such as `CHANNELS 3 Zrotation Xrotation Yrotation`."""
    channels = words[2:]
    if not set(channels) <= _CHANNELS or len(set(channels)) < len(channels) or words[1:2] != [str(len(channels))]:
        raise lines.error("unknown channels", " ".join(words[1:]), "3 Zrotation Xrotation Yrotation, ...")
    return channels


def _motion_header(lines: _Lines) -> tuple[int, float]:
    """Number of frames, and seconds from one to the next."""
    words = lines.words()
    if words[0].lower() != "frames:" or len(words) != 2 or not words[1].isdecimal():
        raise lines.error("no number of frames", " ".join(words), "Frames: 120")
    count = int(words[1][:12])
    words = lines.words()
    if [word.lower() for word in words[:2]] != ["frame", "time:"]:
        raise lines.error("no time of a frame", " ".join(words), "Frame Time: 0.0083333")
    (frame_s,) = lines.numbers(words[2:], 1)
    if frame_s <= 0:
        raise lines.error("no time of a frame", frame_s, "seconds")
    return count, frame_s


def _rate(frame_s: float) -> float:
    """Frames a second; a time was rounded when it was written, so a whole number that fits is meant."""
    rate = 1.0 / frame_s
    return float(round(rate)) if abs(rate - round(rate)) < 5e-4 * rate else rate
