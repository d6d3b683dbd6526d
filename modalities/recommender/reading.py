"""The user's own files: one door for every form, and a split that comes as several files.

`.parquet` and `.pq` are parquet; a text file whose first line holds a comma, a tab, a semicolon, a bar or the name of a
user column is a table; any other text file is a user list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...core.errors import InputError, nearest
from .headers import find_header
from .interactions import Interactions
from .lists import read_user_lists
from .tables import first_line, read_tables

LAYOUTS = ("table", "lists", "sequences")


def read_interactions(path: Path | str, layout: str = "", columns: Mapping[str, str] | None = None) -> Interactions:
    """Interactions of one file; see `read_together`."""
    return read_together([path], layout, columns)[0]


def read_together(
    paths: Sequence[Path | str], layout: str = "", columns: Mapping[str, str] | None = None
) -> list[Interactions]:
    """Interactions of each file, with common codes of users and items: the files of a given split.

    layout: one of LAYOUTS, "" = found from the first file. columns: role -> column name, for tables with names of
    their own. Raises InputError or CorruptFileError.
    """
    if layout and layout not in LAYOUTS:
        raise InputError(f"unknown layout {layout!r}", field="layout", fix=nearest(layout, LAYOUTS))
    layout = layout or _layout(Path(paths[0]))
    if layout == "table":
        return read_tables(paths, columns)
    return read_user_lists(paths, ordered=layout == "sequences")


def _layout(path: Path) -> str:
    if path.suffix.lower() in (".parquet", ".pq", ".csv", ".tsv", ".gz"):
        return "table"
    line = first_line(path)
    if any(mark in line for mark in ",\t;|") or "::" in line:
        return "table"
    try:
        return "table" if find_header(line, path).present else "lists"
    except InputError:
        return "lists"
