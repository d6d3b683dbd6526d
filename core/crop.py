"""Cut a recording to `start_s..stop_s`, for manifests whose rows name a stretch of a longer file.

Assumes what `Recording` promises: the last axis of `signals` is time. Annotations move with the signal: points
outside are dropped, spans are clipped to the stretch.
"""

from __future__ import annotations

from dataclasses import replace

from .errors import InputError
from .recording import Annotation, Recording


def crop(recording: Recording, start_s: float | None, stop_s: float | None) -> Recording:
    """The stretch [start_s, stop_s) of a recording; None = from its start, to its end.

    Raises InputError when nothing is left: the stretch begins after the recording's end.
    """
    if start_s is None and stop_s is None:
        return recording
    samples = recording.signals.shape[-1]
    first = round((start_s or 0.0) * recording.sfreq_hz)
    last = samples if stop_s is None else min(samples, round(stop_s * recording.sfreq_hz))
    if first >= last:
        raise InputError(
            "the stretch holds no samples",
            source=recording.record,
            field="start_s, stop_s",
            got=f"{start_s} to {stop_s} s",
            expected=f"a stretch inside 0 to {samples / recording.sfreq_hz:g} s",
            fix="correct the manifest row",
        )
    begin, end = first / recording.sfreq_hz, last / recording.sfreq_hz
    moved = (_move(annotation, begin, end) for annotation in recording.annotations)
    return replace(
        recording,
        signals=recording.signals[..., first:last],
        annotations=tuple(annotation for annotation in moved if annotation is not None),
    )


def _move(annotation: Annotation, begin_s: float, end_s: float) -> Annotation | None:
    onset, stop = annotation.onset_s, annotation.onset_s + annotation.duration_s
    if annotation.duration_s == 0:
        return replace(annotation, onset_s=onset - begin_s) if begin_s <= onset < end_s else None
    onset, stop = max(onset, begin_s), min(stop, end_s)
    return replace(annotation, onset_s=onset - begin_s, duration_s=stop - onset) if stop > onset else None
