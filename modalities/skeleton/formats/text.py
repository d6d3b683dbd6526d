"""Text files of numbers: read whole, packed by gzip or not, and never more than fits."""

from __future__ import annotations

import gzip
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ....core.errors import CorruptFileError, InputError, first_line

_MOST_BYTES = 1 << 28  # 256 MiB: a day of motion capture


def read_text(path: Path) -> str:
    """The text of a file; one that ends in .gz is unpacked. Raises CorruptFileError, InputError when it is too long."""
    try:
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise InputError("too long to be read at once", source=path, expected=f"at most {_MOST_BYTES >> 20} MiB")
        return raw.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise CorruptFileError("cannot be read as text", source=path, got=first_line(error)) from error


def read_numbers(lines: Sequence[str], path: Path, delimiter: str | None = None) -> np.ndarray:
    """[line, column] float64 of lines that all have as many numbers; blank lines are left out.

    delimiter: between numbers, None = white space. Raises CorruptFileError.
    """
    filled = [line for line in lines if line.strip()]
    if not filled:
        raise CorruptFileError("no frames", source=path, expected="a line of numbers each")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return np.loadtxt(filled, dtype=np.float64, delimiter=delimiter, comments=None, ndmin=2)
    except (ValueError, Warning, OverflowError) as error:
        raise CorruptFileError(
            "lines are no table of numbers", source=path, got=first_line(error), expected="equally many a line"
        ) from error
