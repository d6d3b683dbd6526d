"""What the readers of data sets share: finding recordings, one sentence for a wrong layout."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ....core.errors import InputError


def find_recordings(root: Path, name: str, patterns: Iterable[str], expected: str) -> list[Path]:
    """Files below `root` that match any of the patterns, in order. Raises InputError when there is none."""
    found = sorted({path for pattern in patterns for path in root.glob(pattern)})
    if not found:
        raise wrong_layout(root, name, "none of these files", expected)
    return found


def wrong_layout(root: Path, name: str, got: str, expected: str) -> InputError:
    """The error for a folder that does not hold what a data set's reader needs."""
    if not root.is_dir():
        return InputError(
            f"no folder for data set {name}", source=root, fix="give --data.root, or set OMNIPATCH_DATA to its parent"
        )
    return InputError(f"wrong layout for data set {name}", source=root, got=got, expected=expected)
