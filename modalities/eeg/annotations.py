"""What a file says happened when, as annotations in seconds from the start of a stretch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...core.modality import Annotation


def read_annotations(raw: Any, names: Mapping[str, str], first: int, last: int) -> tuple[Annotation, ...]:
    """Annotations of an MNE Raw inside samples [first, last), in order of time; spans are cut to it.

    names: {channel in the file: name it goes by}. What is marked in several channels holds for all.
    A file without annotations but with a trigger channel (BDF) gives the codes of that channel.
    """
    sfreq_hz = float(raw.info["sfreq"])
    begin_s, end_s = first / sfreq_hz, last / sfreq_hz
    # onsets count from the start of the measurement where that is known, else from the first sample
    shift_s = float(raw.first_time) if raw.annotations.orig_time is not None else 0.0
    found = []
    for mark in raw.annotations:
        onset_s, label = float(mark["onset"]) - shift_s, str(mark["description"]).strip()
        length_s = float(mark["duration"])
        stop_s = onset_s + (length_s if np.isfinite(length_s) else 0.0)
        point = stop_s <= onset_s
        inside = begin_s <= onset_s < end_s if point else onset_s < end_s and stop_s > begin_s
        if not label or not inside:
            continue
        channels = [names[name] for name in mark.get("ch_names", ()) if name in names]
        onset_s, stop_s = max(onset_s, begin_s), min(stop_s, end_s)
        sensor = channels[0] if len(channels) == 1 else ""
        found.append(Annotation(onset_s - begin_s, label, 0.0 if point else stop_s - onset_s, sensor))
    return tuple(sorted(found or _triggers(raw, first, last), key=lambda mark: mark.onset_s))


def _triggers(raw: Any, first: int, last: int) -> list[Annotation]:
    """Changes of the trigger channel to another code than zero."""
    picks = [i for i, kind in enumerate(raw.get_channel_types()) if kind == "stim"]
    if len(raw.annotations) or not picks:
        return []
    codes = raw.get_data(picks[:1], first, last, verbose="WARNING")[0]
    with np.errstate(invalid="ignore"):
        codes = np.nan_to_num(codes).astype(np.int64) & 0xFFFF
    starts = np.flatnonzero((codes[1:] != codes[:-1]) & (codes[1:] != 0)) + 1
    return [Annotation(float(at) / float(raw.info["sfreq"]), str(codes[at])) for at in starts]
