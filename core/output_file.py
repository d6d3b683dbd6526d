"""The file that a verb writes with `--out`: refused before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .errors import InputError


def output_file(
    name: str, *, overwrite: bool, what: str = "", forms: Sequence[str] = (), inputs: Sequence[str] = ()
) -> Path:
    """The path of a file to be written.

    what: what it will hold, in the plural. forms: endings that can be written, () = any. inputs: files that are read.
    Raises InputError for another ending, a folder, one of the inputs, and a file that exists (without `overwrite`).
    """
    target = Path(name)
    if forms and target.suffix not in forms:
        raise InputError(
            f"{what} are not written in this form", field="--out", got=target.name, expected=" | ".join(forms)
        )
    if target.is_dir():
        raise InputError("this is a folder", source=target, expected="a file", fix="name a file in it")
    if any(target.exists() and Path(name).exists() and target.samefile(name) for name in inputs):
        raise InputError("this file is read, and would be written over", source=target, fix="choose another --out")
    if target.exists() and not overwrite:
        raise InputError("the file exists", source=target, fix="choose another --out or add --overwrite")
    return target
