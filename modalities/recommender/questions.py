"""What is shown of a history, and what is asked for then."""

from __future__ import annotations

import numpy as np

from ...core.modality import WindowQuestion
from .log import SHOWN, TEST, VALIDATION, History

Asked = tuple[np.ndarray, WindowQuestion | None]


def questions_of(history: History, codes: np.ndarray, *, asks: bool) -> list[Asked]:
    """(what is shown, what is asked for) of each window of a history; [] where there is nothing to show.

    What is shown: [column, k] as of `known_items`. codes: [item of the log] its code in the catalogue, -1 = unknown.
    asks: whether the task does; without it, what may be learned from is shown.
    """
    items, side = known_items(history, codes), history.side[codes[history.items] >= 0]
    if (side == SHOWN).any():
        return _of_held_out(items, side) if asks else []
    if not asks:
        shown = items[:, side != TEST]
        return [(shown, None)] if shown.size else []
    found: list[Asked] = []
    for asked, name in ((VALIDATION, "validation"), (TEST, "test")):
        shown, ids = items[:, side < asked], _codes(items[:, side == asked])
        if shown.size and len(ids):
            found.append((shown, WindowQuestion(ids, name)))
    learned = items[:, side < TEST]
    return found or ([(learned, None)] if learned.size else [])


def known_items(history: History, codes: np.ndarray) -> np.ndarray:
    """[column, k] float32 of what the catalogue has of a history, in its order: codes, and hours where there are
    times."""
    items = codes[history.items]
    columns = [items] if history.time is None else [items, history.time]
    return np.stack(columns).astype(np.float32)[:, items >= 0]


def _of_held_out(items: np.ndarray, side: np.ndarray) -> list[Asked]:
    """One question: a person who is held out chooses or tests."""
    shown, asked = items[:, side == SHOWN], _codes(items[:, side != SHOWN])
    if not shown.size or not len(asked):
        return []
    name = "test" if (side == TEST).any() else "validation"
    return [(shown, WindowQuestion(asked, name, held_out=True))]


def _codes(items: np.ndarray) -> np.ndarray:
    return items[0].astype(np.int64)
