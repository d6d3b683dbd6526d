"""What the readers of data sets share: finding recordings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ....core.errors import wrong_layout


def find_recordings(root: Path, name: str, patterns: Iterable[str], expected: str) -> list[Path]:
    """Files below `root` that match any of the patterns, in order. Raises InputError when there is none."""
    found = sorted({path for pattern in patterns for path in root.glob(pattern)})
    if not found:
        raise wrong_layout(root, name, "none of these files", expected)
    return found
