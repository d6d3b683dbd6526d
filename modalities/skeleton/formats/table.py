"""Tables (CSV) of joints over time, in the two forms that spreadsheets and scripts write.

    long    frame or time_s, joint, x, y [, z] [, confidence] [, person]: a row a joint
    wide    [frame or time_s,] left_knee_x, left_knee_y [, left_knee_z] [, left_knee_confidence], ...: a row a frame

- Cells may be separated by comma, semicolon or tab. An empty cell is a lost joint, and so is one at zero in all axes.
- A frame that is left out is lost, not skipped: time goes on. Times give the rate and each row its frame.
- Without a layout the unit is guessed from the size of people, positions of two axes are pixels with y down.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ....core.errors import CorruptFileError, InputError
from ....core.recording import Recording
from ..clip import make_clip, zeros_are_lost
from ..layout import find_layout
from .options import ReadOptions
from .own_layout import guessed_unit, in_layout, layout_of_names
from .text import read_text

_AXES = ("x", "y", "z")
_VALUES = (*_AXES, "confidence")
_CLOCKS = ("frame", "time_s")
_MOST_PERSONS = 16


@dataclass(frozen=True, eq=False)
class Rows:
    """A table in its long form.

    names: of the joints. person, frame, joint: [row] numbers from 0. values: [row, 4] x, y, z and confidence, NaN where
    there is none. rate_hz: None where the table has no times.
    """

    names: list[str]
    person: np.ndarray
    frame: np.ndarray
    joint: np.ndarray
    values: np.ndarray
    rate_hz: float | None


def read(path: Path, options: ReadOptions) -> Recording:
    """The clip. Raises CorruptFileError for what is no such table, InputError for what nothing says."""
    columns = _columns(path)
    long = {"joint", "x", "y"} <= columns.keys()
    rows = _long(path, columns) if long else _wide(path, columns)
    rate_hz = rows.rate_hz if options.sfreq_hz is None else options.sfreq_hz
    if rate_hz is None:
        raise InputError(
            "nothing says how many frames a second", source=path, field="sfreq_hz",
            fix="add a column time_s, or give --modality.file_sfreq_hz",
        )  # fmt: skip
    x = _grid(path, rows)
    told = np.asarray(np.isfinite(rows.values).any(axis=0))  # of x, y, z and confidence
    positions = zeros_are_lost(x[..., : 3 if told[2] else 2])
    confidence = x[..., 3:] if told[3] else None
    if options.layout:
        layout = find_layout(options.layout)
        positions = in_layout(positions, rows.names, layout, path)
        confidence = None if confidence is None else in_layout(confidence, rows.names, layout, path)
    else:
        unit = guessed_unit(positions, path)
        layout = layout_of_names(rows.names, path, unit=unit, up="-y" if unit == "px" else "y")
    return make_clip(
        positions, layout, rate_hz, path.stem, confidence=None if confidence is None else confidence[..., 0],
        least_confidence=options.least_confidence, source=path,
    )  # fmt: skip


def _columns(path: Path) -> dict[str, list[str]]:
    """{name: cells} of a table with a header."""
    text = read_text(path)
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if any(row)]
    except csv.Error as error:
        raise CorruptFileError("cannot be read as a table", source=path, got=error) from error
    if len(rows) < 2:
        raise CorruptFileError("no frames", source=path, expected="a header and a row a frame or joint")
    names = [name.strip() for name in rows[0]]
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            raise CorruptFileError(
                "row and header differ in length", source=path, field=f"row {number}", got=f"{len(row)} cells",
                expected=f"{len(names)} cells",
            )  # fmt: skip
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise CorruptFileError("a column appears twice", source=path, got=name)
    return dict(zip(names, map(list, zip(*rows[1:], strict=True)), strict=True))


def _numbers(path: Path, columns: dict[str, list[str]], name: str) -> np.ndarray:
    """[row] float64 of a column, NaN for empty cells."""
    cells = [cell.strip() or "nan" for cell in columns[name]]
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError as error:
        raise CorruptFileError("not a number", source=path, field=f"column {name}", got=error) from error


def _clock(path: Path, columns: dict[str, list[str]]) -> tuple[np.ndarray | None, float | None]:
    """Frame of each row from 0, and the rate where times tell it."""
    name = next((name for name in _CLOCKS if name in columns), None)
    if name is None:
        return None, None
    told = _numbers(path, columns, name)
    steps = np.diff(np.unique(told))
    if not np.isfinite(told).all():
        raise CorruptFileError("a frame without a place in time", source=path, field=f"column {name}")
    rate_hz = None
    if name == "time_s":
        if not len(steps):
            raise CorruptFileError("one moment only", source=path, field="column time_s", expected="several frames")
        rate_hz = 1.0 / float(np.median(steps))
        told = (told - told.min()) * rate_hz
    frames = np.round(told - told.min())
    seen = len(np.unique(frames))
    if frames.max() >= 10 * seen + 1000:
        raise CorruptFileError(
            "gaps are longer than what is there", source=path, field=f"column {name}",
            got=f"{frames.max() + 1:.3g} frames of which {seen} are in the file",
        )  # fmt: skip
    return frames.astype(np.int64), rate_hz


def _long(path: Path, columns: dict[str, list[str]]) -> Rows:
    frames, rate_hz = _clock(path, columns)
    if frames is None:
        raise CorruptFileError("column is missing", source=path, field="frame or time_s", got=", ".join(columns))
    cells = [cell.strip() for cell in columns["joint"]]
    number = {name: i for i, name in enumerate(dict.fromkeys(cells))}
    return Rows(
        list(number), _persons(path, columns), frames, np.array([number[cell] for cell in cells]),
        _stacked(path, columns, _VALUES), rate_hz,
    )  # fmt: skip


def _wide(path: Path, columns: dict[str, list[str]]) -> Rows:
    found = [name.rpartition("_") for name in columns]
    names = list(dict.fromkeys(joint for joint, _, value in found if joint and value in _AXES))
    for name in names:
        missing = next((axis for axis in "xy" if f"{name}_{axis}" not in columns), None)
        if missing:
            raise CorruptFileError("column is missing", source=path, field=f"{name}_{missing}")
    if not names:
        raise CorruptFileError(
            "no columns of joints", source=path, got=", ".join(list(columns)[:8]),
            expected="frame, joint, x, y or left_knee_x, left_knee_y, ...",
        )  # fmt: skip
    persons = _persons(path, columns)
    frames, rate_hz = _clock(path, columns)
    frames = np.arange(len(persons)) if frames is None else frames
    values = np.stack([_stacked(path, columns, [f"{name}_{value}" for value in _VALUES]) for name in names], axis=1)
    return Rows(
        names, np.repeat(persons, len(names)), np.repeat(frames, len(names)),
        np.tile(np.arange(len(names)), len(persons)), values.reshape(-1, len(_VALUES)), rate_hz,
    )  # fmt: skip


def _stacked(path: Path, columns: dict[str, list[str]], names: Sequence[str]) -> np.ndarray:
    """[row, name] numbers, NaN where there is no such column."""
    rows = len(next(iter(columns.values())))
    return np.stack([_numbers(path, columns, n) if n in columns else np.full(rows, np.nan) for n in names], axis=1)


def _persons(path: Path, columns: dict[str, list[str]]) -> np.ndarray:
    """[row] number of each row's person, in the order they come; 0 without such a column."""
    cells = columns.get("person", [""] * len(next(iter(columns.values()))))
    number = {name: i for i, name in enumerate(dict.fromkeys(cell.strip() for cell in cells))}
    if len(number) > _MOST_PERSONS:
        raise CorruptFileError(
            "implausible number of persons", source=path, got=len(number), expected=f"at most {_MOST_PERSONS}"
        )
    return np.array([number[cell.strip()] for cell in cells])


def _grid(path: Path, rows: Rows) -> np.ndarray:
    """[person, frame, joint, 4] of rows in any order; NaN where there is none."""
    shape = (int(rows.person.max()) + 1, int(rows.frame.max()) + 1, len(rows.names))
    if math.prod(shape) > 50 * len(rows.values) + 100_000:
        raise CorruptFileError(
            "hardly anything is there", source=path, got=f"{len(rows.values)} joints seen",
            expected=f"{shape[0]} persons, {shape[1]} frames, {shape[2]} joints",
        )  # fmt: skip
    at = np.ravel_multi_index((rows.person, rows.frame, rows.joint), shape)
    if len(np.unique(at)) < len(at):
        raise CorruptFileError(
            "a joint twice in one frame", source=path, fix="add a column person where there are several people"
        )
    grid = np.full((math.prod(shape), len(_VALUES)), np.nan)
    grid[at] = rows.values
    return grid.reshape(*shape, len(_VALUES))
