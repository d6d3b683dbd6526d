"""What a data set says about the recordings it lists: which marks mean which class, which channels are bad, and where.

A data set's reader puts a `Marking` into `Source.extras["marking"]`; when the recording is loaded, `apply_marking`
turns codes ("T1", "769", "Sleep stage R") into spans that are named by their class. Files beside a recording are read
in `mark_files` and `electrodes`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ...core.crop import crop
from ...core.errors import CorruptFileError, InputError
from ...core.modality import Annotation, Recording, Source
from .channels import INPUT, canonical_channel
from .electrodes import read_electrodes
from .mark_files import READERS, ListedChannels, read_channels
from .sites import Place


@dataclass(frozen=True)
class SideFile:
    """A file beside a recording.

    name: relative to the recording's folder. form: files of marks, of `mark_files.READERS`. digest: an edited file is
    another file.
    """

    name: str
    form: str
    digest: str

    @staticmethod
    def of(path: Path, recording: Path, form: str) -> SideFile:
        """Describe a file. Raises InputError when it cannot be read."""
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise InputError(
                "file beside a recording cannot be read", source=path, got=error.strerror or error
            ) from error
        return SideFile(os.path.relpath(path, recording.parent), form, digest)


@dataclass(frozen=True)
class Marking:
    """How the marks of a recording become labels.

    classes: {code: class}; other marks stay as they are. Empty = codes are classes.
    span_s: where the labelled stretch begins and ends, from the onset; None = the mark's own stretch.
    pad_s: how much longer it is at both ends.
    file: where marks come from, None = from the recording itself.
    channels, electrodes, axes: tables of channels and of electrodes' places, and what the places' axes are (BIDS).
    asleep: classes of sleep, in recordings that are mostly wake; see `around_sleep`.
    """

    classes: Mapping[str, str] = field(default_factory=dict)
    span_s: tuple[float, float] | None = None
    pad_s: float = 0.0
    file: SideFile | None = None
    channels: SideFile | None = None
    electrodes: SideFile | None = None
    axes: SideFile | None = None
    asleep: tuple[str, ...] = ()


def electrode_places(source: Source) -> dict[str, Place]:
    """{name in the file: measured place} where a table beside the recording says it. Raises CorruptFileError."""
    marking = source.extras.get("marking")
    if not isinstance(marking, Marking) or source.path is None or marking.electrodes is None:
        return {}
    folder, axes = source.path.parent, marking.axes
    return read_electrodes(folder / marking.electrodes.name, None if axes is None else folder / axes.name)


def apply_marking(recording: Recording, source: Source, wake_s: float | None = None) -> Recording:
    """The recording with the labels that its data set gives it; unchanged when there is no marking.

    wake_s: how much wake before and after sleep is kept, None = all.
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
    if marking.channels is not None:
        recording = _as_listed(recording, read_channels(folder / marking.channels.name), source.path)
    return recording if wake_s is None else around_sleep(recording, marking.asleep, wake_s)


def around_sleep(recording: Recording, asleep: Sequence[str], wake_s: float) -> Recording:
    """The night alone: from `wake_s` before the first span of sleep to as long after the last; all without sleep.

    A recorder that runs for a day makes wake the largest class by far; studies keep half an hour of it (Supratak et al.
    2017, doi:10.1109/TNSRE.2017.2721116).
    """
    spans = [a for a in recording.annotations if a.label in asleep]
    if not spans:
        return recording
    begin_s = min(a.onset_s for a in spans) - wake_s
    return crop(recording, max(0.0, begin_s), max(a.onset_s + a.duration_s for a in spans) + wake_s)


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


def _as_listed(recording: Recording, listed: ListedChannels, path: Path) -> Recording:
    """Without the channels that a table says are no EEG; those that it says are bad are missing."""
    read_as = recording.extras.get("written", {})  # by aliases, or as a numbered input, a name means something else
    known = {
        name: read_as.get(name) or canonical_channel(name) or f"{INPUT}{name}" for name in (*listed.bad, *listed.other)
    }
    other = {name: kind for name, kind in listed.other.items() if known[name] in recording.sensors}
    kept = [i for i, name in enumerate(recording.sensors) if name not in {known[written] for written in other}]
    if not kept:
        raise CorruptFileError("no EEG channel by its table of channels", source=path, got=", ".join(other))
    sensors = tuple(recording.sensors[i] for i in kept)
    bad = {known[name] for name in listed.bad} & set(sensors)
    signals = np.asarray(recording.signals)[kept]
    signals[[name in bad for name in sensors]] = np.nan
    extras = {
        **recording.extras,
        "bad_channels": (*recording.extras.get("bad_channels", ()), *sorted(bad)),
        "other_channels": {**recording.extras.get("other_channels", {}), **other},
    }
    return replace(recording, signals=signals, sensors=sensors, extras=extras)
