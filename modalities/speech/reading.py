"""Audio files to recordings, through libsndfile (wav, flac, ogg, mp3, aiff and what else it opens).

- Samples are shares of full scale. A number that is not finite is missing (NaN), never zero.
- Only the stretch asked for is read, in blocks: what a header claims is never allocated before it is there. MP3 decodes
  from its start, because seeking in it is inexact.
- A file that ends before its header says is refused: half an utterance under a whole label is worse than none.
  libsndfile notices but goes on, so its log is read. A recorder that wrote to a pipe could not know the length; such a
  header claims the largest number there is, or none, and is no sign of damage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import CorruptFileError, InputError
from ...core.modality import Recording

_SLOWEST_HZ, _FASTEST_HZ = 1_000.0, 768_000.0
_BLOCK = 1 << 18  # frames read at once
_MOST_SAMPLES = 1 << 28  # 1 GiB: more than four hours at 16 kHz
_UNKNOWN_LENGTHS = (0, 0x7FFFFFFF, 0xFFFFFFFF)  # of a chunk that was written to a pipe
_SIDES = {1: ("mono",), 2: ("left", "right")}
# every page of an Ogg file begins with these letters; its last one has this flag
_PAGE, _LONGEST_PAGE, _LAST = b"OggS", 27 + 255 + 255 * 255, 4
# what phones, browsers and clones leave that is no sound to libsndfile: where in a file, with which bytes
_FOREIGN = (
    (4, b"ftyp", "MPEG-4 (m4a, mp4, 3gp)"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (0, b"#!AMR", "AMR"),
    (0, b"\x30\x26\xb2\x75", "Windows Media"),
)
_POINTER = b"version https://git-lfs"


def read_audio(path: Path | str, start_s: float | None = None, stop_s: float | None = None) -> Recording:
    """Open an audio file, or its stretch from `start_s` to `stop_s`.

    Returns signals [channel, sample] float32 in shares of full scale. Sensors are "mono", "left" and "right", or
    "channel 1" and so on. Raises CorruptFileError, and InputError for a stretch outside the file.
    """
    path = Path(path)
    with _opened(path) as file:
        rate_hz, frames = float(file.samplerate), int(file.frames)
        if not _SLOWEST_HZ <= rate_hz <= _FASTEST_HZ:
            raise CorruptFileError(
                "implausible rate", source=path, got=f"{rate_hz:g} Hz",
                expected=f"{_SLOWEST_HZ:g} to {_FASTEST_HZ:g} Hz",
            )  # fmt: skip
        _refuse_truncated(path, str(file.extra_info))
        first = round((start_s or 0.0) * rate_hz)
        last = frames if stop_s is None else min(frames, round(stop_s * rate_hz))
        if frames < 1:
            raise CorruptFileError("no samples", source=path)
        if not 0 <= first < last:
            raise InputError(
                "the stretch holds no samples", source=path, field="start_s, stop_s", got=f"{start_s} to {stop_s} s",
                expected=f"a stretch inside 0 to {frames / rate_hz:g} s",
            )  # fmt: skip
        signals = _samples(path, file, first, last)
    names = _SIDES.get(len(signals), tuple(f"channel {i + 1}" for i in range(len(signals))))
    return Recording(signals, names, rate_hz, "FS", path.stem)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The open file; whatever libsndfile raises becomes a CorruptFileError."""
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: the package without its library
        raise InputError(
            "audio files need soundfile", source=path, got=error, fix="pip install 'omnipatch[speech]'"
        ) from error
    if not path.is_file():
        raise CorruptFileError("no such file", source=path)
    if path.suffix.lower() == ".raw":
        raise InputError("samples without a header", source=path, fix="convert the file to wav or flac")
    try:
        with soundfile.SoundFile(path) as file:
            yield file
    except InputError:
        raise
    except (RuntimeError, OSError, ValueError, TypeError, MemoryError) as error:
        words = " ".join(str(error).replace(str(path), "the file").split())
        got, fix = _instead(path)
        raise CorruptFileError(
            "cannot be read as audio", source=path, got=got or words or type(error).__name__, fix=fix
        ) from error


def _instead(path: Path) -> tuple[str, str]:
    """What a file is that is no audio here ("" = nobody knows), and what to do about it."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return "", "check that the file may be read"
    if not head:
        return "an empty file", "copy it again from where it came from"
    if head.startswith(_POINTER):
        return "a pointer of Git LFS instead of the sound", "fetch the sounds by git lfs pull"
    convert = "convert it: ffmpeg -i FILE FILE.wav"
    for at, mark, name in _FOREIGN:
        if head[at:].startswith(mark):
            return name, convert
    return "", f"copy it again from where it came from, or {convert}"


def _samples(path: Path, file: Any, first: int, last: int) -> np.ndarray:
    """[channel, frame] float32 of the frames from `first` to `last`; not finite becomes NaN."""
    at = 0
    if first and file.format != "MP3":
        at = file.seek(first)
    blocks: list[np.ndarray] = []
    held = 0
    while at < last:
        block = file.read(min(_BLOCK, last - at), dtype="float32", always_2d=True)
        if not len(block):
            raise _truncated(path, f"{at} frames", f"{last} frames")
        kept = block[max(0, first - at) :]
        at += len(block)
        if held + kept.size > _MOST_SAMPLES:
            raise InputError(
                "too long to be read at once", source=path, got=f"{file.frames} frames of {file.channels} channels",
                expected=f"at most {_MOST_SAMPLES} samples", fix="give stretches by start_s and stop_s in a manifest",
            )  # fmt: skip
        held += kept.size
        blocks.append(kept)
    x = np.ascontiguousarray(np.concatenate(blocks).T)
    x[~np.isfinite(x)] = np.nan
    return x


def _refuse_truncated(path: Path, log: str) -> None:
    """Raise where libsndfile's log, or the last page of an Ogg file, says that the file ends early."""
    for line in log.splitlines():
        # "data : 128000 (should be 63978)"
        claim = re.match(r"\s*(data|SSND)\s*:\s*(\d+) \(should be (\d+)\)", line)
        if claim and int(claim[2]) not in _UNKNOWN_LENGTHS and int(claim[2]) > int(claim[3]):
            raise _truncated(path, f"{claim[3]} bytes of samples", f"{claim[2]} bytes")
        if "ended unexpectedly" in line or ("Chunk size" in line and "> file length" in line):
            raise _truncated(path, " ".join(line.strip(" *").split()), "a whole file")
    with path.open("rb") as file:
        if file.read(4) == _PAGE:
            file.seek(max(0, path.stat().st_size - _LONGEST_PAGE))
            if not _ends_a_stream(file.read()):
                raise _truncated(path, "a last page that does not end its stream", "a whole file")


def _ends_a_stream(tail: bytes) -> bool:
    """Whether the last Ogg page is whole and flagged as the end of its stream (RFC 3533, section 6).

    libsndfile does not look at it: half a file is a shorter sound to it.
    """
    start = tail.rfind(_PAGE)
    while start >= 0:
        header = tail[start : start + 27]
        if len(header) == 27 and header[4] == 0 and header[5] < 8:
            lengths = tail[start + 27 : start + 27 + header[26]]
            whole = len(lengths) == header[26] and start + 27 + len(lengths) + sum(lengths) <= len(tail)
            return whole and bool(header[5] & _LAST)
        if len(header) < 27:
            return False  # cut inside its header
        start = tail.rfind(_PAGE, 0, start)  # these four letters were sound
    return False


def _truncated(path: Path, got: str, expected: str) -> CorruptFileError:
    return CorruptFileError(
        "the file ends early", source=path, got=got, expected=expected, fix="copy it again from where it came from"
    )
