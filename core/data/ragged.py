"""Flat ragged arrays: rows of different length stored one after the other, read as padded batches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..sequence import SequenceSpec


class Ragged:
    """Arrays [total, ...] of which owner i has `counts[i]` consecutive entries."""

    def __init__(self, counts: np.ndarray, arrays: Mapping[str, np.ndarray]) -> None:
        self.counts = np.asarray(counts, np.int64)
        self.starts = np.concatenate([[0], np.cumsum(self.counts)])
        self._arrays = dict(arrays)
        for name, array in self._arrays.items():
            if len(array) != self.starts[-1]:
                raise ValueError(f"{name} has {len(array)} entries, the counts say {self.starts[-1]}")

    def padded(self, owners: np.ndarray, longest: int) -> dict[str, np.ndarray]:
        """Each array as [owner, longest, ...], 0 (False) beyond an owner's own entries."""
        return self.picked(owners, places(self.counts[owners], longest))

    def picked(self, owners: np.ndarray, positions: np.ndarray) -> dict[str, np.ndarray]:
        """Each array as [owner, k, ...]: entries `positions` [owner, k] of each owner, 0 (False) where it is -1."""
        inside = positions >= 0
        # the last entry of all is a legal place to read from for whatever lies outside
        index = np.where(inside, self.starts[owners][:, None] + positions, self.starts[-1] - 1)
        out = {name: array.take(index, axis=0) for name, array in self._arrays.items()}
        if not inside.all():
            for array in out.values():
                array[~inside] = 0
        return out

    def flat(self, owners: np.ndarray) -> dict[str, np.ndarray]:
        """Each array as [entry, ...]: the entries of all owners one after the other."""
        counts = self.counts[owners]
        ends = np.cumsum(counts)
        index = np.arange(int(counts.sum())) + np.repeat(self.starts[owners] - (ends - counts), counts)
        return {name: array.take(index, axis=0) for name, array in self._arrays.items()}


def places(counts: np.ndarray, longest: int) -> np.ndarray:
    """[owner, longest] int64: 0, 1, ... of each owner's entries, -1 beyond them."""
    place = np.arange(longest)
    return np.where(place < counts[:, None], place, -1)


class ValueReader:
    """Patch values [patch, value] stored without the columns that are missing in a whole window.

    patterns: for each pattern the kept columns, ascending. A window's numbers are its patches' kept columns.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], patterns: Sequence[Sequence[int]], size: int) -> None:
        self._numbers = arrays["values"] if "values" in arrays else np.empty(0, np.float32)
        self._starts = np.concatenate([[0], np.cumsum(arrays["n_values"])])
        if len(self._numbers) != self._starts[-1]:
            raise ValueError(f"values has {len(self._numbers)} numbers, the counts say {self._starts[-1]}")
        self._lengths, self._pattern, self._size = arrays["length"], np.array(arrays["pattern"]), size
        self._columns = [np.asarray(columns, np.int64) for columns in patterns]
        self._slices = [_runs(columns) for columns in self._columns]

    def padded(self, owners: np.ndarray, longest: int) -> np.ndarray:
        """[owner, longest, value] float32: NaN in missing columns, 0 in padded patches."""
        patterns = self._pattern[owners]
        first = patterns[0] if len(patterns) else -1
        if (patterns == first).all() and len(patterns):
            return self._one_pattern(owners, longest, first)
        out = np.empty((len(owners), longest, self._size), np.float32)
        for pattern in np.unique(patterns):
            rows = np.flatnonzero(patterns == pattern)
            out[rows] = self._one_pattern(owners[rows], longest, pattern)
        return out

    def _one_pattern(self, owners: np.ndarray, longest: int, pattern: int) -> np.ndarray:
        kept = self._columns[pattern]
        compact = np.empty((len(owners), longest, len(kept)), np.float32)
        lengths = self._lengths[owners]
        for row, (start, length) in enumerate(zip(self._starts[owners].tolist(), lengths.tolist(), strict=True)):
            used = length * len(kept)
            compact[row, :length] = self._numbers[start : start + used].reshape(length, len(kept))
            compact[row, length:] = 0
        if len(kept) == self._size:
            return compact
        out = np.full((len(owners), longest, self._size), np.nan, np.float32)
        at = 0
        for run in self._slices[pattern]:
            width = run.stop - run.start
            out[..., run] = compact[..., at : at + width]
            at += width
        if (lengths < longest).any():
            out[np.arange(longest) >= lengths[:, None]] = 0
        return out


class KindValueReader:
    """The same where kinds of patches have content of different size: a patch has only the columns its kind uses."""

    def __init__(self, arrays: Mapping[str, np.ndarray], patterns: Sequence[Sequence[int]], spec: SequenceSpec) -> None:
        self._values = Ragged(arrays["n_values"], {"values": arrays.get("values", np.empty(0, np.float32))})
        self._kinds = Ragged(arrays["length"], {"kind": arrays["kind"]})
        self._pattern, self._spec = np.array(arrays["pattern"]), spec
        self._columns = np.zeros((len(patterns), spec.patch_size), bool)
        for row, columns in zip(self._columns, patterns, strict=True):
            row[list(columns)] = True

    def padded(self, owners: np.ndarray, longest: int) -> np.ndarray:
        """[owner, longest, value] float32: NaN in missing and unused columns, 0 in padded patches."""
        out = np.zeros((len(owners), longest, self._spec.patch_size), np.float32)
        for row, owner in zip(out, owners, strict=True):
            kind = self._kinds.flat(np.array([owner]))["kind"]
            kept = used_columns(self._spec, kind) & self._columns[self._pattern[owner]]
            row[: len(kind)] = np.nan
            row[: len(kind)][kept] = self._values.flat(np.array([owner]))["values"]
        return out


def used_columns(spec: SequenceSpec, kind: np.ndarray) -> np.ndarray:
    """[patch, value] bool: which columns of the value axis mean something for patches of these kinds [patch]."""
    sizes = np.array([math.prod(spec.shape_of(number)) for number in range(len(spec.kinds))])
    # an invalid patch may claim any kind
    return np.arange(spec.patch_size) < sizes[np.clip(kind, 0, len(sizes) - 1), None]


def value_reader(
    arrays: Mapping[str, np.ndarray], patterns: Sequence[Sequence[int]], spec: SequenceSpec
) -> ValueReader | KindValueReader:
    """The reader of a store's values."""
    if spec.kind_shapes:
        return KindValueReader(arrays, patterns, spec)
    return ValueReader(arrays, patterns, spec.patch_size)


def _runs(columns: np.ndarray) -> list[slice]:
    """Ascending columns as slices: a few block copies are much faster than picking single columns."""
    breaks = np.flatnonzero(np.diff(columns) != 1) + 1
    return [slice(int(part[0]), int(part[-1]) + 1) for part in np.split(columns, breaks) if len(part)]
