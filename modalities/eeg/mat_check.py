"""Whether a MATLAB 5 file (EEGLAB's `.set`) holds what its tags say, before scipy is asked to read it.

scipy takes the type of a data element as an index without looking: a damaged byte ends the whole process, not only the
reading of the file. So every tag is walked first, in compressed elements too. Format: MathWorks, "MAT-File Format".
MATLAB 7.3 files are HDF5, which checks itself.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from ...core.errors import CorruptFileError

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_TYPES = frozenset((1, 2, 3, 4, 5, 6, 7, 9, 12, 13, _MATRIX, 16, 17, 18))
_DEEPEST = 64


def check_mat5(path: Path) -> None:
    """Raises CorruptFileError for a MATLAB 5 file with a tag that cannot be; other files are left to their readers."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        order = {b"IM": "<", b"MI": ">"}.get(header[126:128])
        version = struct.unpack(f"{order}H", header[124:126])[0] >> 8 if order else 0
        if version != 1:
            return
        while tag := file.read(8):
            kind, size = _tag(path, tag, order or "<")
            if size > path.stat().st_size - file.tell():  # asked before so much is allocated
                raise _damaged(path, "an element is longer than the file")
            content = file.read(size)
            if kind == _COMPRESSED:
                content = _inflated(path, content)
                kind, size = _tag(path, content[:8], order or "<")
                content = content[8 : 8 + size]
                if len(content) < size:
                    raise _damaged(path, "an element is longer than what was compressed")
            if kind != _MATRIX:
                raise _damaged(path, f"type {kind} where an array begins")
            _walk(path, memoryview(content), order or "<", 0)


def _walk(path: Path, content: memoryview, order: str, depth: int) -> None:
    """Tags of all elements inside an array, which may hold arrays."""
    if depth > _DEEPEST:
        raise _damaged(path, "arrays are nested too deeply")
    at = 0
    while at + 8 <= len(content):
        first = struct.unpack_from(f"{order}I", content, at)[0]
        if first >> 16:  # up to four bytes are kept in the tag itself
            kind, size, begin, step = first & 0xFFFF, first >> 16, at + 4, 8
            if size > 4:
                raise _damaged(path, f"{size} bytes in a tag")
        else:
            kind, size = _tag(path, bytes(content[at : at + 8]), order)
            begin, step = at + 8, 8 + size + -size % 8
        if kind not in _TYPES:
            raise _damaged(path, f"unknown type {kind}")
        if begin + size > len(content):
            raise _damaged(path, "an element is longer than its array")
        if kind == _MATRIX:
            _walk(path, content[begin : begin + size], order, depth + 1)
        at += step


def _tag(path: Path, tag: bytes, order: str) -> tuple[int, int]:
    if len(tag) < 8:
        raise _damaged(path, "a tag is cut")
    kind, size = struct.unpack(f"{order}II", tag)
    return kind, size


def _inflated(path: Path, content: bytes) -> bytes:
    try:
        return zlib.decompress(content)
    except zlib.error as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, what: str) -> CorruptFileError:
    return CorruptFileError("cannot be read as a MATLAB file", source=path, got=what, fix="restore or exclude the file")
