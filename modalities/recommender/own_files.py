"""The user's own interactions: one file, or a folder with the parts of a split, filtered and split as options say.

In this order: repeated pairs are made one while reading, weak ratings are left out, then rare users and items (the
k-core), and what is left is split. Parts in a folder (`train`, `test` and perhaps `validation`, each in any form that
is read) are a split already: they lose weak ratings only, for a core would move the line between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import InputError
from ...core.modality import Dataset, Source
from .filters import at_least, k_core
from .interactions import Interactions
from .reading import read_together
from .splits import InteractionSplit, given_split, split_interactions, without_overlap

OWN = "interactions"  # name of such data
WHOLE = "none"  # kind of a split that holds nothing back
_PARTS = {"train": ("train",), "test": ("test",), "validation": ("validation", "valid", "val")}


@dataclass(frozen=True)
class OwnOptions:
    """The options of `RecommenderConfig` that own files are read by, see there."""

    layout: str = ""
    least_rating: float | None = None
    k_core: int = 0
    split: str = "random"
    test_share: float = 0.2
    validation_share: float = 0.1
    split_seed: int = 0
    drop_overlap: bool = False

    @classmethod
    def of(cls, config: Any) -> OwnOptions:
        """Those fields of a config."""
        return cls(**{field.name: getattr(config, field.name) for field in fields(cls)})


@dataclass(frozen=True, eq=False)
class OwnSplit:
    """split: of what is left. notes: sentences on what was left out."""

    split: InteractionSplit
    notes: tuple[str, ...] = ()


def read_own(path: Path, options: OwnOptions) -> OwnSplit:
    """Read, filter and split a file or a folder. Raises InputError or CorruptFileError.

    The last result is kept for who asks again: reading a large file is what takes long.
    """
    files = _parts_of(path) if path.is_dir() else {"train": path}
    try:
        when = tuple(file.stat().st_mtime_ns for file in files.values())
    except OSError as error:
        raise InputError("there is no such file", source=path, got=error.strerror) from None
    return _read(path, tuple(files.items()), when, options)


@lru_cache(maxsize=1)
def _read(path: Path, files: tuple[tuple[str, Path], ...], when: tuple[int, ...], options: OwnOptions) -> OwnSplit:
    parts = dict(zip(dict(files), read_together([file for _, file in files], options.layout), strict=True))
    try:
        return _filtered(path, parts, options)
    except InputError as error:
        if error.source is not None:
            raise
        raise InputError(
            error.what, source=path, field=error.field, got=error.got, expected=error.expected, fix=error.fix
        ) from None


def _filtered(path: Path, parts: dict[str, Interactions], options: OwnOptions) -> OwnSplit:
    before = sum(len(part) for part in parts.values())
    asked = options.least_rating
    if asked is not None and (options.split != WHOLE or parts["train"].rating is not None):
        parts = {name: at_least(part, asked) for name, part in parts.items()}
    split = _given(path, parts, options) if path.is_dir() else cut(parts["train"], options)
    left = sum(len(part) for part in (split.train, split.validation, split.test, split.shown) if part is not None)
    return OwnSplit(split, _told(before, left, options))


def cut(found: Interactions, options: OwnOptions) -> InteractionSplit:
    """The core of interactions, split as the options say."""
    if options.k_core:
        found = k_core(found, options.k_core, options.k_core)
    if options.split == WHOLE:
        nothing = found.keep(np.zeros(len(found), bool))
        return InteractionSplit(found, nothing, nothing, WHOLE)
    return split_interactions(found, options.split, options.test_share, options.validation_share, options.split_seed)


def _given(path: Path, parts: dict[str, Interactions], options: OwnOptions) -> InteractionSplit:
    for name, value in (("k_core", options.k_core), ("split", options.split == WHOLE)):
        if value:
            raise InputError(
                "parts of a split stay as they are", source=path, field=f"modality.{name}",
                got=getattr(options, name), fix="give one file instead of a folder",
            )  # fmt: skip
    train, later = parts["train"], [parts[name] for name in ("validation", "test") if name in parts]
    if options.drop_overlap:
        later = without_overlap(train, *later)
    validation = later[0] if "validation" in parts else None
    # which part tests is said by the files; what the validation part looks like where there is none, by `split`
    return given_split(train, later[-1], validation, options.split, options.validation_share, options.split_seed)


def own_dataset(tasks: tuple[str, ...]) -> Dataset:
    """The data set `--data.root` means: a table or user list of interactions, or a folder with parts of a split."""
    return Dataset(
        OWN, "recsys/interactions", _list, tasks, licence="your own",
        instructions="A CSV, parquet or user list of who took what: --data.root FILE. A folder with train, test and "
        "perhaps validation is a split. Side graphs lie beside them: social.csv (user,friend), knowledge.csv "
        "(head,relation,tail), read with --modality.sides.",
    )  # fmt: skip


def _list(root: Path) -> list[Source]:
    if root.is_dir():
        _parts_of(root)  # raises where it is no split
    return [Source(path=root, record=root.stem)]


def _parts_of(folder: Path) -> dict[str, Path]:
    """{part: its file}. Raises InputError where train or test is missing or a part is there twice."""
    found: dict[str, Path] = {}
    for part, names in _PARTS.items():
        own = sorted(file for file in folder.iterdir() if file.is_file() and file.name.split(".")[0] in names)
        if len(own) > 1:
            raise InputError(f"two files for the part {part}", source=folder, got=", ".join(f.name for f in own))
        found |= dict.fromkeys((part,) if own else (), *own)
    missing = [part for part in ("train", "test") if part not in found]
    if missing:
        raise InputError(
            f"a split needs a {missing[0]} part", source=folder, got=_few(sorted(f.name for f in folder.iterdir())),
            expected="train.csv, test.csv and perhaps validation.csv", fix="or give one file: --data.root FILE",
        )  # fmt: skip
    return found


def _told(before: int, left: int, options: OwnOptions) -> tuple[str, ...]:
    if left == before:
        return ()
    why = [f"rated {options.least_rating:g} or more"] if options.least_rating is not None else []
    why += [f"the {options.k_core}-core"] if options.k_core else []
    why += ["without repeated pairs of parts"] if options.drop_overlap else []
    return (f"{left} of {before} interactions are used: {', '.join(why)}.",)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) or "no file"
