"""Synthetic people: a body of the vocabulary's joints with proportions, tempo and habits of its own.

- The tree and its bones are those of the vocabulary, so what a performer does is in terms every layout shares.
- Angles are in degrees about (left, up, forward) of the joint's parent, applied as Ry Rx Rz: a limb spreads, bends, and
  is turned about the vertical last, so that a bent knee falls inwards by a turn. Signs follow from the axes: a trunk
  bends forward at x > 0, a thigh rises at x < 0, a knee bends at x > 0, a left limb spreads at z > 0, a right one at
  z < 0.
- Feet stand: a body is placed by its soles, not by its pelvis, or every step would be a skater's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from .kinematics import euler_rotations, forward_kinematics
from .vocabulary import VOCABULARY

_SIDES = ("left", "right")
_PAIRED = ("collar", "shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "foot")
JOINTS = ("pelvis", "spine", "chest", "neck", "head", *(f"{side}_{name}" for side in _SIDES for name in _PAIRED))
PARENTS = tuple(JOINTS.index(VOCABULARY[name].parent) if VOCABULARY[name].parent else -1 for name in JOINTS)
_OFFSETS = np.array(
    [
        np.subtract(VOCABULARY[name].place, VOCABULARY[JOINTS[parent]].place) if parent >= 0 else (0.0, 0.0, 0.0)
        for name, parent in zip(JOINTS, PARENTS, strict=True)
    ]
)
_HEIGHT_M = 1.7  # of the vocabulary's person
_SOLES = [JOINTS.index(f"{side}_{name}") for side in _SIDES for name in ("ankle", "foot")]
_ANKLES = [JOINTS.index(f"{side}_ankle") for side in _SIDES]
# height of ankle and ball of the foot above the floor of someone who stands
_CLEARANCE = _OFFSETS[JOINTS.index("left_foot"), 1] * np.array([-1.0, 0.0, -1.0, 0.0])

Pose = Mapping[str, tuple[float, float, float]]  # degrees of the joints that are bent


@dataclass(frozen=True, eq=False)
class Performer:
    """A person.

    offsets: [joint, 3] metres, bones of JOINTS. tempo: relative duration of a repetition. reach: relative range of
    motion. posture: [joint, 3] degrees, habits that are in every movement. jitter_m: size of the tracker's noise.
    lost: share of joints the tracker loses in a recording.
    """

    offsets: np.ndarray
    tempo: float
    reach: float
    posture: np.ndarray
    jitter_m: float
    lost: float


def draw_performer(rng: np.random.Generator) -> Performer:
    """Someone between 1.5 and 1.95 m, with longer or shorter limbs than their height says."""
    height = float(np.clip(rng.normal(1.7, 0.09), 1.5, 1.95)) / _HEIGHT_M
    arm, leg, width = rng.normal(1.0, 0.04, 3)
    scale = np.ones((len(JOINTS), 3))
    for number, name in enumerate(JOINTS):
        part = name.split("_")[-1]
        scale[number] *= arm if part in ("elbow", "wrist", "hand") else leg if part in ("knee", "ankle", "foot") else 1
        scale[number, 0] *= width if part in ("shoulder", "hip") else 1
    posture = rng.normal(0.0, 2.5, (len(JOINTS), 3))
    posture[[JOINTS.index("pelvis"), *_SOLES]] *= 0.3
    return Performer(
        offsets=_OFFSETS * scale * height,
        tempo=float(np.exp(rng.normal(0.0, 0.18))),
        reach=float(np.clip(rng.normal(1.0, 0.06), 0.85, 1.12)),
        posture=posture,
        jitter_m=float(rng.uniform(0.002, 0.006)),
        lost=float(rng.uniform(0.0, 0.06)),
    )


def pose_angles(pose: Pose) -> np.ndarray:
    """[joint, 3] degrees of JOINTS; those that a pose does not name are straight."""
    angles = np.zeros((len(JOINTS), 3))
    for name, degrees in pose.items():
        angles[JOINTS.index(name)] = degrees
    return angles


def stand(performer: Performer, degrees: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Places [frame, joint, 3] in metres of a body on the floor at y = 0 that starts over the origin.

    degrees: [frame, joint, 3]. weight: [frame, 2] share of the left and right foot that carries it; the foot or feet
    that carry do not move sideways.
    """
    turns = euler_rotations((degrees + performer.posture)[..., [1, 0, 2]], "YXZ")
    places = forward_kinematics(performer.offsets, turns, PARENTS)
    steps = np.diff(places[:, _ANKLES], axis=0, prepend=places[:1, _ANKLES])
    slid = np.cumsum(np.einsum("fs,fsa->fa", weight, steps), axis=0)
    slid[:, 1] = (places[:, _SOLES, 1] - _CLEARANCE).min(axis=1)
    return places - slid[:, None]


def look(rng: np.random.Generator, performer: Performer, places: np.ndarray) -> np.ndarray:
    """What a depth camera tracks of places [frame, joint, 3]: with noise that wanders, and NaN for lost joints."""
    noise = lfilter([1.0], [1.0, -0.8], rng.normal(0.0, 0.6 * performer.jitter_m, places.shape), axis=0)
    seen = places + noise
    frames = len(places)
    for joint in np.flatnonzero(rng.random(len(JOINTS)) < 4 * performer.lost):
        length = int(rng.integers(1, 2 + frames // 2))
        first = int(rng.integers(0, frames))
        seen[first : first + length, joint] = np.nan
    return seen


def face_camera(rng: np.random.Generator, places: np.ndarray, aside_m: float = 0.0) -> np.ndarray:
    """Places as a camera at the origin sees them: some metres away, turned a little."""
    yaw = euler_rotations(rng.normal(0.0, 12.0, 1), "Y")
    away = np.array([aside_m + rng.normal(0.0, 0.2), rng.normal(-0.9, 0.1), -rng.uniform(2.2, 3.2)])
    return places @ yaw.T + away
