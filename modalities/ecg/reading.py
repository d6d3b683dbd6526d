"""WFDB files to recordings: PhysioNet `.hea` + `.dat` with marks, and the challenge form `.hea` + `.mat`.

wfdb does the decoding, `headers` sees to it that it is asked only for what the files hold. Whatever still goes wrong
inside it becomes one CorruptFileError.
"""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import CorruptFileError, InputError
from ...core.modality import Recording, Source
from .exams import is_exam, read_exam
from .headers import ENDINGS, check_parsed, find_header, readable, repairs
from .leads import STANDARD_LEADS, canonical_lead
from .marks import read_marks, unreadable, wfdb_library
from .matfile import is_challenge_struct, read_struct
from .reports import header_report

_UNITS_MV = {"mv": 1.0, "millivolt": 1.0, "uv": 1e-3, "microvolt": 1e-3, "nv": 1e-6, "v": 1e3, "volt": 1e3}


def read_ecg(path: Path | str, aliases: dict[str, str] | None = None) -> Recording:
    """Open a recording of any known form: WFDB, a MATLAB struct without header, an exam in an HDF5 file.

    Raises CorruptFileError.
    """
    path = Path(path)
    if is_exam(path):
        return read_exam(path)
    return read_struct(path) if is_challenge_struct(path) else read_wfdb(path, aliases)


def read_wfdb(path: Path | str, aliases: dict[str, str] | None = None) -> Recording:
    """Open one WFDB record by its header, signal file or name without ending.

    Signals come back in millivolt, leads by standard name and polarity (unknown ones are left out and named in
    `extras["unknown_leads"]`), beats, rhythms and waves as annotations, the diagnoses of the comments as
    label. `extras["repaired"]` says what of the header wfdb would have refused or misread.
    Raises CorruptFileError.
    """
    header = find_header(Path(path))
    record, repaired = _decode(header)
    signals, sensors, unknown = _leads(header, record, aliases)
    sfreq_hz = float(record.fs)
    comments = [str(c).strip() for c in record.comments or []]
    diagnoses = _diagnoses(comments)
    return Recording(
        signals=signals,
        sensors=sensors,
        sfreq_hz=sfreq_hz,
        unit="mV",
        record=header.stem,
        subject=header.stem,
        annotations=read_marks(header, sfreq_hz, signals.shape[1]),
        label=diagnoses,
        extras={
            "unknown_leads": unknown,
            "comments": comments,
            "repaired": repaired,
            "text": header_report(comments, diagnoses),
        },
    )


def apart(sources: Sequence[Source]) -> list[Source]:
    """Sources in the same order; files of one name in several folders are different people, told apart by their folder.

    A file names its person by its own name alone, which is what those keep that no other folder has, and what a source
    says of its subject stands.
    """
    places = [
        None if source.path is None or source.subject else source.path.parent.resolve() / _record_name(source.path)
        for source in sources
    ]
    folders: dict[str, set[Path]] = defaultdict(set)
    for place in places:
        if place is not None:
            folders[place.name].add(place.parent)
    # from the folder on that they share, as a corpus may move
    shared = {name: os.path.commonpath(found) for name, found in folders.items() if len(found) > 1}
    return [
        source
        if place is None or place.name not in shared
        else replace(source, subject=place.relative_to(shared[place.name]).as_posix())
        for source, place in zip(sources, places, strict=True)
    ]


def _record_name(path: Path) -> str:
    return path.stem if path.suffix in (".hea", *ENDINGS) else path.name


def _decode(header: Path) -> tuple[Any, str]:
    """The record as wfdb understands it, and what of its header had to be repaired first ("" = nothing)."""
    wfdb = wfdb_library()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"), readable(header) as staged:
            warnings.simplefilter("ignore")
            name = str(staged.with_suffix(""))
            check_parsed(header, wfdb.rdheader(name), staged.parent)
            return wfdb.rdrecord(name), repairs(header, staged)
    except InputError:
        raise
    except Exception as error:
        raise unreadable(header, error) from error


def _leads(header: Path, record: Any, aliases: dict[str, str] | None) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """Known leads of a decoded record: [lead, sample] in millivolt, their names, and the names that are not known."""
    if record.p_signal is None or record.p_signal.size == 0:
        raise CorruptFileError("record has no samples", source=header)
    rows, sensors, unknown = [], [], []
    for i, name in enumerate(record.sig_name):
        lead, sign = canonical_lead(str(name), aliases) or (None, 1)
        if lead is None or lead in sensors:
            unknown.append(str(name))
            continue
        unit = str(record.units[i] or "mV").strip().lower()
        if unit not in _UNITS_MV:
            raise CorruptFileError(
                "unknown unit", source=header, field=str(name), got=record.units[i], expected="mV, uV or V"
            )
        sensors.append(lead)
        rows.append(_finite(record.p_signal[:, i] * (sign * _UNITS_MV[unit])))
    if not rows:
        raise CorruptFileError(
            "no known lead",
            source=header,
            got=", ".join(unknown),
            expected=", ".join(STANDARD_LEADS),
            fix="map them with modality.aliases, e.g. ECG1=II",
        )
    return np.stack(rows), tuple(sensors), unknown


def _finite(x: np.ndarray) -> np.ndarray:
    """float32 samples; what does not fit (an absurd gain) is missing."""
    with np.errstate(over="ignore"):
        x = x.astype(np.float32)
    return np.where(np.isfinite(x), x, np.float32("nan"))


def _diagnoses(comments: list[str]) -> tuple[str, ...]:
    """Codes after `Dx:` (PhysioNet challenges), or the lines after `<diagnoses>:` (LUDB)."""
    for number, comment in enumerate(comments):
        if comment.lower().startswith("dx:"):
            return tuple(code.strip() for code in comment[3:].split(",") if code.strip())
        if comment.lower().startswith("<diagnoses>:"):
            return tuple(line.rstrip(". ") for line in comments[number + 1 :] if line.rstrip(". "))
    return ()
