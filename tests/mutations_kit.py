"""Damage for files of any format, and the time and memory that reading a damaged one may take."""

from __future__ import annotations

import resource
import signal
from contextlib import contextmanager
from pathlib import Path

# numbers that headers should not hold
HUGE = ("0", "-1", "1", "7", "65536", "4294967296", "1000000000000", "9" * 40, "1e308", "nan", "inf", "", "0x10")


def truncate(rng, raw):
    """The file ends early."""
    return raw[: rng.integers(0, len(raw) + 1)]


def change_lines(rng, raw):
    """A line lost or doubled."""
    lines = raw.splitlines(keepends=True)
    at = int(rng.integers(0, len(lines)))
    return b"".join(lines[:at] + lines[at + 1 :] if rng.random() < 0.5 else [*lines, lines[at]])


def insert_foreign(rng, raw):
    """Bytes that are not UTF-8, or another file's, in the middle."""
    at = int(rng.integers(0, len(raw)))
    return raw[:at] + [b"\xff\xfe\x80", b"\0" * 40, "\u00b5\u4e2d".encode(), b"\r\n\r\n"][rng.integers(0, 4)] + raw[at:]


@contextmanager
def time_limit(seconds: int):
    """A hang is a failure."""

    def stop(*_):
        raise TimeoutError(f"still reading after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def memory_limit(extra_bytes: int):
    """What is allocated beyond the present address space fails, as on a machine without overcommitment."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + extra_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
