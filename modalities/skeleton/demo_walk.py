"""Synthetic walking with known foot strikes, for tests and demonstrations of gait analysis.

Hip, knee and ankle follow the mean curves of healthy adults over a gait cycle (Winter, Biomechanics and Motor Control
of Human Movement, 4th edition, 2009), the right side half a cycle after the left. The foot that stands carries the body
forward, so stride length and speed follow from the angles and nobody skates. A weak side moves less and hands over
sooner: limping is an asymmetry of range and of timing.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from ...core.modality import Recording
from ...core.recording import Annotation
from .performer import JOINTS, draw_performer, face_camera, look, stand

STRIKES = ("left_foot_strike", "right_foot_strike")
# share of a gait cycle from one strike to the next of the same foot, and degrees: flexion, foot up
_HIP = ((0.0, 0.15, 0.3, 0.5, 0.6, 0.72, 0.85), (28.0, 21.0, 7.0, -11.0, -7.0, 14.0, 29.0))
_KNEE = ((0.0, 0.14, 0.38, 0.5, 0.6, 0.72, 0.86, 0.95), (4.0, 18.0, 4.0, 9.0, 32.0, 62.0, 32.0, 3.0))
_ANKLE = ((0.0, 0.07, 0.3, 0.45, 0.53, 0.62, 0.75), (0.0, -5.0, 5.0, 9.0, 2.0, -17.0, 0.0))
_STANCE = 0.62  # share of the cycle in which a foot is on the floor


def make_walk(
    rng: np.random.Generator,
    duration_s: float = 6.0,
    stride_s: float = 1.1,
    asymmetry: float = 0.0,
    weak: str = "left",
    sfreq_hz: float = 30.0,
    tracked: bool = True,
) -> Recording:
    """Someone walks towards the camera; a pure function of its arguments.

    stride_s: duration of a gait cycle. asymmetry: 0 to 1, how much less the `weak` side moves and how much sooner it
    hands over to the other. tracked: with the noise and lost joints of a depth camera.
    Returns signals [sensor, 3, frame] in metres, and an annotation of STRIKES whenever a heel comes down.
    """
    performer = draw_performer(rng)
    frames = round(duration_s * sfreq_hz)
    time_s = np.arange(frames) / sfreq_hz
    cycle = time_s / stride_s + rng.uniform(0.0, 1.0)  # of the left foot; a whole number is its strike
    # the right foot strikes half a cycle later, or sooner where the left stands too short
    half = 0.5 + 0.12 * asymmetry * (-1.0 if weak == "left" else 1.0)
    degrees, strikes, weight = np.zeros((frames, len(JOINTS), 3)), [], np.zeros((frames, 2))
    for side, (name, own) in enumerate((("left", cycle), ("right", cycle - half))):
        size = performer.reach * (1.0 - 0.4 * asymmetry if name == weak else 1.0)
        for joint, curve, sign in (("hip", _HIP, -1), ("knee", _KNEE, 1), ("ankle", _ANKLE, -1)):
            degrees[:, JOINTS.index(f"{name}_{joint}"), 0] = sign * size * _periodic(curve)(own % 1.0)
        # arms swing with the leg of the other side
        swing = size * _periodic(_HIP)((own + 0.5) % 1.0)
        degrees[:, JOINTS.index(f"{name}_shoulder"), 0] = -0.8 * swing
        degrees[:, JOINTS.index(f"{name}_elbow"), 0] = -15.0 - 0.3 * swing
        weight[:, side] = np.clip((_STANCE - own % 1.0) / 0.1, 0.0, 1.0)
        whole = np.arange(np.ceil(own[0]), own[-1])
        strikes += [Annotation(float((n - own[0]) * stride_s), STRIKES[side]) for n in whole]
    # in a frame in which both feet are down the body moves as their mean does
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-6)
    places = stand(performer, degrees, weight)
    places[..., 2] -= places[-1, JOINTS.index("pelvis"), 2]  # the way ends before the camera
    if tracked:
        places = look(rng, performer, places)
    return Recording(
        signals=face_camera(rng, places).transpose(1, 2, 0).astype(np.float32),
        sensors=JOINTS,
        sfreq_hz=sfreq_hz,
        unit="m",
        record="walk",
        subject="walk",
        annotations=tuple(sorted(strikes, key=lambda strike: strike.onset_s)),
    )


def _periodic(curve: tuple[tuple[float, ...], tuple[float, ...]]) -> CubicSpline:
    """Degrees over a cycle."""
    share, value = curve
    return CubicSpline((*share, 1.0), (*value, value[0]), bc_type="periodic")
