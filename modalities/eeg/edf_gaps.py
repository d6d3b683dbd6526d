"""Marks of EDF+D and BDF+D files, whose data records need not follow each other in time.

MNE joins the records but leaves marks at the time since the start. Each record says its own onset in its first list of
annotations, so marks can be moved to where their samples are.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ...core.errors import CorruptFileError
from .edf_header import _ANNOTATIONS, _FIXED_BYTES, _SIGNAL_BYTES, _number, _read_signals

_LIST = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\x14(.*)\x14", re.DOTALL)


def joined_marks(path: Path, sample_bytes: int) -> list[tuple[float, float, str]] | None:
    """Onset and duration in seconds of the joined recording, and text, of each mark; None for a file without gaps.

    Marks inside a gap are dropped; spans lose the part that lies in one. Raises CorruptFileError.
    """
    with path.open("rb") as file:
        fixed = file.read(_FIXED_BYTES)
        if fixed[192:197] not in (b"EDF+D", b"BDF+D"):
            return None
        signals = _read_signals(path, sample_bytes, [])
        seconds = _number(path, "record duration", fixed[244:252])
        sizes = [sample_bytes * s.samples for s in signals]
        begins = np.cumsum([0, *sizes])
        at = [i for i, s in enumerate(signals) if s.name in _ANNOTATIONS]
        header = _FIXED_BYTES + len(signals) * _SIGNAL_BYTES
        onsets, marks = [], []
        for record in range((path.stat().st_size - header) // sum(sizes)):
            cells = []
            for i in at:
                file.seek(header + record * sum(sizes) + int(begins[i]))
                cells += file.read(sizes[i]).split(b"\0")
            lists = [found for cell in cells if (found := _LIST.fullmatch(cell))]
            if not lists or not cells[0].startswith(lists[0][0]):
                raise CorruptFileError(
                    "a data record does not say when it begins", source=path, got=f"record {record}",
                    fix="export the recording as EDF+C",
                )  # fmt: skip
            onsets.append(float(lists[0][1]))
            for found in lists:
                texts = [text for text in found[3].decode("utf-8", "replace").split("\x14") if text]
                marks += [(float(found[1]), float(found[2] or 0), text) for text in texts]
    begin = np.array(onsets)
    if (np.diff(begin) < 0).any():
        raise CorruptFileError("data records are not in order of time", source=path, field="annotations")
    end = np.minimum(begin + seconds, np.append(begin[1:], np.inf))
    known, joined = np.stack([begin, end], 1).ravel(), np.arange(len(begin))[:, None] * seconds + [0, seconds]
    kept = []
    for onset, length, text in marks:
        first, last = np.interp([onset, onset + length], known, joined.ravel())
        record = np.searchsorted(begin, onset, side="right") - 1
        if last > first or (not length and record >= 0 and onset < end[record]):
            kept.append((float(first), float(last - first), text))
    return kept
