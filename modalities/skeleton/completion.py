"""Joints that a recording lacks, added as lost: what the habit of filling with zeros needs to be compared with.

A network with a fixed skeleton sees zeros for whatever a camera does not give. Here a joint that is absent simply has
no token; with `lost: zero` it must have one, so every person gets all the joints of their layout first.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...core.recording import Recording
from .layout import SkeletonLayout
from .vocabulary import sensor_name, split_sensor


def with_all_joints(recording: Recording) -> Recording:
    """The recording with every joint of its layout for each person; without a layout as it is."""
    layout = recording.extras.get("layout")
    if not isinstance(layout, SkeletonLayout):
        return recording
    persons = sorted({split_sensor(sensor)[1] for sensor in recording.sensors})
    every = (sensor_name(joint, person) for person in persons for joint in layout.meaning)
    absent = tuple(sensor for sensor in every if sensor not in recording.sensors)
    nothing = np.full((len(absent), *recording.signals.shape[1:]), np.nan, np.float32)
    return replace(
        recording,
        signals=np.concatenate([recording.signals, nothing]),
        sensors=(*recording.sensors, *absent),
    )
