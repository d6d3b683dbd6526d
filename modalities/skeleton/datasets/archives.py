"""Archives that hold a whole data set: clips one after another in one array, and what each is in others.

A set of thousands of clips lists and loads in seconds, because the last archives stay in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from ....core.errors import CorruptFileError
from ....core.modality import Source
from ..formats.npz_arrays import read_npz

FILE_SLICES = ("start", "length")


def archive_file(root: Path, name: str) -> Path:
    """The archive itself, or the one of that name in a folder."""
    return root / name if root.is_dir() else root


def read_archive(
    path: Path, positions: str, of_clips: Sequence[str], further: Sequence[str] = ()
) -> Mapping[str, np.ndarray]:
    """Arrays of an archive by name: `positions` [frame, joint, 3], `start` and `length` of each clip in it, whole
    numbers about each clip (`of_clips`, int64), and `further` ones as they are.

    Raises CorruptFileError for arrays that do not fit each other.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise CorruptFileError("cannot be read", source=path, got=error.strerror) from error
    return _read(path, stat.st_mtime_ns, stat.st_size, positions, tuple(of_clips), tuple(further))


def clip_of(arrays: Mapping[str, np.ndarray], source: Source) -> tuple[int, slice]:
    """Number of a source's clip and its frames."""
    number = source.extras["clip"]
    first = int(arrays["start"][number])
    return number, slice(first, first + int(arrays["length"][number]))


@lru_cache(maxsize=2)
def _read(
    path: Path, _changed_ns: int, _size: int, positions: str, of_clips: tuple[str, ...], further: tuple[str, ...]
) -> Mapping[str, np.ndarray]:
    arrays = read_npz(path, (positions, *FILE_SLICES, *of_clips, *further))
    places = arrays[positions]
    if places.ndim != 3 or places.shape[2] != 3 or places.dtype.kind not in "iuf":
        raise CorruptFileError(
            "no positions of joints", source=path, field=positions, got=f"{places.dtype} of shape {places.shape}",
            expected="numbers [frame, joint, 3]",
        )  # fmt: skip
    clips = arrays["start"].shape[:1]
    for name in (*FILE_SLICES, *of_clips):
        if arrays[name].dtype.kind not in "iu" or arrays[name].shape != clips:
            raise CorruptFileError(
                "not a whole number a clip", source=path, field=name,
                got=f"{arrays[name].dtype} of shape {arrays[name].shape}", expected=f"integers of shape {clips}",
            )  # fmt: skip
        arrays[name] = arrays[name].astype(np.int64)
    start, length = arrays["start"], arrays["length"]
    outside = (start < 0) | (length < 0) | (start > len(places) - length)
    if outside.any():
        raise CorruptFileError(
            "a clip lies outside the archive", source=path, field="start, length",
            got=f"frames {start[outside][0]} and {length[outside][0]} more", expected=f"within {len(places)} frames",
        )  # fmt: skip
    return arrays


def checked_codes(arrays: Mapping[str, np.ndarray], name: str, most: int, path: Path) -> list[int]:
    """Numbers about clips that count from 1 to `most`. Raises CorruptFileError for another."""
    codes = arrays[name]
    wrong = codes[(codes < 1) | (codes > most)]
    if len(wrong):
        raise CorruptFileError("unknown number", source=path, field=name, got=int(wrong[0]), expected=f"1 to {most}")
    return codes.tolist()


def refuse_twice(records: Sequence[str], path: Path) -> None:
    """Raise CorruptFileError where two clips would have one name."""
    seen: set[str] = set()
    for record in records:
        if record in seen:
            raise CorruptFileError("one clip stands twice", source=path, got=record)
        seen.add(record)
