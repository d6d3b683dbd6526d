"""WFDB files to recordings: PhysioNet `.hea/.dat` with `.atr` marks, and the challenge form `.hea` + `.mat`.

wfdb does the decoding. What it lacks is a promise about bad files: damaged headers make it raise anything, allocate what
a header claims, or loop. So the header is checked first, against the format and the sizes of the files it names, and
whatever still goes wrong inside wfdb becomes one CorruptFileError.
"""

from __future__ import annotations

import math
import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import CorruptFileError, InputError
from ...core.modality import Annotation, Recording
from .leads import STANDARD_LEADS, canonical_lead

# bytes a sample of each WFDB format; other formats (compressed) are left to wfdb's own checks
_BYTES = {"8": 1, "80": 1, "16": 2, "61": 2, "160": 2, "212": 1.5, "310": 4 / 3, "311": 4 / 3, "24": 3, "32": 4}
_UNITS_MV = {"mv": 1.0, "millivolt": 1.0, "uv": 1e-3, "µv": 1e-3, "microvolt": 1e-3, "nv": 1e-6, "v": 1e3, "volt": 1e3}
_RATES_HZ = (20.0, 20_000.0)
_MAX_HEADER_BYTES = 1 << 20
_MAX_SIGNALS = 64


def read_wfdb(path: Path | str, aliases: dict[str, str] | None = None) -> Recording:
    """Open one WFDB record by its header, signal file or name without ending.

    Signals come back in millivolt, leads by standard name (unknown ones are left out and named in
    `extras["unknown_leads"]`), beat marks and rhythm changes as annotations, `# Dx:` codes as label.
    """
    header = _header_path(Path(path))
    lines = _header_lines(header)
    _check_header(header, lines)
    record = _decode(header, lines)
    signals, sensors, unknown = _leads(header, record, aliases)
    sfreq_hz = float(record.fs)
    comments = [str(c).strip() for c in record.comments or []]
    return Recording(
        signals=signals,
        sensors=sensors,
        sfreq_hz=sfreq_hz,
        unit="mV",
        record=header.stem,
        subject=header.stem,
        annotations=_annotations(header, sfreq_hz, signals.shape[1]),
        label=_diagnoses(comments),
        extras={"unknown_leads": unknown, "comments": comments},
    )


def _header_path(path: Path) -> Path:
    header = path if path.suffix == ".hea" else path.with_suffix(".hea")
    if not header.is_file():
        # a record name may itself contain a dot
        other = path.parent / f"{path.name}.hea"
        if not other.is_file():
            raise CorruptFileError("no WFDB header", source=path, expected=header.name, fix="give the .hea file")
        header = other
    return header


def _header_lines(header: Path) -> list[str]:
    size = header.stat().st_size
    if not 0 < size <= _MAX_HEADER_BYTES:
        raise CorruptFileError("header size", source=header, got=f"{size} bytes", expected="1 byte to 1 MiB")
    raw = header.read_bytes()
    if b"\0" in raw:
        raise CorruptFileError("header is not text", source=header, got="NUL bytes", fix="restore the file")
    return raw.decode("utf-8", errors="replace").splitlines()


def _check_header(header: Path, lines: list[str]) -> None:
    """Reject what would make wfdb fail obscurely or allocate more than the files hold."""

    def bad(field: str, got: Any, expected: str) -> CorruptFileError:
        return CorruptFileError("bad header", source=header, field=field, got=got, expected=expected)

    body = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not body:
        raise bad("record line", "nothing", "name, number of signals, rate, length")
    words = body[0].split()
    if len(words) < 2 or not words[1].isdigit():
        raise bad("number of signals", body[0], "name, number of signals, rate, length")
    n_signals = int(words[1])
    if not 0 < n_signals <= _MAX_SIGNALS:
        raise bad("number of signals", n_signals, f"1 to {_MAX_SIGNALS}")
    rate = re.match(r"[0-9.eE+-]+", words[2]) if len(words) > 2 else None
    try:
        sfreq_hz = float(rate.group()) if rate else 250.0
    except ValueError:
        sfreq_hz = math.nan
    if not _RATES_HZ[0] <= sfreq_hz <= _RATES_HZ[1]:
        raise bad("sampling rate", words[2] if len(words) > 2 else None, f"{_RATES_HZ[0]:g} to {_RATES_HZ[1]:g} Hz")
    if len(words) > 3 and not words[3].isdigit():
        raise bad("length in samples", words[3], "a whole number")
    length = int(words[3]) if len(words) > 3 else 0
    if len(words) > 3 and length == 0:
        raise bad("length in samples", 0, "at least 1")
    if "/" in words[0]:
        raise bad("record name", words[0], "a single-segment record")
    if len(body) - 1 < n_signals:
        raise bad("signal lines", len(body) - 1, str(n_signals))
    _check_files(header, body[1 : n_signals + 1], length, bad)


def _check_files(header: Path, signal_lines: list[str], length: int, bad) -> None:
    needed: dict[str, float] = {}
    for line in signal_lines:
        words = line.split()
        if len(words) < 2:
            raise bad("signal line", line, "file name and format")
        name = words[0]
        if "/" in name or "\\" in name or name in ("-", "~", ".."):
            raise bad("signal file", name, "a file beside the header")
        found = re.fullmatch(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?", words[1])
        if not found:
            raise bad("format", words[1], "a WFDB format such as 16 or 212")
        form, frame, _, offset = found.groups()
        frame_size = int(frame or 1)
        if not 0 < frame_size <= 64:
            raise bad("samples a frame", frame, "1 to 64")
        if form in _BYTES:
            needed[name] = needed.get(name, float(offset or 0)) + _BYTES[form] * frame_size * length
    for name in {line.split()[0] for line in signal_lines}:
        file = header.parent / name
        if not file.is_file():
            raise CorruptFileError("signal file is missing", source=header, field=name, fix="put it beside the header")
        size = file.stat().st_size
        if size + 2 < math.floor(needed.get(name, 0)):
            raise CorruptFileError(
                "signal file is shorter than its header says",
                source=file,
                got=f"{size} bytes",
                expected=f"{math.ceil(needed[name])} bytes",
                fix="download or copy it again",
            )


def _decode(header: Path, lines: list[str]) -> Any:
    wfdb = _wfdb()
    name = lines[0].split()[0] if lines and lines[0].strip() else ""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            if name.endswith(".mat"):
                return _decode_challenge(header, lines, wfdb)
            return wfdb.rdrecord(str(header.with_suffix("")))
    except InputError:
        raise
    except Exception as error:  # wfdb raises anything from KeyError to UnboundLocalError on damaged files
        raise _unreadable(header, error) from error


def _decode_challenge(header: Path, lines: list[str], wfdb: Any) -> Any:
    """Challenge headers that write the record name with its `.mat`, which wfdb's parser rejects."""
    first = next(i for i, line in enumerate(lines) if line.strip())
    words = lines[first].split(maxsplit=1)
    fixed = [*lines[:first], f"{header.stem} {words[1]}", *lines[first + 1 :]]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"{header.stem}.hea").write_text("\n".join(fixed) + "\n", encoding="utf-8")
        for line in fixed[first + 1 :]:
            if line.strip() and not line.startswith("#"):
                link = Path(folder) / line.split()[0]
                if not link.exists():
                    link.symlink_to((header.parent / line.split()[0]).resolve())
        return wfdb.rdrecord(str(Path(folder) / header.stem))


def _unreadable(path: Path, error: Exception) -> CorruptFileError:
    return CorruptFileError(
        "cannot be read as WFDB", source=path, got=f"{type(error).__name__}: {error}", fix="restore or exclude the file"
    )


def _leads(header: Path, record: Any, aliases: dict[str, str] | None) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    if record.p_signal is None or record.p_signal.size == 0:
        raise CorruptFileError("record has no samples", source=header)
    rows, sensors, unknown = [], [], []
    for i, name in enumerate(record.sig_name):
        lead = canonical_lead(str(name), aliases)
        if lead is None or lead in sensors:
            unknown.append(str(name))
            continue
        unit = str(record.units[i] or "mV").strip().lower()
        if unit not in _UNITS_MV:
            raise CorruptFileError(
                "unknown unit", source=header, field=str(name), got=record.units[i], expected="mV, uV or V"
            )
        sensors.append(lead)
        rows.append((record.p_signal[:, i] * _UNITS_MV[unit]).astype(np.float32))
    if not rows:
        raise CorruptFileError(
            "no known lead",
            source=header,
            got=", ".join(unknown),
            expected=", ".join(STANDARD_LEADS),
            fix="map them with modality.aliases, e.g. ECG1=II",
        )
    return np.stack(rows), tuple(sensors), unknown


def _annotations(header: Path, sfreq_hz: float, n_samples: int) -> tuple[Annotation, ...]:
    """Marks of the `.atr` file, if there is one: beats as points, rhythms as spans up to the next rhythm mark."""
    file = header.with_suffix(".atr")
    if not file.is_file():
        return ()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            marks = _wfdb().rdann(str(header.with_suffix("")), "atr")
    except Exception as error:  # as above: any exception type
        raise _unreadable(file, error) from error
    samples = np.asarray(marks.sample)
    if len(samples) and (samples.min() < 0 or samples.max() >= n_samples or np.any(np.diff(samples) < 0)):
        raise CorruptFileError(
            "marks out of order or outside the record",
            source=file,
            got=int(samples.max()),
            expected=f"0 to {n_samples}",
        )
    found: list[Annotation] = []
    rhythms: list[tuple[float, str]] = []
    for sample, symbol, note in zip(samples, marks.symbol, marks.aux_note, strict=True):
        at = float(sample) / sfreq_hz
        if symbol == "+" and note:
            rhythms.append((at, note.rstrip("\x00").strip()))
        else:
            found.append(Annotation(at, symbol))
    ends = [at for at, _ in rhythms[1:]] + [n_samples / sfreq_hz]
    found += [Annotation(at, note, end - at) for (at, note), end in zip(rhythms, ends, strict=True)]
    return tuple(sorted(found, key=lambda a: a.onset_s))


def _diagnoses(comments: list[str]) -> tuple[str, ...]:
    for comment in comments:
        if comment.lower().startswith("dx:"):
            return tuple(code.strip() for code in comment[3:].split(",") if code.strip())
    return ()


def _wfdb() -> Any:
    try:
        import wfdb
    except ImportError as error:
        raise InputError("reading WFDB files needs wfdb", fix="pip install 'omnipatch[ecg]'") from error
    return wfdb
