"""A market as one recording: the log of who took what, and back to each person's history.

`signals` [column, interaction] float32, one interaction a step (so `sfreq_hz` is 1), people one after another:

- "user", "item": codes into `extras["users"]` and `extras["items"]` (float32 holds whole numbers below 16 million);
- "side": 0 = learned from, 1 = asked for validation, 2 = asked in the test, 3 = of people who are held out: shown
  where the rest of their history is asked for, never learned from;
- "place": position in the person's own history, oldest first; NaN where nothing says what came first;
- "time", only where it is asked for: hours since the person's first interaction. A clock of one's own, because float32
  would tell two moments of a clock since 1970 apart only where minutes lie between them.

A column that is missing is not known: without sides everything is learned from, without places histories are sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from ...core.recording import Recording
from .interactions import Interactions
from .splits import InteractionSplit

COLUMNS = ("user", "item", "side", "place")
TIME = "time"
TRAIN, VALIDATION, TEST, SHOWN = 0, 1, 2, 3
LEAST_CHOOSING = 200  # people by whom choices are made: fewer would choose by chance
_MOST_CODES = 2**24
_HOUR_S = 3600.0


@dataclass(frozen=True, eq=False)
class History:
    """What one person took. start: first row in the log; items: [k] codes, oldest first where `ordered`; side: [k].
    time: [k] hours since some moment, NaN = unknown; None where the log has no such column."""

    user: int
    start: int
    items: np.ndarray
    side: np.ndarray
    ordered: bool
    time: np.ndarray | None = None


def make_log(
    split: InteractionSplit, record: str, choosing: float = 1.0, seed: int = 0, timed: bool = False
) -> Recording:
    """The log of a split. choosing: share of people whose validation part is asked for, of a small market at least
    `LEAST_CHOOSING`; what the others have of it is learned from. timed: with a column of times; raises InputError where
    a part has none, or says only what came first."""
    parts = [split.train, split.validation, split.test, *(() if split.shown is None else (split.shown,))]
    if timed and any(part.time is None for part in parts):
        raise InputError(
            "these interactions have no times, but time shall be read", source=record, field="modality.time",
            expected="a column time", fix="add one; what is trained without modality.time needs none",
        )  # fmt: skip
    if max(split.train.n_users, split.train.n_items) > _MOST_CODES:
        raise InputError("too many people or items for one log", source=record, expected=f"at most {_MOST_CODES}")
    people = split.train.n_users
    chosen = np.random.default_rng(seed).permutation(people) < max(choosing * people, LEAST_CHOOSING)
    user = np.concatenate([part.user for part in parts])
    item = np.concatenate([part.indices for part in parts])
    side = np.repeat([TRAIN, VALIDATION, TEST, SHOWN][: len(parts)], [len(part) for part in parts])
    if split.shown is None:
        side[(side == VALIDATION) & ~chosen[user]] = TRAIN
    when = [time for part in parts if (time := _when(part)) is not None]
    time = np.concatenate(when) if len(when) == len(parts) else np.zeros(len(user))
    order = np.lexsort((item, time, user))
    user, item, side = user[order], item[order], side[order]
    place = np.full(len(user), np.nan)
    if split.train.ordered:
        place = np.arange(len(user)) - np.searchsorted(user, user)
    columns = [user, item, side, place]
    if timed:
        time = time[order]
        first = time[np.searchsorted(user, user)]  # people lie together, each from old to new
        columns.append((time - first) / _HOUR_S)
    return Recording(
        np.stack(columns).astype(np.float32), (*COLUMNS, TIME)[: len(columns)], 1.0, "1", record,
        extras={"users": split.train.users, "items": split.train.items},
    )  # fmt: skip


def histories(recording: Recording) -> Iterator[History]:
    """Each person's history, in order of their codes. Raises InputError when the log names no person or no item."""
    columns = dict(zip(recording.sensors, recording.signals, strict=True))
    for name in ("user", "item"):
        if name not in columns or not np.isfinite(columns[name]).any():
            raise InputError(f"the log has no {name}s", source=recording.record, expected="columns user and item")
    known = np.flatnonzero(np.isfinite(columns["user"]) & np.isfinite(columns["item"]))
    user, item = (columns[name][known].astype(np.int64) for name in ("user", "item"))
    nothing = np.full(len(recording.signals[0]), np.nan, np.float32)
    side = np.nan_to_num(columns.get("side", nothing)[known]).astype(np.int64)
    place = columns.get("place", nothing)[known]
    time = columns[TIME][known] if TIME in columns else None
    ordered = bool(np.isfinite(place).all())
    order = np.lexsort((item, place, user) if ordered else (item, user))
    starts = np.flatnonzero(np.diff(user[order], prepend=-1))
    for own in np.split(order, starts[1:]) if len(order) else ():
        when = None if time is None else time[own]
        yield History(int(user[own[0]]), int(known[own].min()), item[own], side[own], ordered, when)


def _when(part: Interactions) -> np.ndarray | None:
    """Something that grows with time within each person's history, None = nothing does."""
    return part.time if part.time is not None else part.place
