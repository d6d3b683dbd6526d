"""Hand-made statistics of a movement, the baseline that clinics and the rehabilitation literature use.

Joint angles and directions of segments, by their extremes, range, mean, spread, ends and the moments of their extremes;
how fast they change and how evenly; how fast and how far each joint goes; and the box each joint moves in. On real
exercises such statistics tell good from bad repetitions better than the series they are taken from.

All of it is asked of the vocabulary's joints by name, so that every layout gives the same numbers in the same order;
what a layout does not have, or a clip never shows, is zero. Gaps are bridged by straight lines.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import savgol_filter

from ...core.signals import fill_gaps
from .body import Body, index_of

_SIDES = ("left", "right")
_JOINTS = (
    "pelvis", "spine", "chest", "head",
    *(f"{side}_{name}" for name in ("shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "foot")
      for side in _SIDES),
)  # fmt: skip
# from, at, to
_ANGLES = (
    *(tuple(f"{side}_{name}" for name in names)
      for names in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"), ("elbow", "shoulder", "hip"),
                    ("shoulder", "hip", "knee"), ("knee", "ankle", "foot"), ("elbow", "wrist", "hand"))
      for side in _SIDES),
    ("head", "chest", "pelvis"),
)  # fmt: skip
# from, to: their angles to the three axes (left, up, forward) say how the body is held
_SEGMENTS = (
    ("pelvis", "chest"), ("chest", "head"), ("right_hip", "left_hip"), ("right_shoulder", "left_shoulder"),
    *((f"{side}_{a}", f"{side}_{b}") for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"),
                                                  ("knee", "ankle"), ("ankle", "foot")) for side in _SIDES),
)  # fmt: skip
# where a layout has no joint of that name, the middle of two others
_MIDDLES = {"pelvis": ("left_hip", "right_hip"), "chest": ("left_shoulder", "right_shoulder"),
            "head": ("left_ear", "right_ear")}  # fmt: skip
_NAMES = (*_JOINTS, "left_ear", "right_ear")
_AT = {name: i for i, name in enumerate(_NAMES)}
_BENT = np.array([[_AT[name] for name in names] for names in _ANGLES]).T
_ENDS = np.array([[_AT[name] for name in names] for names in _SEGMENTS]).T
_SERIES = len(_ANGLES) + 3 * len(_SEGMENTS)
_SMOOTH_S = 0.25  # of the quadratic that derivatives are read from
_SPEEDS = (50, 95)  # percentiles
N_FEATURES = _SERIES * 13 + len(_JOINTS) * (len(_SPEEDS) + 1 + 9) + 1


def movement_statistics(positions: np.ndarray, body: Body, sfreq_hz: float, person: int = 0) -> np.ndarray:
    """[sensor, 3, frame] -> [N_FEATURES] float32 of one person; zeros where there is nothing to measure."""
    joints = np.stack([_joint(positions, body, name, person) for name in _NAMES])
    for name, pair in _MIDDLES.items():
        if np.isnan(joints[_AT[name]]).all():
            joints[_AT[name]] = joints[[_AT[other] for other in pair]].mean(axis=0)
    a, at, b = joints[_BENT]
    segments = joints[_ENDS[1]] - joints[_ENDS[0]]
    angles = np.concatenate([_between(a - at, b - at), *(_between(segments, axis) for axis in np.eye(3)[:, :, None])])
    found = np.concatenate([
        _of_angles(angles, sfreq_hz).ravel(),
        _of_paths(joints[: len(_JOINTS)], sfreq_hz).ravel(),
        [positions.shape[-1] / sfreq_hz],
    ])  # fmt: skip
    return np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)


def _joint(positions: np.ndarray, body: Body, name: str, person: int) -> np.ndarray:
    """[3, frame], NaN where it is absent; the lost depth of a flat pose counts as none."""
    at = index_of(body, name, person)
    if at < 0:
        return np.full(positions.shape[1:], np.nan)
    x = positions[at].astype(float)
    return np.where(np.isfinite(x[:1]), np.nan_to_num(x, nan=0.0), np.nan)


def _between(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """[..., frame] angles (radians) between vectors [..., 3, frame]."""
    size = np.sqrt(np.square(u).sum(axis=-2) * np.square(v).sum(axis=-2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.arccos(np.clip((u * v).sum(axis=-2) / size, -1.0, 1.0))


def _of_angles(angles: np.ndarray, sfreq_hz: float) -> np.ndarray:
    """[series, frame] -> [series, 13], NaN for a series of which nothing is known."""
    x, gaps = fill_gaps(angles)
    last = max(x.shape[1] - 1, 1)
    low, high = x.min(axis=1), x.max(axis=1)
    speed, change = _derivative(x, sfreq_hz, 1), _derivative(x, sfreq_hz, 2)
    fast = np.abs(speed).max(axis=1)
    found = np.stack([
        low, high, high - low, x.mean(axis=1), x.std(axis=1), x[:, 0], x[:, -1],
        x.argmin(axis=1) / last, x.argmax(axis=1) / last,
        fast, np.abs(speed).mean(axis=1),
        # how often the speed is built up anew: change of speed over speed, without a unit of angle
        np.abs(change).mean(axis=1) / np.maximum(np.abs(speed).mean(axis=1), 1e-3),
        np.abs(speed).argmax(axis=1) / last,
    ], axis=1)  # fmt: skip
    return np.where(np.asarray(gaps.all(axis=1))[:, None], np.nan, found)


def _of_paths(places: np.ndarray, sfreq_hz: float) -> np.ndarray:
    """[joint, 3, frame] -> [joint, 12]: speeds, length of the path, and the box it stays in."""
    flat, gaps = fill_gaps(places.reshape(-1, places.shape[-1]))
    speed = np.linalg.norm(_derivative(flat, sfreq_hz, 1).reshape(places.shape), axis=1)
    low, high = flat.min(axis=1).reshape(-1, 3), flat.max(axis=1).reshape(-1, 3)
    found = np.concatenate(
        [np.percentile(speed, _SPEEDS, axis=1).T, speed.sum(axis=1, keepdims=True) / sfreq_hz, low, high, high - low],
        axis=1,
    )
    never = gaps.reshape(len(places), -1).all(axis=1, keepdims=True)
    return np.where(never, np.nan, found)


def _derivative(x: np.ndarray, sfreq_hz: float, order: int) -> np.ndarray:
    """Of [series, frame], of smoothed quadratics; zero in a clip too short for one."""
    width = min(2 * round(_SMOOTH_S / 2 * sfreq_hz) + 1, x.shape[1] - (1 - x.shape[1] % 2))
    width = max(width, 3)
    if x.shape[1] < width:
        return np.zeros_like(x)
    return np.asarray(savgol_filter(x, width, 2, deriv=order, delta=1.0 / sfreq_hz, axis=1, mode="nearest"))
