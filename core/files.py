"""The user's own files, one by one: what verbs that apply a model read of each, and what they leave out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from .console import Voice
from .errors import CorruptFileError, InputError, OmnipatchError
from .known import Unknown

if TYPE_CHECKING:
    from .modality import Modality, Window
    from .sequence import PatchSequence

T = TypeVar("T")
_DOUBTS = 3  # sensors that a note names


@dataclass(frozen=True, eq=False)
class FileRead:
    """Windows of a file that hold some signal, and their patches, one row each.

    subject: of the recording, "" = not known. unknown: ids in the file that the modality has never met.
    left_out: of windows, and which sensors should not be trusted, in words.
    """

    path: Path
    windows: list[Window]
    rows: list[PatchSequence]
    subject: str
    unknown: Unknown
    left_out: list[str]


def read_file(modality: Modality, path: Path, task: str | None = None) -> FileRead:
    """Raises InputError for a file that cannot be read, is too short or holds no usable signal. task: see `windows`."""
    try:
        recording = modality.read(path)
        windows, unknown = modality.windows(recording, task), modality.unknown(recording)
        doubts = modality.quality(recording)
    except OmnipatchError:
        raise
    except Exception as error:  # readers of foreign files fail in any way; the other files go on
        raise CorruptFileError("cannot be read", source=path, got=f"{type(error).__name__}: {error}") from error
    if not windows:
        raise InputError("too short for one window", source=path)
    rows = [modality.patchify(window) for window in windows]
    used = [i for i, row in enumerate(rows) if row.valid.any()]  # of a window without any signal nothing can be said
    if not used:
        raise InputError("no usable signal in any window", source=path)
    lost = len(rows) - len(used)
    left_out = [f"left out, without any usable signal: {lost} of {len(rows)} windows"] if lost else []
    if doubts:
        named = [f"{sensor} ({reason})" for sensor, reason in list(doubts.items())[:_DOUBTS]]
        more = [f"{len(doubts) - _DOUBTS} more"] if len(doubts) > _DOUBTS else []
        left_out.append(f"not to be trusted: {', '.join([*named, *more])}")
    return FileRead(path, [windows[i] for i in used], [rows[i] for i in used], recording.subject, unknown, left_out)


def each_file(
    names: Sequence[str], work: Callable[[Path], tuple[T, str, list[str]]], voice: Voice
) -> tuple[list[T], int]:
    """What `work` finds in each file, and how many files were skipped, each with a sentence that says why.

    work: path -> (what it found, that in short, notes). Raises InputError where nothing is found in any file.
    """
    found, problems = list[T](), 0
    for i, name in enumerate(names):
        try:
            one, told, notes = work(Path(name))
        except InputError as error:
            problems += 1
            # readers may know a recording by its bare name, which files in other folders share
            whose = "" if name in str(error) else f"{name}: "
            voice.problem(f"skipped: {whose}{error}")
        else:
            found.append(one)
            voice.step(f"{i + 1}/{len(names)} {name}: {told}")
            for note in notes:
                voice.result(f"Note: {name}: {note}.")
    if not found:
        raise InputError(f"none of {len(names)} files could be read", fix="check their format")
    return found, problems
