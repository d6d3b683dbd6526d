"""Arrays of a NumPy archive (.npz), without trusting it: no pickles, and no more memory than the file can fill.

A damaged or made-up archive may claim an array of terabytes. `numpy` allocates what a header claims before it reads, so
claims are held against the size of the file first: deflate shrinks by 1032 at most.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ....core.errors import CorruptFileError, first_line

_MOST_SHRUNK = 1032  # zlib, "Maximum Compression Factor"
_FAULTS = (
    OSError, ValueError, TypeError, KeyError, EOFError, SyntaxError, MemoryError, OverflowError, RuntimeError,
    NotImplementedError, struct.error, zlib.error, zipfile.BadZipFile, zipfile.LargeZipFile,
)  # fmt: skip


def read_npz(path: Path, needed: Sequence[str], optional: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """The arrays of these names; optional ones where they are there. Others are not read.

    Raises CorruptFileError for what is no archive of arrays, lacks one, or claims more than it can hold.
    """
    if not path.is_file():
        raise CorruptFileError("no such file", source=path)
    try:
        with zipfile.ZipFile(path) as archive:
            held = {name.removesuffix(".npy"): name for name in archive.namelist()}
            missing = [name for name in needed if name not in held]
            if missing:
                raise CorruptFileError(
                    "an array is missing", source=path, field=missing[0],
                    got=", ".join(sorted(held)[:12]) or "no arrays", expected=", ".join(needed),
                )  # fmt: skip
            return {name: _array(path, archive, held[name]) for name in (*needed, *optional) if name in held}
    except CorruptFileError:
        raise
    except _FAULTS as error:
        raise CorruptFileError("cannot be read as npz", source=path, got=first_line(error)) from error


def _array(path: Path, archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """One array, once its header's claim is plausible."""
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise CorruptFileError("unknown version of the npy format", source=path, field=name, got=version)
        shape, _, dtype = read_header(file)
    claimed = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or claimed > _MOST_SHRUNK * path.stat().st_size or min(shape, default=0) < 0:
        raise CorruptFileError(
            "holds Python objects, which may run code" if dtype.hasobject else "claims more than the file can hold",
            source=path, field=name, got=f"{dtype} of shape {shape}", expected="an array of numbers or text",
        )  # fmt: skip
    with archive.open(name) as file:
        return np.lib.format.read_array(file, allow_pickle=False)
