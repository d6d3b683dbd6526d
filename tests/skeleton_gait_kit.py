"""A person who walks with known times and angles, for tests of gait."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from omnipatch.core.recording import Recording

THIGH_M, SHANK_M, HIP_M = 0.43, 0.42, 0.80


@dataclass(frozen=True)
class Walk:
    """Shares are of a stride. offset: of the right foot's contact after the left's."""

    stride_s: float = 1.1
    left_stance: float = 0.60
    right_stance: float = 0.60
    offset: float = 0.5
    speed_m_per_s: float = 1.2
    lift_m: float = 0.08
    sfreq_hz: float = 60.0
    seconds: float = 8.0
    start_s: float = 0.3  # of the first left contact


def walk(walk: Walk, heading: float = 0.4, treadmill: bool = False) -> tuple[Recording, dict[str, np.ndarray]]:
    """The recording and {side: [frame] knee flexion in degrees}.

    A standing foot stays where it is on the ground; a swinging one starts and ends gently. Knees follow by the cosine
    rule. heading: radians about the vertical, or [frame].
    """
    time = np.arange(round(walk.seconds * walk.sfreq_hz)) / walk.sfreq_hz
    names, places, knees = (
        ["pelvis", "chest"],
        [(0 * time, 0.85 + 0 * time, 0 * time), (0 * time, 1.35 + 0 * time, 0 * time)],
        {},
    )
    for side, sign, stance, later in (
        ("left", 1, walk.left_stance, 0.0), ("right", -1, walk.right_stance, walk.offset)
    ):  # fmt: skip
        phase = ((time - walk.start_s) / walk.stride_s - later) % 1.0
        reach = walk.speed_m_per_s * stance * walk.stride_s / 2
        swing = np.clip((phase - stance) / (1 - stance), 0, 1)
        forward = np.where(phase < stance, reach * (1 - 2 * phase / stance), -reach * np.cos(np.pi * swing))
        up = 0.1 + walk.lift_m * np.sin(np.pi * swing) ** 2
        # two links from hip to ankle
        down = HIP_M + 0.02 - up
        span = np.hypot(forward, down)
        knee = np.arccos(np.clip((THIGH_M**2 + SHANK_M**2 - span**2) / (2 * THIGH_M * SHANK_M), -1, 1))
        at_hip = np.arccos(np.clip((THIGH_M**2 + span**2 - SHANK_M**2) / (2 * THIGH_M * span), -1, 1))
        thigh = np.arctan2(forward, down) + at_hip
        knees[side] = 180 - np.degrees(knee)
        x = sign * 0.09 + 0 * time
        hip = (x, HIP_M + 0.02 + 0 * time, 0 * time)
        ankle = (x, up, forward)
        names += [f"{side}_{name}" for name in ("hip", "knee", "ankle", "foot")]
        bent = (x, hip[1] - THIGH_M * np.cos(thigh), THIGH_M * np.sin(thigh))
        places += [hip, bent, ankle, (x, up - 0.06, forward + 0.15)]
    body = np.array(places)  # [joint, (left, up, forward), frame]
    angle = np.broadcast_to(heading, time.shape)
    c, s = np.cos(angle), np.sin(angle)
    turned = np.stack([c * body[:, 0] + s * body[:, 2], body[:, 1], c * body[:, 2] - s * body[:, 0]], axis=1)
    if not treadmill:
        step = walk.speed_m_per_s / walk.sfreq_hz
        turned[:, 0] += np.cumsum(step * s)
        turned[:, 2] += np.cumsum(step * c)
    return Recording(turned.astype(np.float32), tuple(names), walk.sfreq_hz, "m", "walk"), knees
