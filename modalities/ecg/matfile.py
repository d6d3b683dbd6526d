"""MATLAB files of the PhysioNet challenges: samples as one int16 array `val` [signal, sample] behind a WFDB header.

wfdb reads the MATLAB 4 form as raw int16 behind 24 bytes. Newer tools save the MATLAB 5 form under the same header,
which read that way is noise; it is rewritten first.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import loadmat, savemat

from ...core.errors import CorruptFileError


def is_mat5(path: Path) -> bool:
    """Whether a file says that it is of the MATLAB 5 form."""
    with path.open("rb") as file:
        return file.read(10) == b"MATLAB 5.0"


def mat4_type(path: Path) -> int | None:
    """Type code of the first array of a MATLAB 4 file (30 = int16), None where there is no such header."""
    with path.open("rb") as file:
        start = file.read(24)
    if len(start) < 24 or start[20:24] != b"val\0":
        return None
    return int(np.frombuffer(start, "<i4", count=1)[0])


def stage_mat5(path: Path, target: Path, n_signals: int) -> None:
    """Rewrite a MATLAB 5 file as the MATLAB 4 form that wfdb reads."""
    try:
        values = np.asarray(loadmat(path, variable_names=["val"])["val"])
    except Exception as error:  # scipy raises anything on damaged files
        raise CorruptFileError(
            "cannot be read as MATLAB file with samples `val`", source=path, got=f"{type(error).__name__}: {error}"
        ) from error
    if values.ndim != 2 or len(values) != n_signals:
        raise CorruptFileError("wrong shape of `val`", source=path, got=values.shape, expected=f"{n_signals} x samples")
    whole = values.astype(np.int16) if np.issubdtype(values.dtype, np.number) else None
    if whole is None or not np.array_equal(whole, values):
        raise CorruptFileError(
            "`val` is not of whole numbers", source=path, got=values.dtype, expected="int16", fix="save ADC values"
        )
    savemat(target, {"val": whole}, format="4")
