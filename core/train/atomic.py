"""Files that are either the old one or the new one, never a torn one.

Data goes to a temporary file in the *target's own folder*, is fsynced, renamed over the target, and the folder is
fsynced. A temporary file elsewhere is not enough: on another file system the move is a copy, which a kill can tear.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import OmnipatchError

_SUFFIX = ".part"


class SaveError(OmnipatchError):
    """A file could not be written; what stood there before is untouched."""


@contextmanager
def replacing(path: Path | str) -> Iterator[BinaryIO]:
    """A binary file to write into; on a clean exit it becomes `path` in one step, on an error it is removed.

    Raises SaveError when the disk is full, read-only or refuses permission.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.{os.getpid()}{_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        sync_folder(path.parent)
    except BaseException as error:
        _discard(part)
        cause = _disk_error(error)
        if cause is not None:
            raise SaveError(
                f"{path}: cannot be written ({cause.strerror or cause}); what was saved before is intact; free "
                "space, check permissions or choose another --out"
            ) from error
        raise


@contextmanager
def replacing_folder(folder: Path | str) -> Iterator[Path]:
    """A fresh folder to fill; on a clean exit it takes the place of `folder`, on an error it is removed."""
    folder = Path(folder)
    part = folder.with_name(f"{folder.name}.{os.getpid()}{_SUFFIX}")
    old = folder.with_name(f"{folder.name}.{os.getpid()}.old{_SUFFIX}")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        for file in filter(Path.is_file, part.rglob("*")):
            with open(file, "rb") as opened:
                os.fsync(opened.fileno())
        sync_folder(part)
        # a folder cannot be renamed over a filled one: the old one steps aside first
        if folder.exists():
            os.replace(folder, old)
        os.replace(part, folder)
        sync_folder(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        cause = _disk_error(error)
        if cause is not None:
            raise SaveError(f"{folder}: cannot be written ({cause.strerror or cause})") from error
        raise


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_sha256(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep(folder: Path) -> None:
    """Remove temporary files that a killed process left in a folder; call only while holding its lock."""
    for part in folder.glob(f"*{_SUFFIX}"):
        shutil.rmtree(part, ignore_errors=True) if part.is_dir() else _discard(part)


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):  # on a read-only file system there is nothing to remove
        path.unlink(missing_ok=True)


def _disk_error(error: BaseException) -> OSError | None:
    """The operating system's error behind `error`; torch's writer hides it behind a RuntimeError."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
