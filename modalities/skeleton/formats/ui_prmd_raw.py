"""Raw files of UI-PRMD (Vakanski et al. 2018, doi:10.3390/data3010002), Kinect part: two text files a repetition.

- `*_positions*.txt` holds each joint's offset in its parent's frame in centimetres, of the root its place;
  `*_angles*.txt` Euler angles in degrees. Both have 66 columns, (x, y, z) of 22 joints, a line a frame.
- Places follow by R = Rz Rx Ry and the parent's accumulated rotation. The order was found by test: with it feet stand
  in a deep squat, with any other they slide several times as far.
- Exercise, subject and whether it was done well are in the name: `m01_s02_e03`, `_inc` at the end for a faulty one.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ....core.errors import CorruptFileError
from ....core.recording import Recording
from ..clip import make_clip
from ..kinematics import euler_rotations, forward_kinematics
from ..layout import find_layout
from ..tasks import EXERCISES, QUALITIES
from .options import ReadOptions
from .text import read_numbers, read_text

SFREQ_HZ = 30.0
_LAYOUT = "ui-prmd-22"
_PAIR = re.compile(r"(.*)(positions|angles)([^/]*\.txt(?:\.gz)?)")


def is_ui_prmd(path: Path) -> bool:
    """Whether a file's name is that of one of such a pair."""
    return _PAIR.fullmatch(path.name) is not None


def read(path: Path, options: ReadOptions) -> Recording:
    """The repetition that a file of positions or of angles belongs to; the other one must lie beside it.

    Raises CorruptFileError for a missing partner, other columns, or files of different length.
    """
    layout = find_layout(options.layout or _LAYOUT)
    name = _PAIR.fullmatch(path.name)
    if name is None:
        raise CorruptFileError("no file of UI-PRMD", source=path, expected="..._positions.txt and ..._angles.txt")
    offsets, degrees = (
        _table(path.with_name(f"{name[1]}{kind}{name[3]}"), len(layout.joints)) for kind in ("positions", "angles")
    )
    if len(offsets) != len(degrees):
        raise CorruptFileError(
            "positions and angles differ in length", source=path, got=f"{len(offsets)} and {len(degrees)} frames",
        )  # fmt: skip
    # a frame with a number missing is lost as a whole: every joint hangs on others
    lost = ~np.isfinite(offsets).all(axis=(1, 2)) | ~np.isfinite(degrees).all(axis=(1, 2))
    offsets[lost], degrees[lost] = 0.0, 0.0
    places = forward_kinematics(offsets, euler_rotations(degrees[..., [2, 0, 1]], "ZXY"), layout.parents)
    places[lost] = np.nan
    label, subject = _named(path.name)
    return make_clip(
        places[None], layout, options.sfreq_hz or SFREQ_HZ, path.name.removesuffix(".gz").removesuffix(".txt"),
        label=label, subject=subject, source=path,
    )  # fmt: skip


def _table(path: Path, joints: int) -> np.ndarray:
    """[frame, joint, 3] of one of the two files."""
    if not path.is_file():
        raise CorruptFileError("one of the two files is missing", source=path, expected="positions beside angles")
    numbers = read_numbers(read_text(path).splitlines(), path, ",")
    if numbers.shape[1] != 3 * joints:
        raise CorruptFileError(
            "wrong number of columns", source=path, got=numbers.shape[1], expected=f"{3 * joints}, three a joint"
        )
    return numbers.reshape(-1, joints, 3)


def _named(name: str) -> tuple[tuple[str, ...], str]:
    """(exercise, quality) and subject of a file's name, as far as it tells."""
    found = re.search(r"m(\d+)_s(\d+)_e\d+", name)
    if found is None or not 1 <= int(found[1]) <= len(EXERCISES):
        return (), ""
    return (EXERCISES[int(found[1]) - 1], QUALITIES["_inc" in name]), f"s{int(found[2]):02d}"
