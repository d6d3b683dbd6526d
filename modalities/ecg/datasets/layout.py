"""What the readers of data sets share: finding records and reading tables."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from ....core.errors import CorruptFileError, wrong_layout

_MAX_TABLE_BYTES = 1 << 30
_HIDDEN_AGE = 300.0


def find_headers(root: Path, name: str, *folders: str) -> list[Path]:
    """WFDB headers of a data set, in `root` or the first of `folders` that has any. Raises InputError."""
    for folder in (root, *(root / f for f in folders)):
        found = sorted(folder.glob("*.hea"))
        if found:
            return found
    raise wrong_layout(root, name, "no .hea file", "WFDB records")


def read_table(path: Path, columns: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, {column: cell}) of each row of a CSV file that has these columns; cells are stripped.

    Raises CorruptFileError. A damaged table is refused as a whole: who a patient is and which side they are on comes
    from it.
    """
    try:
        if path.stat().st_size > _MAX_TABLE_BYTES:
            raise CorruptFileError("table is too large", source=path, expected=f"at most {_MAX_TABLE_BYTES} bytes")
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise CorruptFileError(
                    "columns are missing",
                    source=path,
                    got=", ".join(reader.fieldnames or ()),
                    expected=", ".join(missing),
                )
            for row in reader:
                if None in row or None in row.values():
                    raise bad_cell(path, reader.line_num, "row", "another number of cells", "one for each column")
                yield reader.line_num, {name: cell.strip() for name, cell in row.items()}
    except (csv.Error, UnicodeDecodeError) as error:
        raise CorruptFileError("cannot be read as CSV", source=path, got=error, fix="restore the file") from error


def bad_cell(path: Path, line: int, column: str, got: object, expected: str) -> CorruptFileError:
    """The error for one cell of a table."""
    return CorruptFileError("bad row", source=path, field=f"line {line}, {column}", got=got, expected=expected)


def whole_number(path: Path, line: int, column: str, cell: str) -> int:
    """A whole number, also as tables write them that went through floating point ("15709.0"). Raises InputError."""
    try:
        value = float(cell)
        if value != int(value) or abs(value) > 1e15:
            raise ValueError
    except (ValueError, OverflowError) as error:
        raise bad_cell(path, line, column, cell, "a whole number") from error
    return int(value)


def file_inside(path: Path, line: int, column: str, cell: str) -> Path:
    """A file that a table names, which must lie under the table's folder. Raises InputError."""
    named = Path(cell)
    if not cell or "\0" in cell or named.is_absolute() or ".." in named.parts:
        raise bad_cell(path, line, column, cell, "a file below the table's folder")
    return path.parent / named


def personal(row: dict[str, str], **columns: str) -> dict[str, str]:
    """What a table says beside the labels (age, sex, report), for `Source.extras`; empty cells are left out."""
    found = {name: row[column] for name, column in columns.items() if row.get(column)}
    return found | ({"age": _age(found["age"])} if "age" in found else {})


def _age(cell: str) -> str:
    """Years; above 89 they are hidden, by PTB-XL as 300 and by LUDB as >89, which both become 90."""
    hidden = cell.startswith(">") or (cell.replace(".", "", 1).isdigit() and float(cell) >= _HIDDEN_AGE)
    return "90" if hidden else cell
