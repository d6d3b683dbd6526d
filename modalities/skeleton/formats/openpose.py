"""JSON of pose detectors: OpenPose (Cao et al., TPAMI 2021), a file a frame or all frames in one, and COCO keypoints.

- OpenPose writes {"people": [{"pose_keypoints_2d": [x, y, confidence, ...]}]} into `NAME_000000000012_keypoints.json`;
  a folder of them is a clip, frames without a file are frames in which nobody was seen. A list of such frames in one
  file is read alike. `pose_keypoints_3d` comes before the image pose and is taken for metres.
- A detector looks at every frame for itself; persons are followed from frame to frame (`persons`), unless the file
  numbers them.
- There is no frame rate in these files, so it has to be given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ....core.errors import CorruptFileError, InputError, nearest
from ....core.recording import Recording
from ..clip import make_clip, with_unit
from ..layout import SkeletonLayout, find_layout, layouts_of
from .coco import coco_frames, coco_layout, is_coco
from .json_file import load_json, pose
from .options import ReadOptions
from .persons import follow, gather

_FRAME_FILE = re.compile(r"(?P<clip>.*?)[_-]?(?P<number>\d+)(?:_keypoints)?")
_BY_COUNT = {17: "coco-17", 18: "openpose-18", 25: "openpose-25"}
_MOST_PEOPLE = 100  # in a frame
_MOST_FRAMES = 200_000
# values of a joint under each key, better first
_KEYS = {"pose_keypoints_3d": 4, "pose_keypoints_2d": 3}


def read(path: Path, options: ReadOptions) -> Recording:
    """A clip of a folder of frames or of one file.

    Raises InputError where the frame rate or the layout has to be given, or a folder holds several clips
    (`options.record` chooses), and CorruptFileError for another form.
    """
    if options.sfreq_hz is None:
        raise InputError(
            "the file holds no frame rate", source=path, fix="give that of its video by --modality.file_sfreq_hz"
        )
    record, layout = path.stem, None
    if path.is_dir():
        record, contents = _folder(path, options.record)
        frames, names = _frames(contents, str(path))
    else:
        content = load_json(path)
        if is_coco(content):
            frames, names = coco_frames(content, str(path))
            layout = coco_layout(content, path)
        else:
            frames, names = _frames(content if isinstance(content, list) else [content], str(path))
    poses = _stacked(frames, str(path))
    persons = gather(poses, names) if names else follow(poses, options.sfreq_hz)
    if options.layout or layout is None:
        layout = _layout(options.layout, persons, path)
    return make_clip(
        persons[..., :-1], layout, options.sfreq_hz, record, confidence=persons[..., -1],
        least_confidence=options.least_confidence, source=path,
    )  # fmt: skip


def _folder(folder: Path, record: str) -> tuple[str, list[Any]]:
    """Name of the clip and the content of its frames; None where a frame has no file."""
    clips: dict[str, dict[int, Path]] = {}
    for path in sorted(folder.glob("*.json")):
        found = _FRAME_FILE.fullmatch(path.stem)
        if found:
            clips.setdefault(found["clip"], {})[int(found["number"])] = path
    if not clips:
        raise InputError("no frames in the folder", source=folder, expected="NAME_000000000012_keypoints.json, ...")
    one = next(iter(clips))
    name = record or (one if len(clips) == 1 else "")
    if name not in clips:
        raise InputError(
            "no such clip" if record else "the folder holds several clips", source=folder, field="record",
            got=record or len(clips), fix=nearest(record, clips) if record else f"name one, such as {one}",
        )  # fmt: skip
    files = clips[name]
    first, last = min(files), max(files)
    if last - first >= min(_MOST_FRAMES, 100 + 10 * len(files)):
        raise CorruptFileError(
            "most frames are missing", source=folder, got=f"{len(files)} files", expected=f"frames {first} to {last}"
        )
    contents = [load_json(files[number]) if number in files else None for number in range(first, last + 1)]
    return name or folder.name, contents


def _frames(contents: Iterable[Any], source: str) -> tuple[list[list[np.ndarray]], list[list[Any]] | None]:
    """Poses [joint, value] of each frame, and the persons' numbers where every pose has one."""
    frames, names = [], []
    for number, content in enumerate(contents):
        where = f"{source}: frame {number}"
        people = [] if content is None else content.get("people") if isinstance(content, Mapping) else None
        if not isinstance(people, list) or not all(isinstance(person, Mapping) for person in people):
            raise CorruptFileError("not a frame of OpenPose", source=where, field="people", expected="a list of people")
        if len(people) > _MOST_PEOPLE:
            raise CorruptFileError("too many people", source=where, got=len(people), expected=f"at most {_MOST_PEOPLE}")
        seen = [person for person in people if any(person.get(key) for key in _KEYS)]
        frames.append([_pose(person, where) for person in seen])
        names.append([_number(person.get("person_id")) for person in seen])
    numbered = all(None not in found and len(set(found)) == len(found) for found in names)
    return frames, names if numbered else None


def _pose(person: Mapping[str, Any], source: str) -> np.ndarray:
    key = next(key for key in _KEYS if person.get(key))
    return pose(person[key], _KEYS[key], source, key)


def _number(value: Any) -> int | None:
    """A person's number; OpenPose writes [-1] where it does not follow people."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, int) and value >= 0 else None


def _stacked(frames: list[list[np.ndarray]], source: str) -> list[np.ndarray]:
    """[pose, joint, value] of each frame, lost joints NaN. Raises CorruptFileError where poses differ in their form."""
    shapes = {found.shape for poses in frames for found in poses}
    if len(shapes) != 1:
        raise CorruptFileError(
            "poses of different numbers of joints" if shapes else "nobody is seen in it", source=source,
            got=sorted(shapes) or None,
        )  # fmt: skip
    (shape,) = shapes
    stacked = [np.array(poses).reshape(-1, *shape) for poses in frames]
    for poses in stacked:
        poses[~np.isfinite(poses).all(axis=-1) | (poses == 0).all(axis=-1)] = np.nan
    return stacked


def _layout(name: str, persons: np.ndarray, path: Path) -> SkeletonLayout:
    if name:
        return find_layout(name)
    joints = persons.shape[2]
    if joints not in _BY_COUNT:
        known = ", ".join(layouts_of(joints)) or "one of your own (YAML)"
        raise InputError(
            "the file does not say what its joints are", source=path, got=f"{joints} joints",
            fix=f"name their layout by --modality.layout: {known}",
        )  # fmt: skip
    layout = find_layout(_BY_COUNT[joints])
    return layout if persons.shape[-1] == 3 else with_unit(layout, "m")
