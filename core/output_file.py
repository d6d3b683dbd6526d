"""The file that a verb writes with `--out`: refused before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .errors import InputError


def output_file(name: str, *, overwrite: bool, what: str = "", forms: Sequence[str] = ()) -> Path:
    """The path of a file to be written.

    what: what it will hold, in the plural. forms: endings that can be written, () = any. Raises InputError for another
    ending, and for a file that exists (without `overwrite`).
    """
    target = Path(name)
    if forms and target.suffix not in forms:
        raise InputError(
            f"{what} are not written in this form", field="--out", got=target.name, expected=" | ".join(forms)
        )
    if target.exists() and not overwrite:
        raise InputError("the file exists", source=target, fix="choose another --out or add --overwrite")
    return target
