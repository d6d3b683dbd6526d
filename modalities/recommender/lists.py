"""Text files with one user a line: `user item item ...`, separated by spaces.

Two readings of the same form, and the file does not say which: a *user list* is a set (the order of items means
nothing, as in the splits of LightGCN), a *sequence file* is a history from first to last. The caller says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...core.errors import CorruptFileError, InputError
from .columns import Columns, assemble
from .interactions import Interactions
from .names import Coder

_LINES = 20_000  # read at once


def read_user_lists(paths: Sequence[Path | str], ordered: bool = False) -> list[Interactions]:
    """Interactions of each file; users and items have the same codes in all.

    ordered: items stand from first to last, their position becomes `place`. A line with a user alone is a user without
    items. Raises InputError or CorruptFileError: empty file, no text, negative ids.
    """
    users, items = Coder(), Coder()
    parts = []
    for path in map(Path, paths):
        part = Columns(path)
        lines: list[list[str]] = []
        try:
            with path.open(encoding="utf-8-sig") as file:
                for number, line in enumerate(file, 1):
                    cells = line.split()
                    if cells:
                        lines.append(_checked(cells, path, number))
                    if len(lines) == _LINES:
                        _add(part, lines, users, items, ordered)
                        lines = []
        except FileNotFoundError:
            raise InputError("there is no such file", source=path) from None
        except (OSError, UnicodeDecodeError) as error:
            raise CorruptFileError("cannot be read as text", source=path, got=error) from error
        _add(part, lines, users, items, ordered)
        parts.append(part)
    return assemble(parts, users, items)


def _checked(cells: list[str], path: Path, number: int) -> list[str]:
    for cell in cells:
        if cell[0] == "-" and cell[1:].isdigit():
            raise InputError("negative id", source=f"{path}:{number}", got=cell, expected="a name or a number >= 0")
    if "," in cells[0]:
        raise CorruptFileError(
            "this is no list of items", source=f"{path}:{number}", got=" ".join(cells[:3]),
            expected="user item item ...", fix="name a table .csv",
        )  # fmt: skip
    return cells


def _add(part: Columns, lines: list[list[str]], users: Coder, items: Coder, ordered: bool) -> None:
    if not lines:
        return
    lengths = np.array([len(cells) - 1 for cells in lines])
    user = np.repeat(users.codes(cells[0] for cells in lines), lengths)
    piece = {"user": user, "item": items.codes(name for cells in lines for name in cells[1:])}
    if ordered:
        first = np.cumsum(lengths) - lengths
        piece["place"] = (np.arange(lengths.sum()) - np.repeat(first, lengths)).astype(np.int32)
    part.add(**piece)
