"""Marks of EDF+D and BDF+D files, whose data records need not follow each other in time.

MNE joins the records but leaves marks at the time since the start. Each record says its own onset in its first list of
annotations, so marks can be moved to where their samples are.
"""

from __future__ import annotations

import re

import numpy as np

from ...core.errors import CorruptFileError
from .edf_header import Header

_LIST = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\x14(.*)\x14", re.DOTALL)


def joined_marks(header: Header) -> list[tuple[float, float, str]]:
    """Onset and duration in seconds of the joined recording, and text, of each mark of a file with gaps.

    Marks inside a gap are dropped; spans lose the part that lies in one. Raises CorruptFileError.
    """
    path, seconds = header.path, header.record_s
    sizes = [header.sample_bytes * s.samples for s in header.signals]
    begins = np.cumsum([0, *sizes])
    at = [i for i, s in enumerate(header.signals) if s.holds_marks]
    onsets, marks = [], []
    with path.open("rb") as file:
        for record in range(header.whole_records):
            cells = []
            for i in at:
                file.seek(header.bytes + record * header.record_bytes + int(begins[i]))
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
