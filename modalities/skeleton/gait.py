"""Gait: cycles from the movement of the feet.

Initial contact is where the heel is farthest in front of the pelvis, foot-off where the tip of the foot is farthest
behind it (Zeni, Richards & Higginson 2008, doi:10.1016/j.gaitpost.2007.07.007). It needs no force plate and works on a
treadmill too. Layouts without a heel or a tip use the ankle. A foot goes back a little before it comes down, so
contacts come out some hundredths of a second early, in both feet alike.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, find_peaks, sosfiltfilt

from ...core.errors import InputError
from ...core.signals import fill_gaps
from .sagittal import SIDES, SideView

_LOW_PASS_HZ = 6.0  # of a foot's path while walking
_CYCLE_S = (0.4, 3.0)
_PROMINENCE = 0.4  # share of a foot's way to and fro that a turning point must stand out by
_LEAST_SWING = 0.15  # of the leg's length: less is a foot that stands
_MOST_LOST = 0.2  # of a cycle's frames
_NEAR_S = 0.1  # a turning point with lost frames so near is the edge of a gap


@dataclass(frozen=True)
class GaitCycle:
    """From an initial contact of a foot to its next.

    side: "left" or "right". Times are seconds from the start of the recording.
    contact_s, foot_off_s, next_contact_s: the foot is on the ground from the first to the second.
    """

    side: str
    contact_s: float
    foot_off_s: float
    next_contact_s: float

    @property
    def stride_s(self) -> float:
        """Duration."""
        return self.next_contact_s - self.contact_s

    @property
    def stance(self) -> float:
        """Share of the cycle in which the foot is on the ground."""
        return (self.foot_off_s - self.contact_s) / self.stride_s


def gait_cycles(view: SideView) -> tuple[GaitCycle, ...]:
    """Cycles of both feet in the order of time; none for somebody who does not walk.

    Raises InputError where the person has no feet or no hips in the recording.
    """
    pelvis = view.middle("pelvis", "hip")
    if pelvis is None:
        raise InputError("gait needs the pelvis or both hips", got=", ".join(view.joints))
    cycles = []
    for side in SIDES:
        heel, tip = (
            view.joints[heel_of(view, side)],
            view.joints[_of_foot(view, side, ("foot", "ankle", "heel"))],
        )
        leg = _leg(view, side, heel, pelvis)
        contacts = _turning_points((heel - pelvis)[2], view.sfreq_hz, leg)
        offs = _turning_points((pelvis - tip)[2], view.sfreq_hz, leg)
        lost = ~np.isfinite((heel - pelvis)[2])
        for first, last in itertools.pairwise(contacts):
            between = offs[(offs > first) & (offs < last)]
            duration_s = (last - first) / view.sfreq_hz
            whole = lost[round(first) : round(last)].mean() <= _MOST_LOST
            if len(between) == 1 and whole and _CYCLE_S[0] <= duration_s <= _CYCLE_S[1]:
                cycles.append(GaitCycle(side, *(float(at / view.sfreq_hz) for at in (first, between[0], last))))
    return tuple(sorted(cycles, key=lambda cycle: cycle.contact_s))


def over_cycles(series: np.ndarray, cycles: tuple[GaitCycle, ...], sfreq_hz: float, points: int = 101) -> np.ndarray:
    """[cycle, points] of a series [frame], each cycle from 0 to 100 % of its time; NaN for one with lost frames."""
    frames = np.arange(len(series))
    rows = [
        np.interp(np.linspace(cycle.contact_s, cycle.next_contact_s, points) * sfreq_hz, frames, series)
        for cycle in cycles
    ]
    return np.array(rows).reshape(-1, points)


def heel_of(view: SideView, side: str) -> str:
    """Name of the joint that strikes the ground first, or of the nearest the person has. Raises InputError for none."""
    return _of_foot(view, side, ("heel", "ankle", "foot"))


def _of_foot(view: SideView, side: str, names: tuple[str, ...]) -> str:
    found = next((f"{side}_{name}" for name in names if f"{side}_{name}" in view.joints), None)
    if found is None:
        raise InputError(f"gait needs the {side} ankle or foot", got=", ".join(view.joints))
    return found


def _leg(view: SideView, side: str, heel: np.ndarray, pelvis: np.ndarray) -> float:
    """Length of a leg, from the hip or the pelvis."""
    hip = view.joints.get(f"{side}_hip", pelvis)
    away = np.linalg.norm((heel - hip)[1 if view.flat else 0 :], axis=0)
    return float(np.nanpercentile(away, 95)) if np.isfinite(away).any() else 0.0


def _turning_points(path: np.ndarray, sfreq_hz: float, leg: float) -> np.ndarray:
    """Fractional frames of the maxima of a foot's path [frame], smoothed."""
    if np.isfinite(path).sum() < 2 * _CYCLE_S[0] * sfreq_hz:
        return np.empty(0)
    x = fill_gaps(path[None])[0][0]
    low_pass = min(_LOW_PASS_HZ, 0.4 * sfreq_hz)
    sections = butter(2, low_pass, fs=sfreq_hz, output="sos")
    x = sosfiltfilt(sections, x, padlen=min(len(x) - 1, round(sfreq_hz)))
    low, high = np.percentile(x, (5, 95))
    if high - low < _LEAST_SWING * leg:
        return np.empty(0)
    peaks, _ = find_peaks(x, prominence=_PROMINENCE * (high - low), distance=max(1, _CYCLE_S[0] * sfreq_hz))
    near = round(_NEAR_S * sfreq_hz)
    lost = ~np.isfinite(path)
    return np.array([_between_frames(x, at) for at in peaks if not lost[max(0, at - near) : at + near + 1].any()])


def _between_frames(x: np.ndarray, peak: int) -> float:
    """Where the parabola through a maximum and its neighbours has its top."""
    before, at, after = x[peak - 1 : peak + 2]
    bend = before - 2 * at + after
    return peak + (0.5 * (before - after) / bend if bend < 0 else 0.0)
