"""HDF5 files of CODE-15 %: many exams in one file, as `tracings` [exam, sample, lead] with numbers in `exam_id`.

- An exam is named like a file below its file: `exams_part0.hdf5/1169160`.
- 400 Hz; leads in the order I, II, III, aVR, aVL, aVF, V1 to V6. Values are taken as millivolt, as the PhysioNet
  Challenge 2025 takes them; tokens are scaled to beat heights anyway.
- Shorter exams are padded with zeros at both ends: samples where all leads are exactly zero are cut off there.
- Of a damaged file only what an exam needs is read, and sizes are checked before anything is allocated.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import CorruptFileError, InputError
from ...core.modality import Recording
from .leads import STANDARD_LEADS

SFREQ_HZ = 400.0
_MOST_SAMPLES = 1 << 20


def is_exam(path: Path) -> bool:
    """Whether a path names an exam inside an HDF5 file."""
    return path.parent.suffix.lower() in (".hdf5", ".h5")


def read_exam(path: Path) -> Recording:
    """Read one exam, named `exams_part0.hdf5/1169160`. Raises InputError without h5py, CorruptFileError else."""
    h5py = _h5py_library()
    file, name = path.parent, path.name
    if not name.isdigit():
        raise CorruptFileError("not an exam number", source=file, got=name, expected="a whole number")
    try:
        with h5py.File(file, "r") as stored:
            signals = _tracing(stored, file, int(name))
    except InputError:
        raise
    except Exception as error:  # the library raises anything from OSError to KeyError on damaged files
        raise CorruptFileError(
            "cannot be read as HDF5", source=file, got=f"{type(error).__name__}: {error}", fix="restore the file"
        ) from error
    return Recording(
        signals=signals, sensors=STANDARD_LEADS, sfreq_hz=SFREQ_HZ, unit="mV", record=name, subject=name
    )  # fmt: skip


def _h5py_library() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise InputError("reading HDF5 files needs h5py", fix="pip install 'omnipatch[code15]'") from error
    return h5py


def _tracing(stored: Any, file: Path, exam: int) -> np.ndarray:
    for name in ("tracings", "exam_id"):
        if name not in stored or not hasattr(stored[name], "shape"):
            raise CorruptFileError("array is missing", source=file, field=name, got=", ".join(stored))
    tracings, numbers = stored["tracings"], stored["exam_id"]
    leads = len(STANDARD_LEADS)
    if tracings.ndim != 3 or tracings.shape[2] != leads or not 0 < tracings.shape[1] <= _MOST_SAMPLES:
        raise CorruptFileError(
            "wrong shape", source=file, field="tracings", got=tracings.shape, expected=f"exams x samples x {leads}"
        )
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or len(numbers) < len(tracings):
        raise CorruptFileError(
            "wrong shape", source=file, field="exam_id", got=f"{numbers.dtype} {numbers.shape}",
            expected=f"a number for each of {len(tracings)} exams",
        )  # fmt: skip
    at = np.flatnonzero(numbers[: len(tracings)] == exam)
    if len(at) != 1:
        raise CorruptFileError(
            "exam is not in its file once", source=file, field="exam_id", got=f"{exam} {len(at)} times"
        )
    if tracings.dtype.kind != "f":
        raise CorruptFileError("not numbers", source=file, field="tracings", got=tracings.dtype, expected="float")
    with np.errstate(over="ignore"):
        x = np.asarray(tracings[int(at[0])]).T.astype(np.float32)
    x = np.where(np.isfinite(x), x, np.float32("nan"))
    recorded = np.flatnonzero((x != 0).any(axis=0))
    if not len(recorded):
        raise CorruptFileError("record has no samples", source=file, field=f"exam {exam}", got="zeros only")
    return np.ascontiguousarray(x[:, recorded[0] : recorded[-1] + 1])
