"""Opening recordings through MNE: which reader, and quietly.

- MNE is an extra and slow to load, so it is imported when the first file is opened.
- What MNE says while it reads (warnings, log lines) becomes notes of the recording, not lines on the console.
- Whatever a damaged file makes MNE raise, from KeyError to MemoryError, becomes one CorruptFileError.
- Headers only are read here; samples follow when they are asked for.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import CorruptFileError, InputError
from .edf_gaps import joined_marks
from .edf_header import choose_signals, read_header
from .mat_check import check_mat5

_READERS = {
    ".edf": "read_raw_edf", ".bdf": "read_raw_bdf", ".gdf": "read_raw_gdf", ".vhdr": "read_raw_brainvision",
    ".ahdr": "read_raw_brainvision", ".fif": "read_raw_fif", ".fif.gz": "read_raw_fif", ".set": "read_raw_eeglab",
}  # fmt: skip
SUFFIXES = tuple(_READERS)
_BESIDE = {".eeg": ".vhdr", ".vmrk": ".vhdr", ".fdt": ".set"}  # parts of a recording, and the file that is its head
_LONGEST_NOTE = 300
_NOT_CONTINUOUS = re.compile("No raw data in|number of trials is")  # what MNE says of a file of epochs


def mne_library() -> Any:
    """The MNE package. Raises InputError when it is not installed."""
    try:
        import mne
    except ImportError as error:
        raise InputError("reading EEG files needs mne", fix="pip install 'omnipatch[eeg]'") from error
    return mne


def recording_suffix(path: Path) -> str:
    """The ending that says which reader it takes, in lower case. Raises InputError for none of `SUFFIXES`."""
    name = path.name.lower()
    found = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)
    if found is None:
        head = _BESIDE.get(path.suffix.lower())
        raise InputError(
            "not a known EEG format", source=path, got=path.suffix or "no ending", expected=", ".join(SUFFIXES),
            fix=f"give the {head} file beside it" if head else None,
        )  # fmt: skip
    return found


def open_raw(path: Path, notes: list[str], aliases: Mapping[str, str] | None = None) -> tuple[Any, dict[str, str]]:
    """The recording as MNE's Raw, samples still on disk, and {name: kind} of channels that were left out of it.

    `notes` grows by what MNE had to say. aliases: {name in the file: known name}.

    Raises InputError for another format, CorruptFileError for a file that cannot be read.
    """
    suffix = recording_suffix(path)
    if not path.is_file():
        raise InputError("no such file", source=path)
    options: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    header = read_header(path) if suffix in (".edf", ".bdf") else None
    if header is not None:
        options["include"], left_out = choose_signals(header, notes, aliases)
    if suffix == ".set":
        check_mat5(path)
    mne = mne_library()
    with reading(path, notes):
        raw = getattr(mne.io, _READERS[suffix])(path, preload=False, verbose="WARNING", **options)
        if header is not None and header.interrupted:
            marks = joined_marks(header)
            raw.set_annotations(mne.Annotations(*([mark[i] for mark in marks] for i in range(3))))
        return raw, left_out


@contextmanager
def reading(path: Path, notes: list[str]) -> Iterator[None]:
    """Anything MNE does inside is quiet and fails with one CorruptFileError."""
    mne = mne_library()
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        with mne.utils.catch_logging(verbose="WARNING") as log:
            try:
                yield
            except InputError:
                raise
            except Exception as error:
                said = " ".join(f"{type(error).__name__}: {error}".split())
                cut = _NOT_CONTINUOUS.search(said)
                raise CorruptFileError(
                    "cannot be read as EEG", source=path, got=said,
                    fix="give the whole recording, not epochs or averages" if cut else "restore or exclude the file",
                ) from error  # fmt: skip
            logged = log.getvalue().splitlines()
    for text in (*(str(warning.message) for warning in caught), *logged):
        note = " ".join(text.split())[:_LONGEST_NOTE]
        if note and note not in notes:
            notes.append(note)
