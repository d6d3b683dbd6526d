"""A person as a clinician at their side sees them: how far forward, how high and how far to the left each joint is.

- Forward is where hips and shoulders face over about a second, so turns of the pelvis with each step do not turn the
  view, and a walk there and back is one recording.
- In a flat pose, seen from the side, forward is where the toes point.
- Angles have the signs of the clinic: flexion and dorsiflexion are positive, in degrees. Zero is the straight limb; at
  the ankle it is the right angle between shank and the line to the foot's tip, which depends on where that is marked,
  so ranges compare better than values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from ...core.errors import InputError
from ...core.recording import Recording
from ...core.signals import fill_gaps, mean_of_present
from .body import Body, resolve_body
from .gaps import bridged
from .vocabulary import split_sensor

SIDES = ("left", "right")
_BRIDGED_S = 0.2  # longest gap in which a joint is filled in
_HEADING_S = 1.0
# from, at, to, and the angle between them that counts as zero
_BENDS = {
    "knee_flexion": ("hip", "knee", "ankle", 180.0),
    "elbow_flexion": ("shoulder", "elbow", "wrist", 180.0),
    "ankle_dorsiflexion": ("knee", "ankle", "foot", 90.0),
}
_SWINGS = {"hip_flexion": ("hip", "knee"), "shoulder_flexion": ("shoulder", "elbow")}


@dataclass(frozen=True, eq=False)
class SideView:
    """One person of a recording.

    joints: {name: [3, frame]}, (left, up, forward) in the recording's unit; in a flat pose left is NaN.
    world: {name: [3, frame]} as in the recording, short gaps filled.
    flat: whether there is no depth. unit: of the recording.
    """

    joints: Mapping[str, np.ndarray]
    world: Mapping[str, np.ndarray]
    sfreq_hz: float
    flat: bool
    unit: str

    def middle(self, name: str, of: str) -> np.ndarray | None:
        """[3, frame] of a joint in the middle of the body, else between two of both sides; None without them."""
        if name in self.joints:
            return self.joints[name]
        pair = [self.joints[f"{side}_{of}"] for side in SIDES if f"{side}_{of}" in self.joints]
        return np.mean(pair, axis=0) if len(pair) == 2 else None


def side_view(recording: Recording, person: int = 0) -> SideView:
    """Look at one person from the side. Raises InputError for a person who is not in the recording."""
    own = [i for i, sensor in enumerate(recording.sensors) if split_sensor(sensor)[1] == person]
    if not own:
        raise InputError("no such person", source=recording.record, field="person", got=person)
    names = [split_sensor(recording.sensors[i])[0] for i in own]
    body = resolve_body(names, recording.extras.get("layout"))
    x = bridged(recording.signals[own].astype(np.float64), _BRIDGED_S * recording.sfreq_hz)
    flat = not np.isfinite(x[:, 2]).any()
    width = max(1, round(_HEADING_S * recording.sfreq_hz))
    turned = _from_image(x, body, width) if flat else _from_space(x, body, width)
    return SideView(
        joints=dict(zip(names, turned, strict=True)), world=dict(zip(names, x, strict=True)),
        sfreq_hz=recording.sfreq_hz, flat=flat, unit=recording.unit,
    )  # fmt: skip


def joint_angles(view: SideView) -> dict[str, np.ndarray]:
    """{"left_knee_flexion": [frame] degrees, ...} of what the person's joints allow, NaN where a joint is lost.

    Flexion of knee, elbow, hip and shoulder, the last two against the trunk in the sagittal plane, and dorsiflexion of
    the ankle, for both sides.
    """
    found = {}
    top, bottom = view.middle("chest", "shoulder"), view.middle("pelvis", "hip")
    for side in SIDES:
        at = {name.removeprefix(f"{side}_"): x for name, x in view.joints.items() if name.startswith(side)}
        for name, (first, middle, last, straight) in _BENDS.items():
            if {first, middle, last} <= at.keys():
                bend = _between(at[first] - at[middle], at[last] - at[middle], view.flat)
                found[f"{side}_{name}"] = straight - bend
        for name, (upper, lower) in _SWINGS.items():
            if top is not None and bottom is not None and {upper, lower} <= at.keys():
                swing = _swing(at[lower] - at[upper]) - _swing(bottom - top)
                found[f"{side}_{name}"] = (swing + 180.0) % 360.0 - 180.0
    return found


def _from_space(x: np.ndarray, body: Body, width: int) -> np.ndarray:
    """[joint, 3, frame] turned about the vertical so that the person faces along the last axis in every frame."""
    across = np.zeros((2, x.shape[-1]))
    for name in ("hip", "shoulder"):
        if f"left_{name}" in body.joint and f"right_{name}" in body.joint:
            line = (x[body.joint.index(f"left_{name}")] - x[body.joint.index(f"right_{name}")])[[0, 2]]
            across += fill_gaps(line)[0]
    across = uniform_filter1d(across, width, axis=1, mode="nearest")
    length = np.hypot(across[0], across[1])
    c, s = np.where(length > 0, across / np.maximum(length, 1e-12), np.array([[1.0], [0.0]]))
    return np.stack([c * x[:, 0] + s * x[:, 2], x[:, 1], c * x[:, 2] - s * x[:, 0]], axis=1)


def _from_image(x: np.ndarray, body: Body, width: int) -> np.ndarray:
    """[joint, (NaN, up, forward), frame] of a flat pose; forward is where toes point, else where the person goes."""
    pointing = np.zeros(x.shape[-1])
    for side in SIDES:
        if f"{side}_foot" in body.joint and f"{side}_ankle" in body.joint:
            foot, ankle = (x[body.joint.index(f"{side}_{name}"), :1] for name in ("foot", "ankle"))
            pointing += fill_gaps(foot - ankle)[0][0]
    if not pointing.any() and x.shape[-1] > 1:
        pointing = np.gradient(fill_gaps(mean_of_present(x[:, :1]))[0][0])
    forward = np.where(uniform_filter1d(pointing, width, mode="nearest") < 0, -1.0, 1.0)
    return np.stack([np.full_like(x[:, 0], np.nan), x[:, 1], forward * x[:, 0]], axis=1)


def _between(u: np.ndarray, v: np.ndarray, flat: bool) -> np.ndarray:
    """[frame] degrees between vectors [3, frame]."""
    if flat:
        u, v = u[1:], v[1:]
    size = np.sqrt(np.square(u).sum(axis=0) * np.square(v).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.degrees(np.arccos(np.clip((u * v).sum(axis=0) / size, -1.0, 1.0)))


def _swing(segment: np.ndarray) -> np.ndarray:
    """[frame] degrees by which a hanging segment [3, frame] swings forward."""
    return np.degrees(np.arctan2(segment[2], -segment[1]))
