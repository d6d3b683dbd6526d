"""Labels of a data set for the recordings it lists: which marks mean which class, and from which file they come.

A data set's reader puts a `Marking` into `Source.extras["marking"]`; when the recording is loaded, `apply_marking`
turns codes ("T1", "769", "Sleep stage R") into spans that are named by their class. Files of marks beside a recording
are read in `mark_files`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ...core.errors import InputError
from ...core.modality import Annotation, Recording, Source
from .channels import INPUT, canonical_channel
from .mark_files import READERS, read_bad_channels


@dataclass(frozen=True)
class MarkFile:
    """A file of marks beside a recording.

    name: relative to the recording's folder. form: of `mark_files.READERS`. digest: an edited file is another file.
    """

    name: str
    form: str
    digest: str

    @staticmethod
    def of(path: Path, recording: Path, form: str) -> MarkFile:
        """Describe a file. Raises InputError when it cannot be read."""
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise InputError("file of marks cannot be read", source=path, got=error.strerror or error) from error
        return MarkFile(os.path.relpath(path, recording.parent), form, digest)


@dataclass(frozen=True)
class Marking:
    """How the marks of a recording become labels.

    classes: {code: class}; other marks stay as they are. Empty = codes are classes.
    span_s: where the labelled stretch begins and ends, from the onset; None = the mark's own stretch.
    pad_s: how much longer it is at both ends.
    file: where marks come from, None = from the recording itself. channels: a table of bad channels (BIDS).
    """

    classes: Mapping[str, str] = field(default_factory=dict)
    span_s: tuple[float, float] | None = None
    pad_s: float = 0.0
    file: MarkFile | None = None
    channels: MarkFile | None = None


def apply_marking(recording: Recording, source: Source) -> Recording:
    """The recording with the labels that its data set gives it; unchanged when there is no marking.

    Raises InputError, CorruptFileError for a file of marks that cannot be read.
    """
    marking = source.extras.get("marking")
    if not isinstance(marking, Marking) or source.path is None:
        return recording
    folder, marks = source.path.parent, recording.annotations
    if marking.file is not None:
        read = READERS[marking.file.form](folder / marking.file.name)
        # where the recording counts its trials, the file says the class of each in turn
        marks = _in_turn(marks, read) if marking.file.form == "mat" else (*marks, *read)
    duration_s = recording.signals.shape[1] / recording.sfreq_hz
    spans = [_labelled(mark, marking, duration_s) for mark in marks]
    kept = {(a.onset_s, a.duration_s, a.label, a.sensor): a for a in spans if a is not None}
    recording = replace(recording, annotations=tuple(sorted(kept.values(), key=lambda a: a.onset_s)))
    if marking.channels is None:
        return recording
    return _without(recording, read_bad_channels(folder / marking.channels.name))


def _labelled(mark: Annotation, marking: Marking, duration_s: float) -> Annotation | None:
    """A mark under the name of its class and with its stretch, cut to the recording; None when it lies outside."""
    if marking.classes and mark.label not in marking.classes:
        return mark
    start_s, stop_s = mark.onset_s, mark.onset_s + mark.duration_s
    if marking.span_s is not None:
        start_s, stop_s = (mark.onset_s + at for at in marking.span_s)
    start_s, stop_s = max(0.0, start_s - marking.pad_s), min(duration_s, stop_s + marking.pad_s)
    if stop_s < start_s or start_s >= duration_s:
        return None
    return Annotation(start_s, marking.classes.get(mark.label, mark.label), stop_s - start_s, mark.sensor)


def _in_turn(marks: Sequence[Annotation], read: Sequence[Annotation]) -> tuple[Annotation, ...]:
    """Marks of unknown class (the last of their kind in a competition's test file) named by a list of classes."""
    cues = [mark for mark in marks if mark.label == "783"]
    if not cues:
        return tuple(marks)
    if len(cues) != len(read):
        raise InputError("labels and trials differ in number", got=len(read), expected=f"{len(cues)} trials")
    named = [replace(cue, label=label.label) for cue, label in zip(cues, read, strict=True)]
    return (*(mark for mark in marks if mark.label != "783"), *named)


def _without(recording: Recording, bad: Sequence[str]) -> Recording:
    """The recording with the channels of these names missing."""
    names = {canonical_channel(name) or f"{INPUT}{name}" for name in bad} & set(recording.sensors)
    signals = np.array(recording.signals)
    signals[[name in names for name in recording.sensors]] = np.nan
    known = (*recording.extras.get("bad_channels", ()), *sorted(names))
    return replace(recording, signals=signals, extras={**recording.extras, "bad_channels": known})
