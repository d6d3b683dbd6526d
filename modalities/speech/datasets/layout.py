"""What the readers of data sets share: finding files by their names, and small tables."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from ....core.errors import CorruptFileError, wrong_layout


def named_files(root: Path, name: str, folders: str, pattern: str, expected: str) -> Iterator[tuple[Path, re.Match]]:
    """Files in the folders `folders` (a glob below `root`) whose whole names match, in order, with their matches.

    Files with other names are left alone: data sets come with texts and scripts. Raises InputError when none matches.
    """
    found = [(path, re.fullmatch(pattern, path.name)) for path in sorted(root.glob(folders)) if path.is_file()]
    matched = [(path, match) for path, match in found if match is not None]
    if not matched:
        raise wrong_layout(root, name, "none of these files", expected)
    yield from matched


def read_rows(path: Path, columns: tuple[str, ...], delimiter: str = ",") -> list[dict[str, str]]:
    """Rows of a table with a header. Raises CorruptFileError when it cannot be read or lacks a column."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter)
            header = [name.strip() for name in reader.fieldnames or ()]
            missing = [name for name in columns if name not in header]
            if missing:
                raise CorruptFileError("column is missing", source=path, field=missing[0], got=",".join(header[:8]))
            reader.fieldnames = header
            return [{k: (v or "").strip() for k, v in row.items() if isinstance(k, str)} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorruptFileError("cannot be read as a table", source=path, got=error) from error


def read_lines(path: Path) -> list[str]:
    """Lines of a text file that are not blank. Raises CorruptFileError."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptFileError("cannot be read as text", source=path, got=error) from error
