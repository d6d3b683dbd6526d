"""Cut a recording to `start_s..stop_s`, for manifests whose rows name a stretch of a longer file.

Assumes what `Recording` promises: the last axis of `signals` is time. Annotations move with the signal: points
outside are dropped, spans are clipped to the stretch.
"""

from __future__ import annotations

from dataclasses import replace

from .errors import InputError
from .recording import Annotation, Recording

_ROUNDED_S, _ROUNDED_SHARE = 0.05, 0.01  # by which a stretch may be longer than its file


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


def cut_short(recording: Recording, start_s: float | None, stop_s: float | None) -> dict[str, str]:
    """A remark where a recording that was opened from `start_s` ends well before `stop_s`, as with a file that is not
    whole, or an end in other units; {} = there is nothing to remark. Ends are often rounded up."""
    if stop_s is None:
        return {}
    held_s = recording.signals.shape[-1] / recording.sfreq_hz
    wanted_s = stop_s - (start_s or 0.0)
    if wanted_s - held_s <= max(_ROUNDED_S, _ROUNDED_SHARE * wanted_s):
        return {}
    return {"stop_s": f"the stretch ends with the file, {wanted_s - held_s:.3g} s before {stop_s:g} s"}


def _move(annotation: Annotation, begin_s: float, end_s: float) -> Annotation | None:
    onset, stop = annotation.onset_s, annotation.onset_s + annotation.duration_s
    if annotation.duration_s == 0:
        return replace(annotation, onset_s=onset - begin_s) if begin_s <= onset < end_s else None
    onset, stop = max(onset, begin_s), min(stop, end_s)
    return replace(annotation, onset_s=onset - begin_s, duration_s=stop - onset) if stop > onset else None
