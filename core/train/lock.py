"""One run a folder: the second run that wants it stops with a sentence.

The lock is the kernel's: it ends with its process, also by `kill -9`, so there are no stale locks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import InputError
from .atomic import SaveError


@contextmanager
def folder_lock(folder: Path | str) -> Iterator[None]:
    """Hold a run folder, which is made if needed.

    Raises InputError when another process holds it and SaveError when it cannot be written.
    """
    folder = Path(folder)
    lock = FileLock(
        folder.resolve() / ".lock", is_singleton=True
    )  # the process that holds a folder may ask for it again
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        fix = "wait for the other run to end or choose another --out"
        raise InputError("the run folder is in use by another process", source=folder, fix=fix) from error
    except OSError as error:
        reason = error.strerror or error
        raise SaveError(f"{folder}: cannot be written ({reason}); choose another --out") from error
    try:
        yield
    finally:
        lock.release()
