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
            cost = np.array([[_distance(pose, last[name][1]) for name in known] for pose in poses])
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


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """Median distance of the joints that both poses have, in body sizes; infinite where they have none in common."""
    both = np.isfinite(one[:, :-1]).all(axis=1) & np.isfinite(other[:, :-1]).all(axis=1)
    if not both.any():
        return float("inf")
    apart = np.linalg.norm(one[both, :-1] - other[both, :-1], axis=1)
    return float(np.median(apart) / max(_size(one), _size(other), 1e-6))


def _size(pose: np.ndarray) -> float:
    return float(np.linalg.norm(np.nanmax(pose[:, :-1], axis=0) - np.nanmin(pose[:, :-1], axis=0)))
