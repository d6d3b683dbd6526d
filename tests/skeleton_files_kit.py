"""Small files of poses in the formats that others write, for tests of readers."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
from omnipatch.modalities.skeleton.layout import find_layout


def walker(layout: str, frames: int = 12, persons: int = 1, axes: int = 3, seed: int = 0) -> np.ndarray:
    """[person, frame, joint, axis] of people who stand in the places of a layout, 1.5 m apart, and sway a little.

    Metres, y up, in front of a sensor that they face; for two axes pixels with y down.
    """
    rng = np.random.default_rng(seed)
    places = np.array(find_layout(layout).places)
    time = np.arange(frames)[:, None, None]
    facing = places * [-1, 1, -1] + [-0.5, 0.1, 3.0]
    x = np.stack([
        facing + [1.5 * person, 0, 0] + 0.05 * np.sin(0.4 * time + rng.uniform(0, 6)) for person in range(persons)
    ])  # fmt: skip
    if axes == 2:
        return np.stack([320 + 200 * x[..., 0], 240 - 200 * x[..., 1]], axis=-1)
    return x


def write_ntu(path: Path, x: np.ndarray, state: np.ndarray | None = None, absent=()) -> None:
    """A `.skeleton` file; state [person, frame, joint] 0 to 2; absent: pairs (person, frame)."""
    state = np.full(x.shape[:3], 2) if state is None else state
    lines = [str(x.shape[1])]
    for frame in range(x.shape[1]):
        there = [person for person in range(len(x)) if (person, frame) not in absent]
        lines.append(str(len(there)))
        for person in there:
            lines += [f"7205759403793110{person} 0 1 1 1 1 0 0.02764709 0.05745083 2", str(x.shape[2])]
            for joint in range(x.shape[2]):
                place = " ".join(f"{value:.7g}" for value in x[person, frame, joint])
                rest = "277.419 191.8218 1036.233 519.1677 -0.2059419 0.05349901 0.9692109 -0.1239193"
                lines.append(f"{place} {rest} {state[person, frame, joint]}")
    path.write_text("\n".join(lines) + "\n")


def annotation(x: np.ndarray, name: str, label: int, score: np.ndarray | None = None) -> dict:
    """One of pyskl, in its own types."""
    found = {
        "frame_dir": name, "label": label, "total_frames": x.shape[1], "keypoint": x.astype(np.float16),
        "img_shape": (480, 640), "original_shape": (480, 640),
    }  # fmt: skip
    return found if score is None else found | {"keypoint_score": score.astype(np.float16)}


def write_pyskl(path: Path, annotations: list[dict], splits: dict | None = None, protocol: int = 4) -> None:
    content = annotations if splits is None else {"split": splits, "annotations": annotations}
    path.write_bytes(pickle.dumps(content, protocol=protocol))


def openpose_frame(poses: np.ndarray, confidence: float = 0.9) -> dict:
    """Of poses [person, joint, 2 or 3]."""
    kind = f"pose_keypoints_{poses.shape[-1]}d"
    scored = np.concatenate([poses, np.full((*poses.shape[:-1], 1), confidence)], axis=-1)
    return {"version": 1.3, "people": [{"person_id": [-1], kind: pose.ravel().round(4).tolist()} for pose in scored]}


def write_openpose(folder: Path, x: np.ndarray, name: str = "video", skip=()) -> None:
    """A file a frame; persons change their order from frame to frame."""
    folder.mkdir(exist_ok=True)
    for frame in range(x.shape[1]):
        if frame not in skip:
            poses = x[:: -1 if frame % 2 else 1, frame]
            (folder / f"{name}_{frame:012d}_keypoints.json").write_text(json.dumps(openpose_frame(poses)))


def coco_file(x: np.ndarray, names: list[str] | None = None, visible: int = 2) -> dict:
    """An annotation file of poses [person, frame, joint, 2]; images stand in it in reverse order."""
    images = [{"id": 100 + frame, "file_name": f"{frame:05d}.jpg"} for frame in range(x.shape[1])]
    rows = [
        {"id": 1, "image_id": 100 + frame, "category_id": 1,
         "keypoints": [round(float(v), 3) for joint in x[person, frame] for v in (*joint, visible)]}
        for frame in range(x.shape[1]) for person in range(len(x))
    ]  # fmt: skip
    names = names or list(find_layout("coco-17").joints)
    return {
        "images": images[::-1],
        "annotations": rows,
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }
