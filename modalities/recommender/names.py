"""Names of users or items and their codes 0, 1, 2, ...

Codes follow the names, not the order of rows in a file: whole numbers by size, other names alphabetically. So the same
interactions give the same graph, whatever order they come in.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ...core.errors import InputError


class Coder:
    """Gives each new name the next code; for names that arrive in pieces. `names` is in order of arrival."""

    def __init__(self) -> None:
        self._code: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._code)

    @property
    def names(self) -> np.ndarray:
        return np.array(list(self._code), dtype=str)

    def codes(self, names: Iterable[str]) -> np.ndarray:
        """[name] int32 codes; unknown names are added. Raises InputError for one that holds a NUL: no name does."""
        code, names = self._code, list(names)
        for name in dict.fromkeys(names):
            if name not in code:
                if "\0" in name:
                    raise InputError("a name holds a NUL character", got=name, fix="the file is damaged, copy it again")
                code[name] = len(code)
        return np.fromiter(map(code.__getitem__, names), np.int32, len(names))


def sorted_names(names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct names in their final order, and [name] int32 the new code of each old one."""
    order = np.argsort(names.astype(np.int64) if are_numbers(names) else names, kind="stable")
    new = np.empty(len(names), np.int32)
    new[order] = np.arange(len(names), dtype=np.int32)
    return names[order], new


def are_numbers(names: np.ndarray) -> bool:
    """True when all names are whole numbers as one writes them (no leading zero, at most 18 digits)."""
    if not len(names):
        return True
    plain = np.char.isdigit(names) & (np.char.str_len(names) <= 18)
    return bool(plain.all() and not (np.char.startswith(names, "0") & (names != "0")).any())


def numbered(n: int) -> np.ndarray:
    """The names "0" to "n - 1"."""
    return np.arange(n).astype(str)
