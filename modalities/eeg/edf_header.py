"""The header of EDF, EDF+ and BDF files: which signals to read, and whether the header can be true.

Source: Kemp & Olivan 2003 (EDF+, doi:10.1016/S1388-2457(03)00123-8), https://www.edfplus.info.

- MNE brings all signals to the highest rate of a file by the Fourier transform of the whole stretch. One fast channel
  (a microphone, an ECG) would so change every electrode. Only EEG signals are asked for, all of one rate: the rate that
  most of them share.
- A header that cannot be true (fields that are no numbers, more signals than the file has room for) is refused here,
  before anything is allocated by what it claims.
- MNE reads the first half of a recording that was copied by half as if it were all. Where the header counts more data
  records than the file holds, it is refused; a recorder that was switched off may leave its last record unfinished.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import CorruptFileError
from .channels import channel_kind, parse_channel

_FIXED_BYTES = _SIGNAL_BYTES = 256
_SAMPLE_BYTES = {".edf": 2, ".bdf": 3}
_MARKS = ("EDF Annotations", "BDF Annotations")  # signals that hold marks in place of samples
# widths of the fields of a signal, each stored for all signals before the next: label, transducer, unit, physical and
# digital minimum and maximum, prefilter, samples in a record, reserved
_WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
_LABEL, _UNIT, _SAMPLES = 0, 2, 8
# the sign of micro and the Greek letter in UTF-8, then as Shift-JIS and Latin-1 write it
_MICRO = (b"\xc2\xb5", b"\xce\xbc", b"\x83\xca", b"\xb5")
_PREFIX_UV = {"": 1e6, "m": 1e3, "milli": 1e3, "u": 1.0, "micro": 1.0, "n": 1e-3, "nano": 1e-3}


@dataclass(frozen=True)
class Signal:
    """One signal of a file. samples: how many it has in each data record. unit: as written, micro as "u"."""

    name: str
    samples: int
    unit: str

    @property
    def holds_marks(self) -> bool:
        return self.name in _MARKS


@dataclass(frozen=True)
class Header:
    """What a file says of itself; `read_header` makes one that can be true.

    record_s: seconds of a data record. sample_bytes: of each sample. interrupted: records need not follow each other
    in time (EDF+D).
    """

    path: Path
    signals: tuple[Signal, ...]
    record_s: float
    sample_bytes: int
    interrupted: bool

    @property
    def bytes(self) -> int:
        """Of the header, behind which the data records are."""
        return _FIXED_BYTES + len(self.signals) * _SIGNAL_BYTES

    @property
    def record_bytes(self) -> int:
        return self.sample_bytes * sum(s.samples for s in self.signals)

    @property
    def whole_records(self) -> int:
        """How many data records the file holds, whatever it claims."""
        return (self.path.stat().st_size - self.bytes) // self.record_bytes


def choose_signals(
    header: Header, notes: list[str], aliases: Mapping[str, str] | None = None
) -> tuple[list[str], dict[str, str]]:
    """Names of the EEG signals to read, all of one rate, and {name: kind} of the others.

    Signals that name a site, as they stand or by `aliases`, decide the rate; others do where there is none. The trigger
    channel of a BDF file is among the first. EEG of another rate is left out with a note. Raises CorruptFileError.
    """
    if header.interrupted:
        notes.append("the recording has interruptions (EDF+D); its parts are joined")
    signals = [s for s in header.signals if not s.holds_marks]
    kinds = {s.name: "eeg" if s.name in (aliases or {}) else channel_kind(s.name) for s in signals}
    eeg = [s for s in signals if kinds[s.name] == "eeg" and s.samples]
    # a sleep laboratory's file may hold more belts and sensors of odd names than electrodes
    rates = Counter(s.samples for s in eeg if parse_channel(s.name, aliases)) or Counter(s.samples for s in eeg)
    if not rates:
        raise CorruptFileError("no EEG signal", source=header.path, got=", ".join(kinds) or "no signal")
    common = rates.most_common(1)[0][0]
    wanted = [s for s in signals if s.samples == common and (kinds[s.name] == "eeg" or s.name == "Status")]
    names = [s.name for s in wanted]
    left_out = {name: kind for name, kind in kinds.items() if name not in names}
    slow = [name for name, kind in left_out.items() if kind == "eeg"]
    if slow:
        notes.append(f"left out for another sampling rate: {', '.join(slow)}")
    return names, left_out


def microvolts(unit: str) -> float | None:
    """How many microvolt a unit is, None for no voltage. Case means nothing: recorders write "UV", none megavolt."""
    found = re.fullmatch(r"([a-z]*?)v(?:olts?)?", unit.lower())
    return _PREFIX_UV.get(found[1]) if found else None


def read_header(path: Path) -> Header:
    """Of an EDF or BDF file. Raises CorruptFileError for one that cannot be true."""
    size = path.stat().st_size
    with path.open("rb") as file:
        fixed = file.read(_FIXED_BYTES)
        if len(fixed) < _FIXED_BYTES:
            raise CorruptFileError("shorter than an EDF header", source=path, got=f"{len(fixed)} bytes")
        header_bytes = _whole(path, "header bytes", fixed[184:192])
        count = _whole(path, "number of signals", fixed[252:256])
        if not count > 0 or header_bytes != _FIXED_BYTES + count * _SIGNAL_BYTES or header_bytes > size:
            raise CorruptFileError(
                "header does not fit its number of signals", source=path, field="header bytes", got=header_bytes,
                expected=f"{_FIXED_BYTES} + {_SIGNAL_BYTES} x {count}, in a file of {size} bytes",
            )  # fmt: skip
        seconds = _number(path, "record duration", fixed[244:252])
        if not (math.isfinite(seconds) and seconds >= 0):
            raise CorruptFileError("record duration is not a length", source=path, got=seconds)
        claimed = _whole(path, "number of data records", fixed[236:244])
        table = file.read(count * _SIGNAL_BYTES)
    columns = (_column(table, count, field) for field in (_LABEL, _SAMPLES, _UNIT))
    signals = tuple(
        Signal(name.decode("latin-1").strip(), _whole(path, f"samples of signal {i}", samples), _unit(unit))
        for i, (name, samples, unit) in enumerate(zip(*columns, strict=True))
    )
    interrupted = fixed[192:197] in (b"EDF+D", b"BDF+D")
    header = Header(path, signals, seconds, _SAMPLE_BYTES[path.suffix.lower()], interrupted)
    if any(s.samples < 0 for s in signals) or not 0 < header.record_bytes <= size - header_bytes:
        raise CorruptFileError(
            "no whole data record", source=path, field="samples", got=f"{header.record_bytes} bytes a record",
            expected=f"at most {size - header_bytes} bytes, what follows the header",
        )  # fmt: skip
    held = header.whole_records
    if claimed - held > 1:  # -1 = the recorder did not know
        raise CorruptFileError(
            "the file ends early", source=path, got=_length(held, seconds), expected=_length(claimed, seconds),
            fix="copy the file again from where it came from",
        )  # fmt: skip
    return header


def _unit(cell: bytes) -> str:
    for sign in _MICRO:
        cell = cell.replace(sign, b"u")
    return cell.decode("latin-1").strip(" \0")


def _length(records: int, seconds: float) -> str:
    return f"{records * seconds:g} s" if seconds else f"{records} data records"


def _column(table: bytes, count: int, field: int) -> list[bytes]:
    start = count * sum(_WIDTHS[:field])
    width = _WIDTHS[field]
    return [table[start + i * width : start + (i + 1) * width] for i in range(count)]


def _whole(path: Path, field: str, raw: bytes) -> int:
    value = _number(path, field, raw)
    if not math.isfinite(value) or value != int(value):
        raise CorruptFileError("header field is not a whole number", source=path, field=field, got=value)
    return int(value)


def _number(path: Path, field: str, raw: bytes) -> float:
    text = raw.decode("latin-1").strip(" \0")
    try:
        return float(text)
    except ValueError as error:
        raise CorruptFileError("header field is not a number", source=path, field=field, got=repr(text)) from error
