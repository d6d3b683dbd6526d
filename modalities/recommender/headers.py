"""Which column of a table is which: names that people give to users, items, ratings and times; and the delimiter.

A table without a header is taken only where it cannot be misread: two columns of numbers (user, item) or four (user,
item, rating, time), as MovieLens files are.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import InputError, nearest

ROLES = ("user", "item", "rating", "time")
_ALIASES = {
    "user": "user userid uid u useridx customer customerid visitor visitorid reviewer reviewerid member memberid"
    " session sessionid person personid account accountid",
    "item": "item itemid iid i itemidx product productid asin parentasin movie movieid business businessid artist"
    " artistid track trackid song songid book bookid isbn article articleid video videoid location locationid poi"
    " venue venueid game gameid",
    "rating": "rating ratings score stars overall weight value plays playcount count",
    "time": "time timestamp ts date datetime unixtime unixreviewtime reviewtime createdat created eventtime",
}
_ROLE_OF = {alias: role for role, aliases in _ALIASES.items() for alias in aliases.split()}
_DELIMITERS = (",", "\t", ";", "|")
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")


@dataclass(frozen=True)
class Header:
    """columns: role -> position in the row. delimiter: one character. present: False when the table begins with its
    first interaction. width: how many cells a row has."""

    columns: Mapping[str, int]
    delimiter: str
    present: bool
    width: int


def find_header(first: str, path: Path, given: Mapping[str, str] | None = None) -> Header:
    """Read the first line of a table.

    given: role -> column name, for names that are not known here. Raises InputError when user or item cannot be told.
    """
    delimiter = _delimiter(first)
    # `1::1193::5::978300760`: every other cell is empty
    step = 2 if delimiter == ":" else 1
    row = next(csv.reader([first], delimiter=delimiter))
    cells = [cell.strip() for cell in row][::step]
    if not given and all(_NUMBER.fullmatch(cell) for cell in cells):
        roles = _without_header(cells, delimiter, path)
        return Header({role: step * at for role, at in roles.items()}, delimiter, False, len(row))
    roles = match_roles(cells, path, given)
    return Header({role: step * at for role, at in roles.items()}, delimiter, True, len(row))


def match_roles(names: Sequence[str], path: Path, given: Mapping[str, str] | None = None) -> dict[str, int]:
    """Role -> position among the names of columns."""
    given = given or {}
    for role, name in given.items():
        if role not in ROLES:
            raise InputError(f"unknown kind of column {role!r}", fix=nearest(role, ROLES))
        if name not in names:
            raise InputError(f"there is no column {name!r}", source=path, field=role, fix=nearest(name, names))
    found: dict[str, list[int]] = {role: [] for role in ROLES}
    for at, name in enumerate(names):
        role = _ROLE_OF.get(_plain(name))
        if name in given.values():
            role = next(r for r, n in given.items() if n == name)
        elif role in given:
            continue
        if role is not None:
            found[role].append(at)
    for role, at in found.items():
        if len(at) > 1:
            exact = [a for a in at if _plain(names[a]) in (role, f"{role}id")]
            if len(exact) != 1:
                raise InputError(
                    f"two columns could be the {role}", source=path, got=", ".join(names[a] for a in at),
                    fix=f"rename all but one (in Python: columns {{{role!r}: {names[at[0]]!r}}})",
                )  # fmt: skip
            found[role] = exact
    missing = [role for role in ("user", "item") if not found[role]]
    if missing:
        raise InputError(
            f"no column is the {missing[0]}", source=path, got=", ".join(names), expected="user,item[,rating][,time]",
            fix=f"rename it (in Python: columns {{{missing[0]!r}: {names[0]!r}}})",
        )  # fmt: skip
    return {role: at[0] for role, at in found.items() if at}


def _without_header(cells: list[str], delimiter: str, path: Path) -> dict[str, int]:
    """Role -> position."""
    if len(cells) not in (2, 4):
        raise InputError(
            "the table has no header", source=path, got=delimiter.join(cells), expected="user,item[,rating][,time]",
            fix="add a first line with the names of the columns",
        )  # fmt: skip
    return {role: at for at, role in enumerate(ROLES[: len(cells)])}


def _plain(name: str) -> str:
    """`User_ID:token` -> `userid` (the suffix is that of atomic files)."""
    return re.sub(r"[^a-z]", "", name.lower().split(":")[0])


def _delimiter(first: str) -> str:
    best = max(_DELIMITERS, key=first.count)
    if first.count(best):
        return best
    return ":" if "::" in first else " "
