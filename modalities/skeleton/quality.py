"""Joints of a clip that should not be trusted: lost most of the time, or never moving by a hair while others do.

Judged on positions as they were recorded, and only over frames in which anything of the person is seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .vocabulary import split_sensor

_MOST_LOST = 0.5
_FEWEST_FRAMES = 10  # fewer cannot show that a joint is stuck


def joint_quality(signals: np.ndarray, sensors: Sequence[str]) -> dict[str, str]:
    """{sensor: reason} for joints of [sensor, 3, frame] that have a fault."""
    x = np.asarray(signals)
    person = np.array([split_sensor(sensor)[1] for sensor in sensors])
    found = {}
    for number in np.unique(person):
        own = np.flatnonzero(person == number).tolist()
        known = np.isfinite(x[own, 0])
        there = known.any(axis=0)
        if not there.any():
            found |= {sensors[i]: "the person is never seen" for i in own}
            continue
        stuck = np.array([_stuck(x[i]) for i in own])
        for i, lost, still in zip(own, 1.0 - known[:, there].mean(axis=1), stuck, strict=True):
            if lost > _MOST_LOST:
                found[sensors[i]] = f"lost in {100 * lost:.0f} % of the frames"
            elif still and not stuck.all():
                found[sensors[i]] = "stuck at one place"
    return found


def _stuck(x: np.ndarray) -> bool:
    """Whether [3, frame] is one place to the last bit in all frames in which it is known."""
    seen = x[:2, np.isfinite(x[0])]
    return seen.shape[1] >= _FEWEST_FRAMES and not np.ptp(seen, axis=1).any()
