"""Files of marks beside a recording: hypnograms (EDF+), TUEV's `.rec`, BIDS tables, true labels of a competition."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import CorruptFileError
from ...core.modality import Annotation
from .mne_files import mne_library, reading

_MAX_BYTES = 1 << 28


def read_hypnogram(path: Path) -> tuple[Annotation, ...]:
    """Annotations of an EDF+ file that holds nothing else (Sleep-EDF)."""
    mne, notes = mne_library(), []
    with reading(path, notes):
        marks = mne.read_annotations(path)
        return tuple(Annotation(float(m["onset"]), str(m["description"]), float(m["duration"])) for m in marks)


def read_tuev(path: Path) -> tuple[Annotation, ...]:
    """Lines of channel, start, stop in seconds, code (TUEV's `.rec`); marked in several channels it is one event."""
    found: dict[tuple[float, float, str], Annotation] = {}
    for line, row in enumerate(csv.reader(read_text(path).splitlines()), 1):
        if not row:
            continue
        if len(row) != 4:
            raise _bad(path, line, ",".join(row), "channel,start,stop,code")
        start_s, stop_s = _seconds(path, line, row[1]), _seconds(path, line, row[2])
        code = row[3].strip()
        if not 0 <= start_s <= stop_s:
            raise _bad(path, line, ",".join(row), "a stretch that ends after it begins")
        found[start_s, stop_s, code] = Annotation(start_s, code, stop_s - start_s)
    return tuple(found.values())


def read_events(path: Path) -> tuple[Annotation, ...]:
    """A BIDS table of events: the label is `trial_type`, else `value`; rows without it or a place are left out."""
    found = []
    for line, row in enumerate(read_tsv(path, ("onset",)), 2):
        label = next((row[name] for name in ("trial_type", "value") if row.get(name, "n/a") not in ("n/a", "")), "")
        if label and row["onset"] != "n/a":
            length = row.get("duration", "n/a")
            duration_s = 0.0 if length in ("n/a", "") else max(0.0, _seconds(path, line, length))
            found.append(Annotation(_seconds(path, line, row["onset"]), label, duration_s))
    return tuple(found)


def read_true_labels(path: Path) -> tuple[Annotation, ...]:
    """`classlabel` of a MATLAB file, the class of each trial in turn; their places are in the recording."""
    from scipy.io import loadmat

    try:
        codes = [str(int(code)) for code in loadmat(path, variable_names=["classlabel"])["classlabel"].ravel()]
    except Exception as error:  # loadmat raises anything from KeyError to struct.error
        raise CorruptFileError("no classlabel can be read", source=path, got=type(error).__name__) from error
    return tuple(Annotation(0.0, code) for code in codes)


@dataclass(frozen=True)
class ListedChannels:
    """What a BIDS table says of channels. bad: their names. other: {name: kind} of those that are no EEG."""

    bad: tuple[str, ...]
    other: Mapping[str, str]


def read_channels(path: Path) -> ListedChannels:
    """A BIDS table of channels; only the column `name` must be there."""
    rows = read_tsv(path, ("name",))
    kinds = {row["name"]: row.get("type", "n/a").lower() for row in rows}
    return ListedChannels(
        tuple(row["name"] for row in rows if row.get("status", "").lower() == "bad"),
        {name: kind for name, kind in kinds.items() if kind not in ("eeg", "n/a", "")},
    )


READERS: Mapping[str, Callable[[Path], tuple[Annotation, ...]]] = {
    "edf": read_hypnogram, "rec": read_tuev, "tsv": read_events, "mat": read_true_labels,
}  # fmt: skip


def read_tsv(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Rows {column: cell} of a table separated by tabs. Raises CorruptFileError when a column is missing."""
    reader = csv.DictReader(read_text(path).splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    missing = [name for name in columns if name not in (reader.fieldnames or ())]
    if missing:
        raise CorruptFileError(
            "columns are missing", source=path, got=", ".join(reader.fieldnames or ()), expected=", ".join(missing)
        )
    rows = []
    for row in reader:
        if None in row or None in row.values():
            raise _bad(path, reader.line_num, "another number of cells", "one for each column")
        rows.append({name: cell.strip() for name, cell in row.items()})
    return rows


def read_text(path: Path) -> str:
    """A small text file. Raises CorruptFileError."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CorruptFileError("table is too large", source=path, expected=f"at most {_MAX_BYTES} bytes")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptFileError("table cannot be read", source=path, got=error) from error


def _seconds(path: Path, line: int, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError as error:
        raise _bad(path, line, cell, "seconds") from error
    if not math.isfinite(value):
        raise _bad(path, line, cell, "seconds")
    return value


def _bad(path: Path, line: int, got: str, expected: str) -> CorruptFileError:
    return CorruptFileError("bad row", source=path, field=f"line {line}", got=got, expected=expected)
