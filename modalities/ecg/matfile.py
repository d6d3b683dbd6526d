"""MATLAB files: of the PhysioNet challenges, and of CPSC 2018.

- PhysioNet: samples as one int16 array `val` [signal, sample] behind a WFDB header. wfdb reads the MATLAB 4 form as raw
  int16 behind 24 bytes. Newer tools save the MATLAB 5 form under the same header, which read that way is noise; it is
  rewritten first.
- CPSC 2018: a struct `ECG` and no header; rate and order of the leads are those its organisers state.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from scipy.io import loadmat, savemat

from ...core.errors import CorruptFileError
from ...core.modality import Recording
from .leads import STANDARD_LEADS

_STRUCT_HZ = 500.0
_MAX_STRUCT_BYTES = 64 << 20  # a minute of twelve leads takes 3 MiB


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


def is_challenge_struct(path: Path) -> bool:
    """Whether a path is a MATLAB file that no WFDB header describes."""
    return path.suffix.lower() == ".mat" and not path.with_suffix(".hea").exists()


def read_struct(path: Path) -> Recording:
    """Read a file of CPSC 2018: a struct `ECG` of `data` [12, sample] in millivolt at 500 Hz, `sex` and `age`.

    Raises CorruptFileError.
    """
    if not path.is_file():
        raise CorruptFileError("no such file", source=path)
    if path.stat().st_size > _MAX_STRUCT_BYTES:
        raise CorruptFileError("file is too large", source=path, expected=f"at most {_MAX_STRUCT_BYTES >> 20} MiB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = loadmat(path, variable_names=["ECG"])["ECG"]
            values = np.asarray(stored["data"][0, 0])
    except Exception as error:  # scipy raises anything on damaged files
        raise CorruptFileError(
            "cannot be read as MATLAB file with a struct `ECG`", source=path, got=f"{type(error).__name__}: {error}",
            fix="restore the file, or put its .hea beside it",
        ) from error  # fmt: skip
    if values.ndim != 2 or len(values) != len(STANDARD_LEADS) or not values.shape[1] or values.dtype.kind not in "fiu":
        raise CorruptFileError(
            "wrong shape of `ECG.data`", source=path, got=f"{values.dtype} {values.shape}", expected="12 x samples"
        )
    with np.errstate(over="ignore"):
        x = values.astype(np.float32)
    return Recording(
        signals=np.where(np.isfinite(x), x, np.float32("nan")),
        sensors=STANDARD_LEADS,
        sfreq_hz=_STRUCT_HZ,
        unit="mV",
        record=path.stem,
        subject=path.stem,
    )
