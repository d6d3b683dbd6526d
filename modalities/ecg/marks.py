"""Annotation files of a WFDB record as annotations in seconds.

- `.atr` (MIT-BIH and most others): beats are points, a rhythm lasts until the next rhythm mark.
- one file a lead (`.i` ... `.v6`, LUDB): P, QRS and T waves are spans of that lead. The QRS peaks of lead II stand for
  the record, or of the first lead that has any. LUDB writes every QRS as "N" whatever the beat is, so here its peak is
  "?", a beat without a class.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ...core.errors import CorruptFileError, InputError
from ...core.modality import Annotation
from .leads import STANDARD_LEADS
from .tasks import UNCLASSED_BEAT

WAVES = {"p": "P", "N": "QRS", "t": "T"}
_BEHIND = 0.01  # of a record's length: marks no further behind its end are left out, others are of another record
_READ_FIRST = ("II", *(lead for lead in STANDARD_LEADS if lead != "II"))


def wfdb_library() -> Any:
    """The wfdb package, imported late: it is an extra and slow to load."""
    try:
        import wfdb
    except ImportError as error:
        raise InputError("reading WFDB files needs wfdb", fix="pip install 'omnipatch[ecg]'") from error
    return wfdb


def unreadable(path: Path, error: Exception) -> CorruptFileError:
    """wfdb raises anything from KeyError to UnboundLocalError on damaged files; users get one kind of sentence."""
    return CorruptFileError(
        "cannot be read as WFDB", source=path, got=f"{type(error).__name__}: {error}", fix="restore or exclude the file"
    )


def read_marks(header: Path, sfreq_hz: float, n_samples: int) -> tuple[Annotation, ...]:
    """Annotations beside a header, in order of time; none where there is no file. Raises CorruptFileError."""
    if header.with_suffix(".atr").is_file():
        return _beats_and_rhythms(*_read(header, "atr", n_samples), sfreq_hz, n_samples)
    found: list[Annotation] = []
    beats: list[Annotation] = []
    for lead in _READ_FIRST:
        if header.with_suffix(f".{lead.lower()}").is_file():
            waves = read_waves(header, lead, sfreq_hz, n_samples)
            beats = beats or [replace(a, sensor="") for a in waves if a.duration_s == 0]
            found += [a for a in waves if a.duration_s]
    return tuple(sorted([*found, *beats], key=lambda a: a.onset_s))


def read_waves(header: Path, lead: str, sfreq_hz: float, n_samples: int) -> tuple[Annotation, ...]:
    """P, QRS and T waves marked in one lead: a span where onset and end are marked, and "?" at each QRS peak.

    All of them name the lead as their sensor.
    """
    samples, symbols, _ = _read(header, lead.lower(), n_samples)
    found, onset, wave = [], None, None
    for sample, symbol in zip(samples, symbols, strict=True):
        at = float(sample) / sfreq_hz
        if symbol == "(":
            onset, wave = at, None
        elif symbol in WAVES:
            wave = WAVES[symbol]
            if wave == "QRS":
                found.append(Annotation(at, UNCLASSED_BEAT, sensor=lead))
        elif symbol == ")":
            # strips begin and end inside waves: a bracket without its partner marks nothing
            if onset is not None and wave is not None:
                found.append(Annotation(onset, wave, at - onset, sensor=lead))
            onset, wave = None, None
    return tuple(sorted(found, key=lambda a: a.onset_s))


def _read(header: Path, extension: str, n_samples: int) -> tuple[np.ndarray, list[str], list[str]]:
    """Samples, symbols and notes of an annotation file, inside the record and in order."""
    file = header.with_suffix(f".{extension}")
    wfdb = wfdb_library()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            # beside its header wfdb would parse that too, for a rate nobody asks: most of the time twelve leads took
            with TemporaryDirectory() as alone:
                copyfile(file, Path(alone) / file.name)
                marks = wfdb.rdann(str(Path(alone) / file.stem), extension)
    except Exception as error:
        raise unreadable(file, error) from error
    samples, symbols, notes = np.asarray(marks.sample), np.array(marks.symbol, object), np.array(marks.aux_note, object)
    # the last marks may lie at or a little behind the end, where a recording was cut or a detector ran on
    inside = (samples < n_samples) | (samples >= (1 + _BEHIND) * n_samples)
    samples, symbols, notes = samples[inside], symbols[inside], notes[inside]
    if len(samples) and (samples.min() < 0 or samples.max() >= n_samples or np.any(np.diff(samples) < 0)):
        raise CorruptFileError(
            "marks out of order or outside the record",
            source=file,
            got=f"{samples.min()} to {samples.max()}",
            expected=f"0 to {n_samples - 1}, ascending",
        )
    return samples, list(symbols), list(notes)


def _beats_and_rhythms(
    samples: np.ndarray, symbols: list[str], notes: list[str], sfreq_hz: float, n_samples: int
) -> tuple[Annotation, ...]:
    found, rhythms = [], []
    for sample, symbol, note in zip(samples, symbols, notes, strict=True):
        at = float(sample) / sfreq_hz
        if symbol == "+" and note:
            rhythms.append((at, note.rstrip("\x00").strip()))
        else:
            found.append(Annotation(at, symbol))
    changes = pairwise([*rhythms, (n_samples / sfreq_hz, "")])
    found += [Annotation(at, note, end - at) for (at, note), (end, _) in changes]
    return tuple(sorted(found, key=lambda a: a.onset_s))
