"""A folder of raw arrays with a description and checksums: written by appending, read through memory maps.

Raw little files instead of `.npy`: rows are appended while recordings are still being read, so neither the number
of rows nor (before the first row) their shape is known when a file is opened. `meta.json` holds both, together with
the caller's own description; `meta.sha256` guards it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .digest import digest_file

_CHECK_BYTES = 64 * 2**20  # a longer array is checked by size and by evenly spaced blocks


class DamagedError(Exception):
    """A folder of arrays that is incomplete or altered; the message says which file."""


class ArrayWriter:
    """Appends rows to named arrays under `folder`; `finish` makes everything durable."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, Any] = {}
        self._shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
        self._rows: dict[str, int] = {}

    def check(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Raise ValueError when the dtype or row shape of an array differs from what was appended before."""
        for name, rows in arrays.items():
            known, shape = self._shapes.get(name), (rows.dtype.str, rows.shape[1:])
            if known is not None and known != shape:
                raise ValueError(
                    f"{name} has {shape[1]} {shape[0]} a row, the recordings before have {known[1]} {known[0]}"
                )

    def append(self, name: str, rows: np.ndarray) -> None:
        """Add `rows` [row, ...] to array `name`."""
        rows = np.ascontiguousarray(rows)
        self.check({name: rows})
        self._shapes[name] = (rows.dtype.str, rows.shape[1:])
        if name not in self._files:
            self._files[name] = (self.folder / f"{name}.bin").open("wb")
        rows.tofile(self._files[name])
        self._rows[name] = self._rows.get(name, 0) + len(rows)

    def finish(self, description: dict[str, Any]) -> None:
        """Flush and fsync all arrays, then write their description."""
        arrays = {}
        for name, file in self._files.items():
            _sync(file)
            dtype, shape = self._shapes[name]
            arrays[name] = {
                "dtype": dtype,
                "shape": [self._rows[name], *shape],
                "digest": digest_file(Path(file.name), _CHECK_BYTES),
            }
        text = json.dumps({"arrays": arrays, **description}).encode()
        for name, content in (("meta.json", text), ("meta.sha256", hashlib.sha256(text).hexdigest().encode())):
            with (self.folder / name).open("wb") as file:
                file.write(content)
                _sync(file)

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


def open_arrays(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Description and read-only memory-mapped arrays of a finished folder. Raises DamagedError."""
    try:
        text = (folder / "meta.json").read_bytes()
        if hashlib.sha256(text).hexdigest() != (folder / "meta.sha256").read_text():
            raise DamagedError("meta.json was altered")
        meta = json.loads(text)
        arrays = {name: _map(folder / f"{name}.bin", **entry) for name, entry in meta.pop("arrays").items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{type(error).__name__}: {error}") from error
    return meta, arrays


def _map(path: Path, dtype: str, shape: list[int], digest: str) -> np.ndarray:
    expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if path.stat().st_size != expected:
        raise DamagedError(f"{path.name} has {path.stat().st_size} bytes, expected {expected}")
    if digest_file(path, _CHECK_BYTES) != digest:
        raise DamagedError(f"{path.name} was altered")
    if expected == 0:  # an empty file cannot be mapped
        return np.empty(shape, dtype)
    # the base class instead of np.memmap: slicing it is several times faster
    return np.asarray(np.memmap(path, dtype=dtype, mode="r", shape=tuple(shape)))
