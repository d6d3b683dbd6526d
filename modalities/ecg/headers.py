"""WFDB headers, made readable and checked before any sample is read.

wfdb decodes; what it lacks is a promise about bad headers. It drops characters that are not ASCII (so microvolt written
with a micro sign becomes volt), falls back to 250 Hz where it cannot parse a rate, rejects record names with a dot,
and allocates what a header claims. So
- a header it would misread is staged: a repaired copy beside links to the signal files, in a temporary folder;
- what wfdb understood is compared with what is written, and with the sizes of the files.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...core.errors import CorruptFileError
from .matfile import is_mat5, mat4_type, stage_mat5

# bytes a sample of each WFDB format; compressed ones (FLAC) carry their own length
_BYTES = {"8": 1, "80": 1, "16": 2, "61": 2, "160": 2, "212": 1.5, "310": 4 / 3, "311": 4 / 3, "24": 3, "32": 4}
_COMPRESSED = ("508", "516", "524")
_MAT4_TYPES = {"16": 30, "32": 20}  # WFDB format -> type code in the header of a MATLAB 4 file
_RATES_HZ = (20.0, 20_000.0)
_MAX_HEADER_BYTES = 1 << 20
_MAX_SIGNALS = 64
ENDINGS = ("", ".dat", ".mat", ".atr")


def find_header(path: Path) -> Path:
    """The header of a record named by its header, signal file or name without ending."""
    # a record name may itself contain a dot
    choices = [path] if path.suffix == ".hea" else [path.parent / f"{path.name}.hea", path.with_suffix(".hea")]
    for header in choices:
        if header.is_file() and (header is choices[0] or _is_of(path, header)):
            return header
    raise CorruptFileError("no WFDB header", source=path, expected=choices[-1].name, fix="give the .hea file")


def _is_of(path: Path, header: Path) -> bool:
    """Whether a file belongs to the record of a header, and is not something else of the same name (100.txt)."""
    if path.suffix in ENDINGS:
        return True
    return any(line.split(maxsplit=1)[0] == path.name for line in _lines(header) if line.strip())


@contextmanager
def readable(header: Path) -> Iterator[Path]:
    """A path that wfdb can be trusted with: of the header itself, or of a repaired copy that lives as long as this."""
    lines = _lines(header)
    signals = _signal_lines(header, lines)
    repaired, matlab = _repair(lines, header), _matlab_files(header, signals)
    if repaired == lines and not matlab:
        yield header
        return
    with tempfile.TemporaryDirectory(prefix="omnipatch-wfdb-") as folder:
        staged = Path(folder) / f"{_plain_name(header.stem)}.hea"
        staged.write_text("\n".join(repaired) + "\n", encoding="utf-8")
        for name in {line.split()[0] for line in signals}:
            if name in matlab:
                stage_mat5(header.parent / name, Path(folder) / name, sum(line.startswith(name) for line in signals))
            else:
                (Path(folder) / name).symlink_to((header.parent / name).resolve())
        yield staged


def repairs(header: Path, staged: Path) -> str:
    """What `readable` changed in a header, in words; "" when it is read as it stands."""
    if staged == header:
        return ""
    lines = _lines(header)
    name = lines[0].split()[0]
    if _repair(lines, header)[0] != lines[0]:
        return f"its header names the record {name}, which wfdb refuses: read from a repaired copy"
    return "its header or signal file is in a form that wfdb misreads: read from a repaired copy"


def check_parsed(header: Path, record: Any, folder: Path) -> None:
    """Compare what wfdb understood (`wfdb.rdheader`) with the header's text and with its files, found in `folder`."""
    words = _lines(header)[0].split()
    bad = _complaint(header)
    written = re.split(r"[/(]", words[2])[0] if len(words) > 2 else "250"
    if not _same(written, record.fs):
        raise bad("sampling rate", words[2], "a number of hertz such as 360")
    if not _RATES_HZ[0] <= record.fs <= _RATES_HZ[1]:
        raise bad("sampling rate", words[2] if len(words) > 2 else None, f"{_RATES_HZ[0]:g} to {_RATES_HZ[1]:g} Hz")
    if len(words) > 3 and words[3] != str(record.sig_len):
        raise bad("length in samples", words[3], "a whole number")
    if record.sig_len == 0:
        raise bad("length in samples", 0, "at least 1")
    if any(not math.isfinite(gain) or gain == 0 for gain in record.adc_gain):
        raise bad("gain", record.adc_gain, "a finite number of steps a millivolt")
    if max(skew or 0 for skew in record.skew) > (record.sig_len or 0):
        raise bad("skew", max(skew or 0 for skew in record.skew), "less than the length of the record")
    _check_sizes(header, record, folder)


def _check_sizes(header: Path, record: Any, folder: Path) -> None:
    needed: dict[str, float] = defaultdict(float)
    for name, form, frame, offset in zip(
        record.file_name, record.fmt, record.samps_per_frame, record.byte_offset, strict=True
    ):
        if form not in _BYTES and form not in _COMPRESSED:
            raise _complaint(header)("format", form, f"one of {', '.join([*_BYTES, *_COMPRESSED])}")
        if form in _BYTES:
            needed[name] = max(needed[name], float(offset or 0)) + _BYTES[form] * frame * (record.sig_len or 1)
    for name, size_needed in needed.items():
        size = (folder / name).stat().st_size
        # formats that pack samples may leave out the last bytes of a block
        if size + 2 < math.floor(size_needed):
            raise CorruptFileError(
                "signal file is shorter than its header says",
                source=header.parent / name,
                got=f"{size} bytes",
                expected=f"{math.ceil(size_needed)} bytes",
                fix="download or copy it again",
            )


def _lines(header: Path) -> list[str]:
    size = header.stat().st_size
    if not 0 < size <= _MAX_HEADER_BYTES:
        raise CorruptFileError("header size", source=header, got=f"{size} bytes", expected="1 byte to 1 MiB")
    raw = header.read_bytes()
    if b"\0" in raw:
        raise CorruptFileError("header is not text", source=header, got="NUL bytes", fix="restore the file")
    lines = raw.decode("utf-8-sig", errors="replace").splitlines()
    body = [i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
    if not body:
        raise _complaint(header)("record line", "nothing", "name, number of signals, rate, length")
    return lines[body[0] :]


def _signal_lines(header: Path, lines: list[str]) -> list[str]:
    """The lines of the signals, whose number and file names are what a record line and a folder can hold."""
    bad = _complaint(header)
    words, *rest = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if len(words) < 2 or not words[1].isdigit():
        raise bad("number of signals", " ".join(words), "name, number of signals, rate, length")
    if "/" in words[0]:
        raise bad("record name", words[0], "a single-segment record")
    if not 0 < int(words[1]) <= _MAX_SIGNALS:
        raise bad("number of signals", words[1], f"1 to {_MAX_SIGNALS}")
    if len(rest) != int(words[1]):
        raise bad("signal lines", len(rest), words[1])
    for line in rest:
        if len(line) < 2:
            raise bad("signal line", " ".join(line), "file name and format")
        if re.search(r"[/\\]", line[0]) or line[0] in ("-", "~", ".", ".."):
            raise bad("signal file", line[0], "a file beside the header")
        frame = re.match(r"\d+x(\d+)", line[1])
        if frame and not 0 < int(frame[1]) <= 64:
            raise bad("samples a frame", frame[1], "1 to 64")
        if not (header.parent / line[0]).is_file():
            raise CorruptFileError(
                "signal file is missing", source=header, field=line[0], fix="put it beside the header"
            )
    return [" ".join(line) for line in rest]


def _repair(lines: list[str], header: Path) -> list[str]:
    """The same header in the words that wfdb's parser knows."""
    name, _, rest = lines[0].strip().partition(" ")
    first = lines[0] if re.fullmatch(r"[-\w]+", name, re.ASCII) else f"{_plain_name(header.stem)} {rest}"
    return [first, *(re.sub("[\u00b5\u03bc]", "u", line) for line in lines[1:])]


def _matlab_files(header: Path, signals: list[str]) -> set[str]:
    """Signal files of the MATLAB 5 form; one of the MATLAB 4 form must hold the samples that the header says."""
    found = set()
    for name, form in {(line.split()[0], re.split(r"[x:+]", line.split()[1])[0]) for line in signals}:
        if not name.lower().endswith(".mat"):
            continue
        if is_mat5(header.parent / name):
            found.add(name)
        elif mat4_type(header.parent / name) not in (_MAT4_TYPES.get(form), None):
            raise CorruptFileError(
                "MATLAB file holds another number format than its header says",
                source=header.parent / name,
                expected=f"WFDB format {form}",
                fix="save the samples as int16",
            )
    return found


def _plain_name(stem: str) -> str:
    return re.sub(r"[^-\w]", "_", stem, flags=re.ASCII)


def _same(written: str, understood: float) -> bool:
    try:
        return math.isclose(float(written), understood)
    except ValueError:
        return False


def _complaint(header: Path) -> Callable[[str, object, str], CorruptFileError]:
    def bad(field: str, got: object, expected: str) -> CorruptFileError:
        return CorruptFileError("bad header", source=header, field=field, got=got, expected=expected)

    return bad
