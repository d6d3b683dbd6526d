"""Annotation pickles of pyskl and MMAction2 as data sets: all clips of one file, split by its own names.

- "pyskl" takes the file's first test (`xsub` where it has one, else `train` and `val`, or `train1` and `test1`),
  "pyskl-xview" and "pyskl-xset" those of that name.
- Classes are numbers in the file. Clips of NTU are known by their names: these tell person and action too.
- In other files nobody says who is seen, so they must be split by record on purpose: `--split.kind official
  --split.group record`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ....core.errors import CorruptFileError, InputError, wrong_layout
from ....core.modality import Dataset, Source, Task
from ..formats.pyskl import AnnotationSet, read_annotations
from .ntu import BY_SITE, NTU_ACTION, site_of
from .ntu_names import parse_name

PYSKL_CLASS = Task("pyskl-class", "record", tuple(map(str, range(400))))  # as many as Kinetics has
PYSKL = "pyskl"
_TRAIN, _TEST = ("train", "train1"), ("val", "test", "test1")


def list_pyskl(root: Path, test: str = "") -> list[Source]:
    """Clips of a pickle, or of the only one in a folder, that are on a side of a test; "" = the file's first one."""
    path = _pickle(root)
    found = read_annotations(path)
    side, chosen = _sides(path, found, test)
    sources = []
    for clip in found.clips:
        if clip not in side:
            continue
        name, number = parse_name(clip), found.label(clip)
        sources.append(
            Source(
                path, clip, name.subject if name else "", site_of(name, chosen) if name else "", split=side[clip],
                label=(*((number,) if number in PYSKL_CLASS.classes else ()), *((name.label,) if name else ())),
                extras={"data_set": PYSKL, "clip": clip},
            )
        )  # fmt: skip
    return sources


def _pickle(root: Path) -> Path:
    if root.is_file():
        return root
    found = sorted(path for pattern in ("*.pkl", "*.pickle") for path in root.glob(pattern))
    if not found:
        raise wrong_layout(root, PYSKL, "no pickle", "ntu60_3d.pkl or another one, or its path")
    if len(found) > 1:
        raise InputError(
            "several pickles", source=root, field="data.root", got=", ".join(path.name for path in found[:4]),
            fix="give the path of one as --data.root",
        )  # fmt: skip
    return found[0]


def _sides(path: Path, found: AnnotationSet, test: str) -> tuple[dict[str, str], str]:
    """{clip: side}, and the test. Raises InputError for a test that the file does not have."""
    if not found.splits:
        raise CorruptFileError("no split in the file", source=path, field="split", expected="xsub_train, xsub_val, ...")
    for prefix in (test,) if test else ("xsub", ""):
        joint = f"{prefix}_" if prefix else ""
        train = next((name for end in _TRAIN if (name := joint + end) in found.splits), None)
        held = next((name for end in _TEST if (name := joint + end) in found.splits), None)
        if train and held:
            side = dict.fromkeys(found.splits[train], "train")
            for clip in found.splits[held]:
                if clip in side:
                    raise CorruptFileError("a clip is on both sides", source=path, field=held, got=clip)
                side[clip] = "test"
            return side, prefix
    raise InputError(
        f"the file has no test {test!r}" if test else "the file's splits are no test", source=path, field="split",
        got=", ".join(sorted(found.splits)[:8]), expected=f"{test or 'xsub'}_train and {test or 'xsub'}_val",
    )  # fmt: skip


def _dataset(name: str, test: str) -> Dataset:
    return Dataset(
        name,
        "skeleton/pyskl",
        partial(list_pyskl, test=test),
        (PYSKL_CLASS.name, NTU_ACTION.name),
        licence="that of the videos",
        citation="Duan et al. 2022, doi:10.1145/3503161.3548546",
        instructions="Get a pickle of https://github.com/kennymckormick/pyskl/blob/main/tools/data/README.md and give "
        f"its path as --data.root.{BY_SITE if test else ''}",
    )


PYSKL_SET = _dataset(PYSKL, "")
PYSKL_XVIEW = _dataset(f"{PYSKL}-xview", "xview")
PYSKL_XSET = _dataset(f"{PYSKL}-xset", "xset")
