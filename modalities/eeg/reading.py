"""EEG files to recordings: EDF, BDF, GDF, BrainVision, FIF and EEGLAB through MNE.

- Samples come in microvolt, electrodes by their one name (`channels`); what a file calls them does not matter.
- Only EEG is kept. Channels of other kinds, and channels whose names mean no place, are left out and named in `extras`.
- A channel without a known name stays when the file says where it was (digitised electrodes) or when a standard
  montage of MNE does (`montage`), as "input NAME" (`selection`).
- Channels the file declares bad, and stretches it marks bad, come as NaN: missing, never zero.
- Only the stretch asked for is read from disk, in pieces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import CorruptFileError, InputError
from ...core.modality import Recording
from .annotations import read_annotations
from .edf_header import microvolts, read_header
from .mne_files import open_raw, reading, recording_suffix
from .selection import select_channels
from .sites import Place

_PIECE = 1 << 22  # samples of all channels that are read at once: 32 MB in double precision
_SLOWEST_HZ, _FASTEST_HZ = 1.0, 200_000.0


def read_eeg(
    path: Path | str,
    aliases: Mapping[str, str] | None = None,
    start_s: float | None = None,
    stop_s: float | None = None,
    montage: str = "",
    electrodes: Mapping[str, Place] | None = None,
) -> Recording:
    """Open a recording, or its stretch from `start_s` to `stop_s`.

    aliases: {name in the file: known name}, see `channels.parse_aliases`.
    montage: a standard montage of MNE ("biosemi128", "GSN-HydroCel-128") that knows the file's own names.
    electrodes: {name in the file: (x right, y front, z up)} in any unit, what a table beside the file says.

    Returns signals [channel, sample] float32 in microvolt, annotations in seconds from the start of the stretch, and in
    `extras`: notes, reference ("" = not said, "mixed"), bad_channels, unknown_channels {name: reason},
    other_channels {name: kind}, written {name in the file: channel}, positions {channel: (x, y, z)} of channels that
    only their position describes, typed_marks: whether labels may begin with a marker's type ("Stimulus/S  1").
    Raises InputError, CorruptFileError.
    """
    path = Path(path)
    notes: list[str] = []
    raw, left_out = open_raw(path, notes, aliases)
    with reading(path, notes):
        sfreq_hz, n_samples = float(raw.info["sfreq"]), int(raw.n_times)
        if not _SLOWEST_HZ <= sfreq_hz <= _FASTEST_HZ or n_samples < 1:
            raise CorruptFileError("no usable samples", source=path, got=f"{n_samples} samples at {sfreq_hz:g} Hz")
        first, last = _stretch(path, start_s, stop_s, sfreq_hz, n_samples)
        chosen = select_channels(path, raw, aliases or {}, montage, notes, electrodes)
        names = {raw.ch_names[row]: name for row, name in chosen.rows.items()}
        signals = _samples(raw, list(chosen.rows), first, last)
        signals *= _microvolt(path, raw, names)[:, None]
        bad = [name for written, name in names.items() if written in raw.info["bads"]]
        signals[[name in bad for name in names.values()]] = np.nan
        events = read_annotations(raw, names, first, last)
    return Recording(
        signals=_finite(signals),
        sensors=tuple(names.values()),
        sfreq_hz=sfreq_hz,
        unit="uV",
        record=path.name[: -len(recording_suffix(path))],
        subject=subject_of(path),
        annotations=events,
        extras={
            "notes": tuple(notes),
            "reference": chosen.reference,
            "bad_channels": tuple(bad),
            "unknown_channels": chosen.unknown,
            "other_channels": left_out | chosen.other,
            "positions": chosen.positions,
            "written": names,
            "typed_marks": recording_suffix(path) in (".vhdr", ".ahdr"),
        },
    )


def subject_of(path: Path) -> str:
    """The person a BIDS path names ("sub-01"), "" where it names none: a file name alone does not say who it was."""
    found = re.findall(r"(?:^|[/_\\])(sub-[A-Za-z0-9]+)", str(path))
    return found[-1] if found else ""  # a folder far above may be called so too


def _stretch(
    path: Path, start_s: float | None, stop_s: float | None, sfreq_hz: float, n_samples: int
) -> tuple[int, int]:
    """First and last sample (exclusive) of the stretch. Raises InputError when it holds none."""
    first = round((start_s or 0.0) * sfreq_hz)
    last = n_samples if stop_s is None else min(n_samples, round(stop_s * sfreq_hz))
    if not 0 <= first < last:
        raise InputError(
            "the stretch holds no samples", source=path, field="start_s, stop_s", got=f"{start_s} to {stop_s} s",
            expected=f"a stretch inside 0 to {n_samples / sfreq_hz:g} s",
        )  # fmt: skip
    return first, last


def _samples(raw: Any, picks: list[int], first: int, last: int) -> np.ndarray:
    """[channel, sample] float32 in volt, as MNE understands it; stretches that are marked bad are NaN."""
    step = max(1, _PIECE // len(picks))
    found = np.empty((len(picks), last - first), np.float32)
    for start in range(first, last, step):
        stop = min(last, start + step)
        piece = raw.get_data(picks, start, stop, reject_by_annotation="NaN", verbose="WARNING")
        found[:, start - first : stop - first] = piece
    return found


def _microvolt(path: Path, raw: Any, names: Mapping[str, str]) -> np.ndarray:
    """[channel] what to multiply MNE's volts by. Raises CorruptFileError for a unit that is no voltage."""
    suffix = recording_suffix(path)
    if suffix not in (".edf", ".bdf", ".gdf"):
        return np.full(len(names), 1e6, np.float32)
    # MNE scales the exact spellings that it knows and takes all other numbers for volt: undo whichever it did
    header = raw._raw_extras[0]
    taken_v = dict(zip(raw.ch_names, header["units"], strict=True))
    if suffix == ".gdf":  # no more than the factor is kept; 1 = a unit it does not know
        units = {name: "uV" if taken_v[name] < 1 else "" for name in names}
    else:
        signals = read_header(path).signals
        units = dict(zip(raw.ch_names, (signals[i].unit for i in header["sel"]), strict=True))
    factors = []
    for name in names:
        unit_uv = microvolts(units[name])
        if unit_uv is None:
            raise CorruptFileError(
                "unknown unit", source=path, field=name, got=units[name] or "no unit", expected="uV, mV, V or nV"
            )
        factors.append(unit_uv / taken_v[name])
    return np.array(factors, np.float32)


def _finite(x: np.ndarray) -> np.ndarray:
    """What does not fit into float32 is missing."""
    x[~np.isfinite(x)] = np.nan
    return x
