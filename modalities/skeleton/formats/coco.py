"""Keypoints in the form of COCO (Lin et al., ECCV 2014): annotation files, and lists of a detector's results.

- Images are the frames, in the order of `frame_id`, else of their file names, else of their ids.
- `keypoints` is x, y and v a joint. In annotations v is 0 not labelled, 1 hidden, 2 visible, which become confidences
  of 0, 0.5 and 1; in results it is a confidence already.
- Categories may name their keypoints. Other joints than COCO's own are read by name, never taken for those of COCO.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ....core.errors import CorruptFileError
from ..layout import SkeletonLayout, find_layout
from ..vocabulary import known_joint
from .json_file import pose
from .own_layout import layout_of_names

_VISIBLE = np.array([0.0, 0.5, 1.0])
_COCO = "coco-17"


def is_coco(content: Any) -> bool:
    """Whether the content of a JSON file is an annotation file or a list of results."""
    if isinstance(content, Mapping):
        return "annotations" in content
    return isinstance(content, list) and bool(content) and isinstance(content[0], Mapping) and "keypoints" in content[0]


def coco_frames(content: Any, source: str) -> tuple[list[list[np.ndarray]], list[list[Any]] | None]:
    """Poses [joint, (x, y, confidence)] of each frame, and the persons' names where every pose has one (`track_id`)."""
    head = content if isinstance(content, Mapping) else {}
    rows = head.get("annotations", content)
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise CorruptFileError("wrong form", source=source, field="annotations", expected="a list of annotations")
    rows = [row for row in rows if row.get("keypoints")]
    if not rows:
        raise CorruptFileError("no keypoints", source=source, field="annotations")
    place = _places_of_images(head.get("images"), rows, source)
    frames: list[list[np.ndarray]] = [[] for _ in range(1 + max(place.values()))]
    names: list[list[Any]] = [[] for _ in frames]
    for number, row in enumerate(rows):
        at = place[_key(row.get("image_id"))]
        frames[at].append(pose(row["keypoints"], 3, source, f"keypoints of annotation {number + 1}"))
        names[at].append(_key(row.get("track_id")) if row.get("track_id") is not None else None)
    flags = np.concatenate([found[:, 2] for poses in frames for found in poses])
    if np.isin(flags, (0, 1, 2)).all():
        for poses in frames:
            for found in poses:
                found[:, 2] = _VISIBLE[found[:, 2].astype(int)]
    tracked = all(None not in found and len(set(found)) == len(found) for found in names)
    return frames, names if tracked else None


def coco_layout(content: Any, source: Path) -> SkeletonLayout:
    """COCO's own, or that of the names in the only category that has keypoints."""
    categories = content.get("categories") if isinstance(content, Mapping) else None
    rows = [row for row in categories if isinstance(row, Mapping)] if isinstance(categories, list) else []
    listed = [row.get("keypoints") for row in rows]
    named = [names for names in listed if isinstance(names, list) and all(isinstance(name, str) for name in names)]
    coco = find_layout(_COCO)
    if len(named) != 1 or tuple(map(known_joint, named[0])) == coco.meaning:
        return coco
    return layout_of_names(named[0], source, up=coco.up, unit=coco.unit)


def _places_of_images(images: Any, rows: list[Mapping[str, Any]], source: str) -> dict[Any, int]:
    """{image id: frame}, in order."""
    known = images if isinstance(images, list) and all(isinstance(image, Mapping) for image in images) else []
    order: dict[Any, tuple] = {_key(row.get("image_id")): () for row in rows}
    for image in known:
        if "id" in image:
            order[_key(image["id"])] = (_key(image.get("frame_id")), _key(image.get("file_name")))
    if any(_key(row.get("image_id")) == _key(None) for row in rows):
        raise CorruptFileError("an annotation belongs to no image", source=source, field="image_id")
    return {key: at for at, key in enumerate(sorted(order, key=lambda key: (order[key], key)))}


def _key(value: Any) -> tuple[int, float, str]:
    """Numbers in their order, then text in its; other things are nothing."""
    if isinstance(value, int | float) and -1e15 < value < 1e15:
        return 1, value, ""
    return (2, 0.0, value) if isinstance(value, str) else (0, 0.0, "")
