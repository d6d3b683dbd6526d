"""Resume checkpoints that survive a kill, a full disk and bit rot.

- Written by `atomic.replacing`; a SHA-256 lies beside each (`sha256sum -c` reads it).
- The checksum is written first: a checkpoint without one, or with another, is damaged, and the one before it is used.
- There is no `last` link to go stale: the last checkpoint is found by scanning.
- Loading is always `weights_only=True`: a checkpoint can hold no code.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO

from ..errors import CorruptFileError
from .atomic import file_sha256, replacing

_NAME = re.compile(r"step-(\d+)\.ckpt")


class AtomicCheckpointIO(CheckpointIO):
    """Lightning's door to the disk, with the guarantees of this module."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint and its checksum. Raises SaveError when the disk does not take it."""
        path = Path(path)
        with replacing(path) as file:
            torch.save(checkpoint, file)
            file.flush()
            with replacing(_checksum_path(path)) as checksum:
                checksum.write(f"{file_sha256(file.name)}  {path.name}\n".encode())

    def load_checkpoint(
        self, path: str | Path, map_location: Callable | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint whose checksum holds. Raises CorruptFileError otherwise."""
        problem = damage(path)
        if problem:
            raise CorruptFileError("the checkpoint is damaged", source=path, got=problem)
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint and its checksum."""
        Path(path).unlink(missing_ok=True)
        _checksum_path(Path(path)).unlink(missing_ok=True)


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"step-{step:08d}.ckpt"


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """(step, path) of every checkpoint in a folder, oldest first, damaged ones included."""
    found = [(match, path) for path in folder.glob("step-*.ckpt") if (match := _NAME.fullmatch(path.name))]
    return sorted((int(match[1]), path) for match, path in found)


def last_checkpoint(folder: Path) -> tuple[int, Path] | None:
    """(step, path) of the newest undamaged checkpoint, warning about each damaged one; None without any at all.

    Raises CorruptFileError when there are checkpoints and all are damaged.
    """
    found = checkpoints(folder)
    problem = ""
    for step, path in reversed(found):
        problem = damage(path)
        if not problem:
            return step, path
        warnings.warn(f"{path}: damaged checkpoint ({problem}); falling back to the one before it", stacklevel=2)
    if found:
        raise CorruptFileError(
            "every checkpoint is damaged", source=folder, got=problem, fix="start again with --overwrite"
        )
    return None


def damage(path: str | Path) -> str:
    """What is wrong with a checkpoint file, "" = its checksum holds."""
    path = Path(path)
    try:
        words = _checksum_path(path).read_text().split()
        digest = file_sha256(path)
    except (OSError, UnicodeDecodeError) as error:
        return f"cannot be verified: {getattr(error, 'strerror', None) or error}"
    if not words or words[0] != digest:
        return f"SHA-256 {digest[:12]}…, its checksum file says {words[0][:12] + '…' if words else 'nothing'}"
    return ""


def prune(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints (at least one)."""
    for _, path in checkpoints(folder)[: -max(1, keep)]:
        AtomicCheckpointIO().remove_checkpoint(path)


def _checksum_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
