"""JSON files of poses as plain data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ....core.errors import CorruptFileError, InputError, first_line
from ..clip import numbers_are_finite

_MOST_BYTES = 1 << 30


def load_json(path: Path) -> Any:
    """The content of a file. Raises CorruptFileError for what is no JSON."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError("file is too large", source=path, expected=f"at most {_MOST_BYTES >> 30} GiB")
        return json.loads(path.read_bytes())
    except InputError:
        raise
    except OSError as error:
        raise CorruptFileError("cannot be read", source=path, got=error.strerror) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise CorruptFileError("no readable JSON", source=path, got=first_line(error)) from error


def pose(numbers: Any, columns: int, source: str, field: str) -> np.ndarray:
    """[joint, column] float64 of a flat list such as [x, y, confidence, x, ...]; what is no number there is NaN.

    Raises CorruptFileError for a list of another length or form.
    """
    try:
        flat = np.array(numbers, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise CorruptFileError("not numbers", source=source, field=field, got=first_line(error)) from error
    if flat.ndim != 1 or not flat.size or flat.size % columns:
        raise CorruptFileError(
            "ragged joints", source=source, field=field, got=f"{flat.size} numbers",
            expected=f"a multiple of {columns}",
        )  # fmt: skip
    return numbers_are_finite(flat.reshape(-1, columns))
