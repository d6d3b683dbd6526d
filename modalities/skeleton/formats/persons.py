"""Who is who over the frames of a detector that looks at each frame for itself.

A pose continues the person whose last pose is nearest, by the optimal assignment between all poses of a frame and all
persons seen within a second; distances are in body sizes, so near and far persons are followed alike.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

_FARTHEST = 0.5  # body sizes from frame to frame
_PATIENCE_S = 1.0
_MOST_PERSONS = 12


def follow(frames: Sequence[np.ndarray], sfreq_hz: float) -> np.ndarray:
    """[person, frame, joint, value] of poses [pose, joint, value] a frame; NaN while a person is away.

    The first two or more values are positions, lost ones NaN; the last is the confidence. Who is seen best comes first.
    """
    last: dict[int, tuple[int, np.ndarray]] = {}  # person: frame and pose when last seen
    names: list[list[int]] = []
    count = 0
    for frame, poses in enumerate(frames):
        last = {name: seen for name, seen in last.items() if frame - seen[0] <= _PATIENCE_S * sfreq_hz}
        known = list(last)
        found = [-1] * len(poses)
        if known and len(poses):
            cost = _distances(poses, np.array([last[name][1] for name in known]))
            for pose, person in zip(*linear_sum_assignment(np.minimum(cost, 2 * _FARTHEST)), strict=True):
                if cost[pose, person] <= _FARTHEST:
                    found[pose] = known[person]
        for pose in range(len(poses)):
            if found[pose] < 0:
                found[pose], count = count, count + 1
            last[found[pose]] = frame, poses[pose]
        names.append(found)
    return gather(frames, names)


def gather(frames: Sequence[np.ndarray], names: Sequence[Sequence[Hashable]]) -> np.ndarray:
    """[person, frame, joint, value] of poses [pose, joint, value] whose persons are known by name."""
    seen: dict[Hashable, float] = {}
    for poses, found in zip(frames, names, strict=True):
        for pose, name in zip(poses, found, strict=True):
            seen[name] = seen.get(name, 0.0) + float(np.nansum(pose[:, -1]))
    people = sorted(seen, key=lambda name: -seen[name])[:_MOST_PERSONS]
    joint, value = next((poses.shape[1:] for poses in frames if len(poses)), (0, 0))
    x = np.full((len(people), len(frames), joint, value), np.nan)
    place = {name: i for i, name in enumerate(people)}
    for frame, (poses, found) in enumerate(zip(frames, names, strict=True)):
        for pose, name in zip(poses, found, strict=True):
            if name in place:
                x[place[name], frame] = pose
    return x


def _distances(poses: np.ndarray, others: np.ndarray) -> np.ndarray:
    """[pose, other] median distance of the joints that both have, in body sizes; infinite where they have none."""
    apart = np.linalg.norm(poses[:, None, :, :-1] - others[None, :, :, :-1], axis=-1)
    shared = np.isfinite(apart).sum(axis=-1, keepdims=True)
    ordered = np.sort(apart, axis=-1)  # lost joints last
    median = np.take_along_axis(ordered, np.maximum(shared - 1, 0) // 2, axis=-1)[..., 0]
    size = np.maximum(_sizes(poses)[:, None], _sizes(others)[None])
    return np.where(shared[..., 0] > 0, median / np.maximum(size, 1e-6), np.inf)


def _sizes(poses: np.ndarray) -> np.ndarray:
    """[pose] diagonal of the box around what is seen of each."""
    places, lost = poses[..., :-1], np.isnan(poses[..., :-1])
    box = np.where(lost, -np.inf, places).max(axis=1) - np.where(lost, np.inf, places).min(axis=1)
    return np.linalg.norm(np.maximum(box, 0.0), axis=-1)
