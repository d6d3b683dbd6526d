"""How many processes share a run of the tests: none for what a person tries by hand, a few for the suite.

Every test keeps to one thread, so a process a core is what a machine can use. Beyond eight the last long test decides
when the suite ends, and each process holds torch and the libraries of the fields in memory once more (about 1.5 GB).
"""

from __future__ import annotations

import os
from pathlib import Path

MOST = 8
FEW_FILES = 3


def worker_count(named: list[str], cores: int, watched: bool = False) -> int:
    """Processes for `-n auto`; 0 runs the tests in the process of pytest itself, which starts seconds sooner.

    Args:
        named: what was asked for: folders, files, or single tests (`file.py::test`). cores: those this process may use.
        watched: somebody reads along (`-s`), which a worker's output does not allow.
    """
    files = {name.split("::")[0] for name in named}
    by_hand = len(files) <= FEW_FILES and all(Path(name).is_file() for name in files)
    return 0 if watched or by_hand or cores < 2 else min(cores, MOST)


def usable_cores() -> int:
    """Cores that this process may run on, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
