"""The user's own files in one step: a CSV with `path, subject, label` and a few optional columns.

Design decisions
- Everything is checked before any recording is opened, and the error names the first bad line and counts the rest:
  a typo in row 900 must not surface after an hour of reading.
- The three required columns must exist. A cell of `label` may be empty (unlabelled). `subject` is filled in every row
  or in none: a file without one could become a person of its own, on another side than the same person's other files.
- A column whose name is nearly a known one is an error (`spilt`); other extra columns are ignored.
- Rows that cut different stretches out of one file are different records.
"""

from __future__ import annotations

import csv
import difflib
from collections import Counter, defaultdict
from pathlib import Path, PurePath
from typing import Any

from ..errors import InputError, SplitError, not_utf8
from ..modality import Source

REQUIRED = ("path", "subject", "label")
OPTIONAL = ("site", "split", "start_s", "stop_s", "text", "age", "sex")
SIDES = ("train", "validation", "test")
COVARIATES = ("age", "sex")  # what tells of a person without any signal
_EXTRAS = ("text", *COVARIATES)
_PARTS = (".hea", ".dat", ".mat", ".atr")  # of one recording in WFDB's format, which is named without an ending


def read_manifest(path: Path | str) -> list[Source]:
    """Sources listed by a manifest; relative paths are resolved beside the CSV.

    Raises InputError (file, line, field, got, expected, fix) for a bad header or row, SplitError when the `split`
    column puts one subject on two sides.
    """
    path = Path(path).expanduser()
    rows = _rows(path)
    sources, problems = [], []
    for line, row in rows:
        try:
            sources.append(_source(path, line, row))
        except InputError as error:
            problems.append(error)
    if problems:
        first = problems[0]
        if len(problems) > 1:
            first = InputError(
                f"{first.what} (and {len(problems) - 1} more bad rows)",
                source=first.source, field=first.field, got=first.got, expected=first.expected, fix=first.fix,
            )  # fmt: skip
        raise first
    _check_together(path, [line for line, _ in rows], sources)
    return sources


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """(line, {column: stripped cell}) of every row that is not blank."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = [name.strip() for name in reader.fieldnames or ()]
            if not any(columns):
                raise InputError(
                    "the manifest is empty", source=path, expected=",".join(REQUIRED), fix="list your files"
                )
            _check_header(path, columns)
            reader.fieldnames = columns
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    got = sum(value is not None for key, value in row.items() if key) + len(row.get(None) or ())
                    raise InputError(
                        "row and header differ in length", source=f"{path}:{reader.line_num}", got=f"{got} cells",
                        expected=f"{len(columns)} cells", fix='put cells that contain a comma in double quotes',
                    )  # fmt: skip
                cells = {name: value.strip() for name, value in row.items()}
                if any(cells.values()):
                    rows.append((reader.line_num, cells))
    except FileNotFoundError:
        raise InputError("there is no such manifest", source=path, fix="check --data.manifest") from None
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from error
    except (OSError, csv.Error) as error:
        fix = "close every double quote, and save it as UTF-8 CSV" if isinstance(error, csv.Error) else "check the path"
        raise InputError("cannot be read as CSV", source=path, got=str(error), fix=fix) from error
    if not rows:
        raise InputError("the manifest lists no recordings", source=path, expected="one row a recording")
    return rows


def _check_header(path: Path, columns: list[str]) -> None:
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        separator = next((mark for mark in ";\t" if len(columns) == 1 and mark in columns[0]), None)
        alike = next((name for name in columns if name.lower() == missing[0]), None)
        fix = f"write {missing[0]!r} instead of {alike!r}" if alike else "add the column, or rename the one that is it"
        raise InputError(
            f"column {missing[0]!r} is missing", source=f"{path}:1", got=",".join(columns),
            expected=",".join((*REQUIRED, *(f"[{name}]" for name in OPTIONAL))),
            fix=f"separate columns with commas, not {separator!r}" if separator else fix,
        )  # fmt: skip
    repeated = [name for name, count in Counter(columns).items() if count > 1]
    if repeated:
        raise InputError(f"column {repeated[0]!r} appears twice", source=f"{path}:1", fix="keep one of them")
    for name in set(columns) - {*REQUIRED, *OPTIONAL}:
        close = difflib.get_close_matches(name, (*REQUIRED, *OPTIONAL), n=1, cutoff=0.75)
        if close and close[0] not in columns:
            raise InputError(f"unknown column {name!r}", source=f"{path}:1", fix=f"did you mean {close[0]!r}?")


def _source(manifest: Path, line: int, row: dict[str, str]) -> Source:
    where = f"{manifest}:{line}"
    if not row["path"]:
        raise InputError("empty cell", source=where, field="path", expected="a file", fix="name the recording's file")
    file = manifest.parent / Path(row["path"]).expanduser()
    # a record may be named without its suffix, as WFDB does
    if not file.exists() and not any(file.parent.glob(f"{_escape(file.name)}.*")):
        slash = ", separate folders by /, not by \\" if "\\" in row["path"] else ""
        raise InputError(
            "the file does not exist", source=where, field="path", got=row["path"],
            expected=f"a file under {manifest.parent.resolve()}",
            fix=f"correct the path (relative paths start beside the CSV){slash}",
        )  # fmt: skip
    side = row.get("split", "")
    if side and side not in SIDES:
        raise InputError(
            "unknown side", source=where, field="split", got=side, expected=" | ".join(SIDES), fix="correct the cell"
        )
    start, stop = _number(where, row, "start_s"), _number(where, row, "stop_s")
    if stop is not None and stop <= (start or 0.0):
        raise InputError(
            "the stretch is empty", source=where, field="stop_s", got=stop,
            expected=f"more than start_s = {start or 0.0}", fix="give seconds from the recording's start",
        )  # fmt: skip
    extras: dict[str, Any] = {name: row[name] for name in _EXTRAS if row.get(name)}
    if "age" in extras:
        extras["age"] = _number(where, row, "age")
    labels = tuple(dict.fromkeys(part.strip() for part in row["label"].split("|") if part.strip()))
    return Source(
        path=file, record=_record(row["path"], start, stop), subject=row["subject"], site=row.get("site", ""),
        split=side, label=labels, start_s=start, stop_s=stop, extras=extras,
    )  # fmt: skip


def _number(where: str, row: dict[str, str], name: str) -> float | None:
    text = row.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < float("inf"):
        fix = "write the decimal point as a point" if "," in text else "correct the cell"
        raise InputError("bad number", source=where, field=name, got=text, expected="a number >= 0", fix=fix)
    return value


def _record(path: str, start: float | None, stop: float | None) -> str:
    stretch = "" if start is None and stop is None else f"@{start or 0:g}-{'end' if stop is None else f'{stop:g}'}"
    return PurePath(path).as_posix() + stretch


def _one_name(path: Path) -> Path:
    """One name for all spellings of a path and for the files that make one recording (100, 100.hea, 100.dat)."""
    whole = path.resolve()
    return whole.with_suffix("") if whole.suffix.lower() in _PARTS else whole


def _escape(name: str) -> str:
    return "".join(f"[{mark}]" if mark in "*?[" else mark for mark in name)


def _check_together(path: Path, lines: list[int], sources: list[Source]) -> None:
    """Rules over several rows: no record twice, no half-filled `subject` or `split`, no subject on two sides."""
    seen: dict[tuple[Path, float | None, float | None], int] = {}
    sides: dict[str, set[str]] = defaultdict(set)
    for line, source in zip(lines, sources, strict=True):
        assert source.path is not None
        what = _one_name(source.path), source.start_s, source.stop_s
        if what in seen:
            raise InputError(
                f"the recording is listed twice (first in line {seen[what]})", source=f"{path}:{line}",
                field="path", got=source.record,
                fix="join several labels with | in one row, or give different start_s and stop_s",
            )  # fmt: skip
        seen[what] = line
        if source.subject:
            sides[source.subject].add(source.split)
    nameless = [line for line, source in zip(lines, sources, strict=True) if not source.subject]
    if 0 < len(nameless) < len(sources):
        more = f" (and in {len(nameless) - 1} more rows)" if len(nameless) > 1 else ""
        raise InputError(
            f"the subject is empty here{more} but given in other rows", source=f"{path}:{nameless[0]}",
            field="subject", expected="who was recorded, one name for all files of a person",
            fix="fill it in, or leave it empty in every row: each file is then taken by itself",
        )  # fmt: skip
    filled = {bool(source.split) for source in sources}
    if len(filled) > 1:
        line = next(line for line, source in zip(lines, sources, strict=True) if not source.split)
        raise InputError(
            "the side is empty here but given in other rows", source=f"{path}:{line}", field="split",
            expected=" | ".join(SIDES), fix="fill in every row or none",
        )  # fmt: skip
    for subject, found in sides.items():
        if len(found) > 1:
            raise SplitError(
                "a subject is on several sides of the split", source=path, field="split",
                got=f"subject {subject!r} in {', '.join(sorted(found))}", expected="each subject on one side",
                fix="move all rows of a subject to one side",
            )  # fmt: skip
