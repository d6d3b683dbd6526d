"""Streams: what the numbers of a token say of a joint, channel by channel.

- joint: where it stands;
- bone: from its parent to it; lost where either is lost, so that no bone ever spans a gap in the skeleton;
- motion, bone_motion: how fast the two change, per second. Differences of frames depend on the camera's rate, and a
  clip that was brought to a number of frames moves at its true rate still.

Joint, bone, motion and bone motion are the four streams of the field (Shi et al. 2019, 2s-AGCN,
https://arxiv.org/abs/1805.07694; Shi et al. 2020, https://arxiv.org/abs/1912.06971), there one model each; here they
stand side by side as channels. All of them turn, tilt and scale like positions, which is what `augment` relies on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.errors import InputError, nearest
from ...core.signals import mean_of_present
from .body import resolve_body
from .layout import SkeletonLayout
from .vocabulary import sensor_name, split_sensor

STREAMS = ("joint", "bone", "motion", "bone_motion")


def check_streams(names: Sequence[str]) -> None:
    """Raises InputError for an unknown or repeated name, or none at all."""
    for name in names:
        if name not in STREAMS:
            raise InputError("unknown stream", source="modality.streams", got=name, fix=nearest(name, STREAMS))
    if not names or len(set(names)) < len(names):
        raise InputError("streams are named once each", source="modality.streams", got=tuple(names),
                         expected=f"some of {', '.join(STREAMS)}")  # fmt: skip


def parent_names(sensors: Sequence[str], layout: SkeletonLayout | None) -> dict[str, str]:
    """{sensor: the sensor its bone comes from}, "" = none.

    The layout decides where there is one: a camera that loses a joint must not lend its children another bone. Else the
    parent is the nearest joint that the recording has.
    """
    sensors = tuple(sensors)
    body = resolve_body(sensors, layout)
    found = {sensor: sensors[p] if p >= 0 else "" for sensor, p in zip(sensors, body.parent, strict=True)}
    if layout is not None:
        whole = resolve_body(layout.meaning, layout)
        above = {joint: layout.meaning[p] for joint, p in zip(whole.joint, whole.parent, strict=True) if p >= 0}
        for sensor in sensors:
            joint, person = split_sensor(sensor)
            if joint in layout.meaning:
                found[sensor] = sensor_name(above[joint], person) if joint in above else ""
    return found


def stack_streams(positions: np.ndarray, parent: np.ndarray, names: Sequence[str], sfreq_hz: float) -> np.ndarray:
    """[sensor, 3, frame] -> [sensor, channel, frame] float32: x, y and z of one stream after the other.

    parent: [sensor] index of the sensor each bone comes from, -1 = none. sfreq_hz: true frames a second.
    """
    found: dict[str, np.ndarray] = {"joint": positions}
    if "bone" in names or "bone_motion" in names:
        found["bone"] = bones(positions, parent)
    for moving, still in (("motion", "joint"), ("bone_motion", "bone")):
        if moving in names:
            found[moving] = speed(found[still], sfreq_hz)
    return np.concatenate([found[name] for name in names], axis=1).astype(np.float32, copy=False)


def bones(positions: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """[sensor, 3, frame] from the parent to each sensor; NaN for a sensor without one."""
    return np.where((parent < 0)[:, None, None], np.float32(np.nan), positions - positions[parent])


def speed(x: np.ndarray, sfreq_hz: float) -> np.ndarray:
    """Change of [..., frame] per second: the mean of the steps to and from a frame, one of them beside a gap."""
    steps = np.diff(x, axis=-1) * np.float32(sfreq_hz)
    nothing = np.full((*x.shape[:-1], 1), np.nan, x.dtype)
    return mean_of_present(np.stack([np.concatenate([steps, nothing], -1), np.concatenate([nothing, steps], -1)]))
