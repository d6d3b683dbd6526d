"""Columns of interactions that arrive in pieces, from one file or several that share users and items.

Only codes are kept of each piece (20 bytes an interaction with rating and time), so files far larger than memory's
comfort can be read: what is held of the text is one piece.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ...core.errors import InputError
from .interactions import Interactions
from .names import Coder, sorted_names


class Columns:
    """What was read of one source. `add` takes codes and optional columns, the same ones every time."""

    def __init__(self, source: object = None) -> None:
        self.source = source
        self._pieces: dict[str, list[np.ndarray]] = defaultdict(list)

    def add(self, **piece: np.ndarray) -> None:
        """user, item: codes; rating, time, place: optional."""
        for name, values in piece.items():
            self._pieces[name].append(values)

    def take(self, name: str) -> np.ndarray | None:
        """A whole column, or None where there is none; it is given away, not kept."""
        pieces = self._pieces.pop(name, None)
        return None if pieces is None else np.concatenate(pieces)


def assemble(parts: Sequence[Columns], users: Coder, items: Coder) -> list[Interactions]:
    """Interactions of each part, with common codes in the order of the names.

    Raises InputError for a part without interactions.
    """
    (user_names, user_code), (item_names, item_code) = (sorted_names(coder.names) for coder in (users, items))
    found = []
    for part in parts:
        user, item = part.take("user"), part.take("item")
        if user is None or item is None or not len(user):
            raise InputError("there are no interactions", source=part.source, expected="at least one")
        extra = {name: part.take(name) for name in ("rating", "time", "place")}
        found.append(
            Interactions.from_codes(user_code[user], item_code[item], users=user_names, items=item_names, **extra)
        )
    return found
