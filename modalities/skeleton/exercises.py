"""Ten rehabilitation exercises as joint angles over time, and what goes wrong in them.

An exercise is two poses and the way between them: there, a moment's hold, and back. What a therapist would correct are
six faults: too little range, a trunk that leans, knees that fall inwards, a shrug of the shoulder, jerks, and one side
doing less. Which of them can happen depends on the exercise.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .performer import JOINTS, Performer, Pose, pose_angles

_LEFT = np.array([name.startswith("left_") for name in JOINTS])
_RIGHT = np.array([name.startswith("right_") for name in JOINTS])
_LEG_FAULTS = ("short", "trunk", "valgus", "jerky", "asymmetric")
_ARM_FAULTS = ("short", "trunk", "shrug", "jerky")


@dataclass(frozen=True)
class Exercise:
    """start, peak: poses. duration_s: of one repetition. weight: of left and right foot. faults: that can happen.

    A start that is not standing (a chair, a lunge) is held from the first frame on.
    """

    start: Pose
    peak: Pose
    duration_s: float
    weight: tuple[float, float] = (0.5, 0.5)
    faults: tuple[str, ...] = field(default=_LEG_FAULTS)


def _both(**pose: tuple[float, float, float]) -> dict[str, tuple[float, float, float]]:
    """The same angles left and right, mirrored: a turn about "left" is alike on both sides, others are opposite."""
    return {f"left_{name}": angles for name, angles in pose.items()} | {
        f"right_{name}": (x, -y, -z) for name, (x, y, z) in pose.items()
    }


_APART = _both(hip=(0, 0, 4), ankle=(0, 0, -4))
_LUNGE = {"left_hip": (-28, 0, 0), "left_ankle": (28, 0, 0), "right_hip": (28, 0, 0), "right_ankle": (-28, 0, 0)}
_SEATED = {"pelvis": (10, 0, 0), **_both(hip=(-95, 0, 4), knee=(90, 0, 0), ankle=(-5, 0, -4), shoulder=(-30, 0, 0),
                                         elbow=(-50, 0, 0))}  # fmt: skip
_BENT = {"left_elbow": (-90, 0, 0)}

# by the names of `tasks.EXERCISES`
EXERCISE_POSES: dict[str, Exercise] = {
    "deep_squat": Exercise(
        _APART,
        {"pelvis": (30, 0, 0), "spine": (5, 0, 0),
         **_both(hip=(-105, 0, 11), knee=(105, 0, 0), ankle=(-30, 0, -11), shoulder=(-95, 0, 0))},
        2.8,
    ),
    "hurdle_step": Exercise(
        {},
        {"left_hip": (-80, 0, 3), "left_knee": (85, 0, 0), "left_ankle": (-8, 0, 0)},
        2.6,
        (0.0, 1.0),
    ),
    "inline_lunge": Exercise(
        _LUNGE,
        {"left_hip": (-75, 0, 0), "left_knee": (80, 0, 0), "left_ankle": (-5, 0, 0), "right_hip": (10, 0, 0),
         "right_knee": (70, 0, 0), "right_ankle": (-25, 0, 0)},
        2.6,
    ),
    "side_lunge": Exercise(
        _both(hip=(0, 0, 22), ankle=(0, 0, -22)),
        {"pelvis": (15, 0, 0), "left_hip": (-70, 0, 30), "left_knee": (75, 0, 0), "left_ankle": (-20, 0, -30),
         "right_hip": (-15, 0, -28), "right_ankle": (0, 0, 28)},
        2.6,
        (1.0, 0.0),
    ),
    "sit_to_stand": Exercise(_SEATED, {}, 2.6),
    "straight_leg_raise": Exercise({}, {"left_hip": (-65, 0, 0)}, 2.4, (0.0, 1.0)),
    "shoulder_abduction": Exercise(
        {}, {"left_shoulder": (0, 0, 140), "left_elbow": (-5, 0, 0)}, 2.4, faults=_ARM_FAULTS
    ),
    "shoulder_extension": Exercise({}, {"left_shoulder": (50, 0, 5)}, 2.0, faults=_ARM_FAULTS),
    "shoulder_rotation": Exercise(
        {**_BENT, "left_shoulder": (40, 0, 80)}, {**_BENT, "left_shoulder": (-60, 0, 80)}, 2.4,
        faults=_ARM_FAULTS,
    ),
    "shoulder_scaption": Exercise({}, {"left_shoulder": (0, -35, 120)}, 2.4, faults=_ARM_FAULTS),
}  # fmt: skip


def perform(
    rng: np.random.Generator, performer: Performer, name: str, correct: bool, sfreq_hz: float
) -> tuple[np.ndarray, np.ndarray]:
    """One repetition: angles [frame, joint, 3] in degrees and weight [frame, 2] of the feet, for `performer.stand`.

    Nobody is perfect: one fault is there in a correct repetition too, up to a quarter of its size.
    """
    exercise = EXERCISE_POSES[name]
    names = list(rng.permutation(exercise.faults)[: 1 if correct else rng.integers(1, 3)])
    size = rng.uniform(0.0, 0.25) if correct else rng.uniform(0.45, 1.0)
    faults = dict.fromkeys(names, float(size))

    duration_s = exercise.duration_s * performer.tempo * rng.uniform(0.88, 1.14)
    frames = max(8, round(duration_s * sfreq_hz))
    profile = _profile(rng, frames, faults.get("jerky", 0.0))
    start, peak = pose_angles(exercise.start), pose_angles(exercise.peak)
    range_ = performer.reach * rng.normal(1.0, 0.03) * (1.0 - 0.45 * faults.get("short", 0.0))
    side = np.where(_LEFT if rng.random() < 0.5 else _RIGHT, 1.0 - 0.4 * faults.get("asymmetric", 0.0), 1.0)
    moved = (peak - start) * (range_ * side)[:, None]
    effort = np.sin(np.pi * np.linspace(0, 1, frames)) ** 2
    degrees = start + profile[:, None, None] * moved + effort[:, None, None] * _compensation(rng, faults)
    return degrees, np.tile(exercise.weight, (frames, 1))


def _profile(rng: np.random.Generator, frames: int, jerky: float) -> np.ndarray:
    """[frame] from 0 to 1 and back, at rest at either end; jerks are a tremor and halts on the way."""
    hold, turn = rng.uniform(0.05, 0.2), rng.uniform(0.42, 0.56)
    time = np.linspace(0.0, 1.0, frames)
    if jerky:
        pace = np.exp(jerky * np.repeat(rng.normal(0.0, 1.0, 12), -(-frames // 12))[:frames])
        halting = np.cumsum(pace)
        time = (1 - 0.8 * jerky) * time + 0.8 * jerky * (halting - halting[0]) / (halting[-1] - halting[0])
    knots = (0.0, 0.06, turn - hold / 2, turn + hold / 2, 0.94, 1.0)
    profile = 0.5 - 0.5 * np.cos(np.pi * np.interp(time, knots, (0, 0, 1, 1, 0, 0)))
    tremor = np.sin(2 * np.pi * rng.uniform(7, 11) * time + rng.uniform(0, 2 * np.pi))
    return profile * (1.0 + 0.06 * jerky * tremor)


def _compensation(rng: np.random.Generator, faults: dict[str, float]) -> np.ndarray:
    """[joint, 3] degrees that faults add at the height of the movement."""
    aside = rng.choice((-1.0, 1.0))
    added = np.zeros((len(JOINTS), 3))
    if "trunk" in faults:
        added += faults["trunk"] * pose_angles({"spine": (22, 0, 9 * aside), "chest": (6, 0, 4 * aside)})
    if "valgus" in faults:
        inwards = _both(hip=(0, -26, 0))
        added += faults["valgus"] * pose_angles(inwards)
    if "asymmetric" in faults:
        added += faults["asymmetric"] * pose_angles({"pelvis": (0, 0, 7 * aside), "spine": (0, 0, -5 * aside)})
    if "shrug" in faults:
        added += faults["shrug"] * pose_angles({"left_collar": (0, 0, 22), "left_elbow": (-30, 0, 0)})
    return added
