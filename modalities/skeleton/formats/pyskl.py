"""Annotation pickles of pyskl (Duan et al., ACM MM 2022) and MMAction2: many clips and their splits in a file.

- {"split": {name: [clip, ...]}, "annotations": [...]}, or the list of annotations alone. An annotation holds
  `frame_dir` (the clip's name), `label`, `total_frames`, `keypoint` [person, frame, joint, 2 or 3], and for image
  poses `keypoint_score` [person, frame, joint] and `img_shape` (height, width).
- It is read through `safe_pickle`: a pickle with code in it is refused, never executed.
- The layout follows from the shape of the keypoints, the frame rate is not in the file.
- A position that is exactly zero was filled in for a joint or a person who was not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ....core.errors import CorruptFileError, InputError, nearest
from ....core.recording import Recording
from ..clip import make_clip, zeros_are_lost
from ..layout import find_layout
from .options import ReadOptions
from .safe_pickle import load_pickle

SFREQ_HZ = 30.0  # of the videos and sensors behind the data sets that pyskl distributes
# (joints, axes)
_LAYOUTS: dict[tuple[int, ...], str] = {
    (17, 2): "coco-17", (18, 2): "openpose-18", (25, 2): "openpose-25", (25, 3): "ntu-25",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class AnnotationSet:
    """What a pickle holds.

    clips: {name: annotation as in the file}.
    splits: {name of a split: names of its clips}, empty where the file has none.
    """

    clips: Mapping[str, Mapping[str, Any]]
    splits: Mapping[str, tuple[str, ...]]

    def label(self, clip: str) -> str:
        """The class of a clip as text, "" where it has none."""
        return _text(self.clips[clip].get("label"))


def read(path: Path, options: ReadOptions) -> Recording:
    """The clip `options.record`, or the only one. Raises InputError that lists clips when it is not clear which."""
    found = read_annotations(path)
    record = options.record or (next(iter(found.clips)) if len(found.clips) == 1 else "")
    if record not in found.clips:
        raise InputError(
            "no such clip" if record else "the file holds several clips", source=path, field="record",
            got=record or len(found.clips), expected=f"one of {', '.join(list(found.clips)[:3])}, ...",
            fix=nearest(record, list(found.clips)[:10_000]) if record and len(found.clips) > 3
            else "name one, or read the file as a data set (data.name)",
        )  # fmt: skip
    return _clip(found, record, path, options)


def read_annotations(path: Path) -> AnnotationSet:
    """All clips of a pickle and its splits. The last file stays in memory: clips are read one by one.

    Raises InputError for a pickle with code in it, and CorruptFileError for one that is broken or of another form.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise CorruptFileError("cannot be read", source=path, got=error.strerror) from error
    return _annotations(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1)
def _annotations(path: Path, _changed_ns: int, _size: int) -> AnnotationSet:
    content = load_pickle(path)
    rows = content.get("annotations") if isinstance(content, dict) else content
    splits = content.get("split", {}) if isinstance(content, dict) else {}
    if not isinstance(rows, list | tuple) or not rows or not all(isinstance(row, dict) for row in rows):
        raise CorruptFileError(
            "no annotations", source=path, field="annotations", got=type(rows).__name__, expected="a list of dicts"
        )
    clips: dict[str, Mapping[str, Any]] = {}
    for number, row in enumerate(rows):
        name = _text(row.get("frame_dir", row.get("filename"))) or str(number)
        if name in clips:
            raise CorruptFileError("one clip stands twice", source=path, field="frame_dir", got=name)
        clips[name] = row
    if not isinstance(splits, dict) or not all(isinstance(names, list | tuple | set) for names in splits.values()):
        raise CorruptFileError("wrong form", source=path, field="split", expected="a list of clips for each split")
    return AnnotationSet(clips, {_text(split): tuple(map(_text, names)) for split, names in splits.items()})


def _clip(found: AnnotationSet, record: str, path: Path, options: ReadOptions) -> Recording:
    annotation, source = found.clips[record], f"{path}: {record}"
    keypoint = _array(annotation, "keypoint", source, 4)
    frames = annotation.get("total_frames", keypoint.shape[1])
    if not isinstance(frames, int | np.integer) or frames != keypoint.shape[1]:
        raise CorruptFileError(
            "ragged frames", source=source, field="total_frames", got=_text(frames) or type(frames).__name__,
            expected=f"{keypoint.shape[1]} as in keypoint",
        )  # fmt: skip
    confidence = None
    if annotation.get("keypoint_score") is not None:
        confidence = _array(annotation, "keypoint_score", source, 3)
    layout = find_layout(options.layout or _layout_of(keypoint.shape, source))
    return make_clip(
        zeros_are_lost(keypoint), layout, options.sfreq_hz or SFREQ_HZ, record, confidence=confidence,
        least_confidence=options.least_confidence, label=(found.label(record),) if found.label(record) else (),
        extras=_image_size(annotation), source=source,
    )  # fmt: skip


def _array(annotation: Mapping[str, Any], field: str, source: str, axes: int) -> np.ndarray:
    array = annotation.get(field)
    if not isinstance(array, np.ndarray) or array.ndim != axes or array.dtype.kind not in "iuf":
        got = f"{array.dtype} of {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise CorruptFileError(
            "not an array of numbers", source=source, field=field, got=got,
            expected="[person, frame, joint" + (", 2 or 3]" if axes == 4 else "]"),
        )  # fmt: skip
    return array


def _layout_of(shape: tuple[int, ...], source: str) -> str:
    name = _LAYOUTS.get(shape[2:])
    if name is None:
        raise InputError(
            "the file does not say what its joints are", source=source, field="keypoint", got=f"{shape[2]} joints of "
            f"{shape[3]} coordinates", fix="name their layout by --modality.layout",
        )  # fmt: skip
    return name


def _image_size(annotation: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """{"image_size": (height, width)} in pixels where the annotation says so."""
    shape = annotation.get("img_shape")
    if isinstance(shape, tuple | list) and len(shape) == 2 and all(isinstance(size, int) for size in shape):
        return {"image_size": (int(shape[0]), int(shape[1]))}
    return {}


def _text(value: Any) -> str:
    """Names and labels as text; "" for what is neither (contents of a file that could be of any size)."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer) and -(1 << 63) <= value < 1 << 64:
        return str(int(value))
    return ""
