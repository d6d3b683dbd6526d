"""Interactions: who took what, perhaps with a rating and a time, as one sparse matrix with names.

Design decisions
- Rows of a user lie together and are sorted by item (CSR), so seen items are looked up by index and never need a dense
  matrix. When something happened stands beside it in `time` or `place`.
- A pair that occurs more than once is one interaction, the last one (by time, else by place, else by row); how many
  were merged is kept and reported.
- `time` is a clock that all users share, `place` only the position in a user's own history. Only the first can split
  or compare across users.
- Users and items without any interaction keep their codes: a split must not change what a code means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from ...core.errors import InputError
from .names import Coder, numbered, sorted_names

_EXTRA = ("rating", "time", "place")


@dataclass(frozen=True, eq=False)
class Interactions:
    """users, items: [user], [item] names. indptr: [user + 1] int64. indices: [interaction] int32 items, ascending
    within a user. rating: [interaction] float32. time: [interaction] float64, seconds or any unit all users share.
    place: [interaction] int32, position in the user's own history. merged: repeated pairs that were made one.
    """

    users: np.ndarray
    items: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray
    rating: np.ndarray | None = None
    time: np.ndarray | None = None
    place: np.ndarray | None = None
    merged: int = 0

    # ---- construction -----------------------------------------------------------------------------------------

    @classmethod
    def from_arrays(
        cls,
        users: Sequence | np.ndarray,
        items: Sequence | np.ndarray,
        rating: Sequence | np.ndarray | None = None,
        time: Sequence | np.ndarray | None = None,
        place: Sequence | np.ndarray | None = None,
    ) -> Interactions:
        """From one entry an interaction; users and items are names or whole numbers >= 0.

        Raises InputError for lengths that differ, negative or missing ids, ratings or times that are not finite.
        """
        names, codes = zip(_named(users, "user"), _named(items, "item"), strict=True)
        return cls.from_codes(*codes, users=names[0], items=names[1], rating=rating, time=time, place=place)

    @classmethod
    def from_codes(
        cls,
        user: np.ndarray,
        item: np.ndarray,
        *,
        users: np.ndarray | int,
        items: np.ndarray | int,
        rating: Sequence | np.ndarray | None = None,
        time: Sequence | np.ndarray | None = None,
        place: Sequence | np.ndarray | None = None,
    ) -> Interactions:
        """From codes into tables of names (or their number, for names "0", "1", ...)."""
        users, items = (numbered(t) if isinstance(t, int) else t for t in (users, items))
        user, item = (_codes(c, len(t), w) for c, t, w in ((user, users, "user"), (item, items, "item")))
        extra = {
            name: None if values is None else _checked(values, len(user), name, dtype)
            for name, values, dtype in (
                ("rating", rating, np.float32), ("time", time, np.float64), ("place", place, np.int32)
            )
        }  # fmt: skip
        _same_length(user, item)
        order, merged = _last_of_each(user * len(items) + item, extra["time"], extra["place"])
        indptr = np.concatenate([[0], np.cumsum(np.bincount(user[order], minlength=len(users)))])
        chosen = {name: None if values is None else values[order] for name, values in extra.items()}
        return cls(users, items, indptr.astype(np.int64), item[order].astype(np.int32), **chosen, merged=merged)

    # ---- shape ------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def n_users(self) -> int:
        return len(self.users)

    @property
    def n_items(self) -> int:
        return len(self.items)

    @property
    def user(self) -> np.ndarray:
        """[interaction] int64 user of each."""
        return np.repeat(np.arange(self.n_users), self.user_degree)

    @cached_property
    def user_degree(self) -> np.ndarray:
        """[user] int64 items each user took."""
        return np.diff(self.indptr)

    @cached_property
    def item_degree(self) -> np.ndarray:
        """[item] int64 users who took each item."""
        return np.bincount(self.indices, minlength=self.n_items)

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """[user, item] float32 of ones; shares its indices with this."""
        ones = np.ones(len(self), np.float32)
        return sparse.csr_matrix((ones, self.indices, self.indptr), shape=(self.n_users, self.n_items))

    @property
    def keys(self) -> np.ndarray:
        """[interaction] int64 `user * n_items + item`, ascending: what set operations work on."""
        return self.user * self.n_items + self.indices

    @cached_property
    def fingerprint(self) -> str:
        """Hexadecimal name of the graph (who took what, without names and times)."""
        total = hashlib.sha256(f"{self.n_users} {self.n_items}".encode())
        total.update(np.ascontiguousarray(self.indptr).tobytes())
        total.update(np.ascontiguousarray(self.indices).tobytes())
        return total.hexdigest()[:32]

    # ---- histories --------------------------------------------------------------------------------------------

    @property
    def ordered(self) -> bool:
        """True when it is known what came first."""
        return self.time is not None or self.place is not None

    def chronological(self) -> np.ndarray:
        """[interaction] index that puts each user's interactions, users in order, from first to last.

        Ties in time go by place, then by item. Raises InputError when nothing says what came first.
        """
        if not self.ordered:
            raise InputError("these interactions have no order", expected="times, or a sequence file")
        keys = [values for values in (self.place, self.time) if values is not None]
        return np.lexsort((*keys, self.user))

    def history(self, user: int) -> np.ndarray:
        """[k] items of one user, from first to last where that is known, else by code."""
        own = slice(*self.indptr[user : user + 2])
        keys = [values[own] for values in (self.place, self.time) if values is not None]
        return self.indices[own][np.lexsort(keys)] if keys else self.indices[own]

    # ---- selection --------------------------------------------------------------------------------------------

    def keep(self, chosen: np.ndarray) -> Interactions:
        """Those where `chosen` [interaction] is True; users and items keep their codes."""
        degree = np.bincount(self.user[chosen], minlength=self.n_users)
        extra = {n: None if (v := getattr(self, n)) is None else v[chosen] for n in _EXTRA}
        indptr = np.concatenate([[0], np.cumsum(degree)]).astype(np.int64)
        return replace(self, indptr=indptr, indices=self.indices[chosen], **extra)

    def add(self, other: Interactions) -> Interactions:
        """Both together (a pair in both counts as merged); the tables of names must be the same.

        What only one of them has (ratings, times) is dropped.
        """
        if self.users.shape != other.users.shape or self.items.shape != other.items.shape:
            raise InputError("the two do not share users and items", got=other.matrix.shape, expected=self.matrix.shape)
        extra = {
            name: None if getattr(self, name) is None or getattr(other, name) is None
            else np.concatenate([getattr(self, name), getattr(other, name)])
            for name in _EXTRA
        }  # fmt: skip
        user, item = np.concatenate([self.user, other.user]), np.concatenate([self.indices, other.indices])
        both = Interactions.from_codes(user, item, users=self.users, items=self.items, **extra)
        return replace(both, merged=both.merged + self.merged + other.merged)


def in_sorted(keys: np.ndarray, ascending: np.ndarray) -> np.ndarray:
    """[key] bool, which keys are among `ascending` ones; much faster than asking without an order."""
    if not len(ascending):
        return np.zeros(keys.shape, bool)
    at = np.minimum(np.searchsorted(ascending, keys), len(ascending) - 1)
    return ascending[at] == keys


def _named(values: Sequence | np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Table of names, and [interaction] codes into it."""
    array = np.asarray(values)
    if not len(array):
        raise _nothing()
    if array.dtype.kind in "iu":
        if array.min() < 0:
            raise InputError(f"negative {what} id", field=what, got=int(array.min()), expected="whole numbers >= 0")
        found, codes = np.unique(array, return_inverse=True)
        return found.astype(str), codes
    if array.dtype.kind == "f":
        raise InputError(f"{what} ids are not whole numbers", field=what, got=str(array.dtype), expected="ids or names")
    coder = Coder()
    codes = coder.codes(str(value) for value in values)
    names, new = sorted_names(coder.names)
    return names, new[codes]


def _codes(codes: np.ndarray, n: int, what: str) -> np.ndarray:
    codes = np.asarray(codes)
    if codes.size and not (codes.min() >= 0 and codes.max() < n):
        worst = int(codes.min() if codes.min() < 0 else codes.max())
        raise InputError(f"unknown {what} id", field=what, got=worst, expected=f"0 to {n - 1}")
    return codes.astype(np.int64)


def _checked(values: Sequence | np.ndarray, n: int, name: str, dtype: type) -> np.ndarray:
    array = np.asarray(values)
    if len(array) != n:
        raise InputError("entries differ in number", field=name, got=len(array), expected=n)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InputError(f"{name} is not a finite number", field=f"{name}[{bad}]", got=float(array[bad]))
    return array.astype(dtype)


def _same_length(user: np.ndarray, item: np.ndarray) -> None:
    if len(user) != len(item):
        raise InputError("entries differ in number", field="item", got=len(item), expected=len(user))
    if not len(user):
        raise _nothing()


def _nothing() -> InputError:
    return InputError("there are no interactions", expected="at least one")


def _last_of_each(key: np.ndarray, time: np.ndarray | None, place: np.ndarray | None) -> tuple[np.ndarray, int]:
    """Index of the last row of each key, in order of keys, and how many rows were left out."""
    beside = [values for values in (place, time) if values is not None]
    order = np.lexsort((*beside, key)) if beside else np.argsort(key, kind="stable")
    in_order = key[order]
    last = np.append(in_order[1:] != in_order[:-1], True)
    return order[last], int(len(key) - last.sum())
