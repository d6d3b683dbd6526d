"""NTU RGB+D `.skeleton` files (Shahroudy et al., CVPR 2016; Liu et al., TPAMI 2020): text of Kinect v2 at 30 Hz.

- The file: number of frames; in each frame the number of bodies; of each body a line of ten numbers that begins with
  its id, the number of joints, and a line of twelve numbers a joint, of which the first three are its place in metres
  and the last is its tracking state: 0 lost, 1 inferred, 2 tracked.
- A person is an id over the frames. Who moves more and is seen longer comes first: the sensor also takes chairs for
  bodies, and they keep still or flicker.
- An inferred joint has confidence 0.5, so it stays unless more is asked for.
- The file is read line by line and what its counts claim is never allocated before it is there.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ....core.errors import CorruptFileError
from ....core.recording import Recording
from ..clip import make_clip, numbers_are_finite
from ..layout import find_layout
from .options import ReadOptions

SFREQ_HZ = 30.0
_CONFIDENCE = np.array([0.0, 0.5, 1.0])  # of the tracking states
_INFO, _NUMBERS = 10, 12  # of a body, of a joint
_LONGEST_LINE = 4096
_MOST_FRAMES, _MOST_BODIES = 10_000, 6  # five minutes, clips last seconds; what the sensor tracks at once
_MOST_PERSONS = 12  # ids in a file: a person who was lost comes back under another


def read(path: Path, options: ReadOptions) -> Recording:
    """A clip with everybody in it. Raises CorruptFileError with the line where the file goes wrong."""
    layout = find_layout(options.layout or "ntu-25")
    try:
        with path.open("rb") as file:
            frames = _frames(_Lines(file, path), len(layout.joints))
    except OSError as error:
        raise CorruptFileError("cannot be read", source=path, got=error.strerror) from error
    joints = numbers_are_finite(_persons(frames, len(layout.joints)))
    order = np.argsort(-_activity(joints[..., :3]), kind="stable")
    return make_clip(
        joints[order, ..., :3], layout, options.sfreq_hz or SFREQ_HZ, path.stem,
        confidence=joints[order, ..., 3], least_confidence=options.least_confidence, source=path,
    )  # fmt: skip


class _Lines:
    """Lines of a file with their number, for messages."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path, self._number = file, path, 0

    def words(self) -> list[bytes]:
        line = self._file.readline(_LONGEST_LINE)
        self._number += 1
        if not line:
            raise self.error("the file ends early", None, "a whole file")
        return line.split()

    def count(self, what: str, most: int) -> int:
        words = self.words()
        try:
            (value,) = (int(word) for word in words)
        except ValueError as error:
            raise self.error("no count", b" ".join(words), f"number of {what}") from error
        if not 0 <= value <= most:
            raise self.error("implausible count", value, f"0 to {most} {what}")
        return value

    def numbers(self, rows: int, columns: int) -> np.ndarray:
        """[row, column] of the next lines."""
        words: list[bytes] = []
        for row in range(1, rows + 1):
            words += self.words()
            if len(words) != row * columns:
                raise self.error("wrong number of values", len(words) - (row - 1) * columns, columns)
        try:
            return np.array(words, dtype=np.float64).reshape(rows, columns)
        except ValueError as error:
            raise self.error("not a number", error, None) from error

    def error(self, what: str, got: object, expected: object) -> CorruptFileError:
        return CorruptFileError(what, source=self._path, field=f"line {self._number}", got=got, expected=expected)


def _frames(lines: _Lines, joint_count: int) -> list[dict[bytes, np.ndarray]]:
    """Of each frame {id: [joint, 4]}: place and confidence."""
    frames = []
    for _ in range(lines.count("frames", _MOST_FRAMES)):
        bodies: dict[bytes, np.ndarray] = {}
        for _ in range(lines.count("bodies", _MOST_BODIES)):
            info = lines.words()
            if len(info) != _INFO:
                raise lines.error("no body", b" ".join(info), f"{_INFO} values")
            if info[0] in bodies:
                raise lines.error("one body twice in a frame", info[0], None)
            count = lines.count("joints", 1000)
            if count != joint_count:
                raise lines.error("wrong number of joints", count, joint_count)
            numbers = lines.numbers(joint_count, _NUMBERS)
            state = numbers[:, -1]
            for unknown in state[~np.isin(state, (0, 1, 2))]:
                raise lines.error("unknown tracking state of a joint", f"{unknown:g}", "0, 1 or 2")
            bodies[info[0]] = np.c_[numbers[:, :3], _CONFIDENCE[state.astype(int)]]
        frames.append(bodies)
    return frames


def _persons(frames: list[dict[bytes, np.ndarray]], joint_count: int) -> np.ndarray:
    """[person, frame, joint, 4] of those seen longest; NaN, and no confidence, while they are away."""
    seen = Counter(name for bodies in frames for name in bodies)
    names = [name for name, _ in seen.most_common(_MOST_PERSONS)]
    joints = np.full((len(names), len(frames), joint_count, 4), np.nan)
    joints[..., 3] = 0.0
    for frame, bodies in enumerate(frames):
        for person, name in enumerate(names):
            if name in bodies:
                joints[person, frame] = bodies[name]
    return joints


def _activity(positions: np.ndarray) -> np.ndarray:
    """[person]: metres that the joints of [person, frame, joint, 3] go in all while they are seen."""
    steps = np.linalg.norm(np.diff(positions, axis=1), axis=-1)
    there = np.isfinite(steps)
    # tracking jumps would make the noisiest body the most active one
    steps = np.where(there, np.minimum(steps, 0.2), 0.0)
    return steps.sum(axis=(1, 2)) + 1e-6 * there.sum(axis=(1, 2))
