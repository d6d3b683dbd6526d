"""Folders that are built once and shared by every run and process: all or nothing, whatever is killed when.

Design decisions
- A folder is built beside its target, fsynced and renamed, so a half-built one is never seen under its name.
- A lock file makes the second process wait instead of building the same windows again. It only saves work: without
  a working lock (some network disks) the rename still lets exactly one build win.
- A damaged folder is rebuilt with a warning, never an error: everything in it can be made again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from ..errors import InputError
from .arrays import DamagedError

Opened = TypeVar("Opened")
_STALE_S = 2 * 24 * 3600


def cache_folder(cache: str | Path | None = None) -> Path:
    """The cache's root: the argument, else $OMNIPATCH_CACHE, else ~/.cache/omnipatch."""
    return Path(cache or os.environ.get("OMNIPATCH_CACHE") or "~/.cache/omnipatch").expanduser()


def obtain(target: Path, build: Callable[[Path], None], open_: Callable[[Path], Opened]) -> Opened:
    """Open `target`, building it first when it is absent or damaged.

    build: fills an empty folder; what it raises is passed on and leaves nothing behind.
    open_: raises DamagedError for a folder that must be rebuilt.
    """
    opened = _try(target, open_)
    if opened is not None:
        return opened
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            opened = _try(target, open_)  # another process may have built it meanwhile
            if opened is not None:
                return opened
            _remove(target)
            _publish(target, build)
    except OSError as error:
        raise InputError(
            "the window cache cannot be written", source=target.parent, field="data.cache", got=error.strerror or error,
            fix="give a folder with space and write access by --data.cache DIR or OMNIPATCH_CACHE",
        ) from error  # fmt: skip
    return open_(target)


def _try(target: Path, open_: Callable[[Path], Opened]) -> Opened | None:
    if not target.exists():
        return None
    try:
        return open_(target)
    except DamagedError as error:
        if target.exists():  # otherwise another process is replacing it
            warnings.warn(f"{target}: damaged window cache ({error}); it is rebuilt", RuntimeWarning, stacklevel=3)
        return None


def _publish(target: Path, build: Callable[[Path], None]) -> None:
    _sweep(target)
    temporary = _beside(target)
    temporary.mkdir()
    try:
        build(temporary)
        _sync_folder(temporary)
        try:
            os.rename(temporary, target)
        except OSError:
            if not target.exists():
                raise
            # someone without our lock was faster; both built the same
        _sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove(target: Path) -> None:
    """Move away, then delete: a reader never meets a folder that is half deleted under its name."""
    if target.exists():
        trash = _beside(target)
        os.rename(target, trash)
        shutil.rmtree(trash, ignore_errors=True)


def _beside(target: Path) -> Path:
    return target.parent / f".{target.name}-{os.getpid()}-{secrets.token_hex(4)}"


def _sweep(target: Path) -> None:
    """Delete what killed builds of this target left behind, once no living one can be that old."""
    for left in target.parent.glob(f".{target.name}-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_S:
                shutil.rmtree(left, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system lets a folder be fsynced
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
