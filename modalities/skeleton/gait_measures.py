"""What a gait laboratory reports of a walk: times, distances, ranges of motion, and how the sides differ.

- Names end in their unit: `_s`, `_m`, `_deg`, `_percent`. Distances only where the recording is in metres.
- Sides are compared by the symmetry index of Robinson, Herzog & Nigg (1987): their difference in percent of their
  mean, positive = more on the left; curves over the cycle by the mean difference of the two average curves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from ...core.recording import Recording
from ...core.signals import mean_of_present
from .gait import GaitCycle, gait_cycles, heel_of, over_cycles
from .sagittal import SIDES, SideView, joint_angles, side_view

_LEAST_CYCLES = 2  # a side
_STANDING_M_PER_S = 0.1  # slower: on a treadmill, where strides have no length on the ground


@dataclass(frozen=True)
class GaitReport:
    """cycles: in the order of time. measures: {name with unit: mean over cycles}.

    asymmetry: {name: symmetry index in percent}, and {name of a curve: degrees between its two sides}.
    """

    cycles: tuple[GaitCycle, ...]
    measures: dict[str, float]
    asymmetry: dict[str, float]


def gait_report(recording: Recording, person: int = 0) -> GaitReport:
    """Cycles, measures and asymmetry of one person's walk.

    Raises InputError where fewer than two cycles of each foot are seen.
    """
    view = side_view(recording, person)
    cycles = gait_cycles(view)
    found = {side: tuple(cycle for cycle in cycles if cycle.side == side) for side in SIDES}
    if min(map(len, found.values())) < _LEAST_CYCLES:
        raise InputError(
            "too few gait cycles", source=recording.record,
            got=f"{len(found['left'])} left, {len(found['right'])} right",
            expected=f"{_LEAST_CYCLES} of each foot", fix="give a longer walk, with both feet in view",
        )  # fmt: skip
    angles = joint_angles(view)
    measures = {**_times(cycles, found), **_distances(view, found)}
    asymmetry = {}
    for name in sorted({key.partition("_")[2] for key in angles}):
        curves = [over_cycles(angles[f"{side}_{name}"], found[side], view.sfreq_hz) for side in SIDES]
        curves = [rows[np.isfinite(rows).all(axis=1)] for rows in curves]
        if not min(map(len, curves)):
            continue
        for side, rows in zip(SIDES, curves, strict=True):
            measures[f"{side}_{name}_range_deg"] = float(np.ptp(rows, axis=1).mean())
            measures[f"{side}_{name}_peak_deg"] = float(rows.max(axis=1).mean())
        asymmetry[f"{name}_curve_deg"] = float(np.abs(curves[0].mean(axis=0) - curves[1].mean(axis=0)).mean())
    for name in [key.removeprefix("left_") for key in measures if key.startswith("left_")]:
        if f"right_{name}" in measures and not name.endswith("_peak_deg"):  # angles have no zero, so no ratio
            asymmetry[name] = symmetry_index(measures[f"left_{name}"], measures[f"right_{name}"])
    return GaitReport(cycles, measures, asymmetry)


def symmetry_index(left: float, right: float) -> float:
    """Difference of two amounts in percent of their mean, from -200 to 200; 0 where both are nothing."""
    mean = (abs(left) + abs(right)) / 2
    return 100.0 * (left - right) / mean if mean > 0 else 0.0


def _times(cycles: tuple[GaitCycle, ...], found: dict[str, tuple[GaitCycle, ...]]) -> dict[str, float]:
    strides = np.array([cycle.stride_s for cycle in cycles])
    measures = {
        "stride_time_s": float(strides.mean()),
        "stride_time_variation_percent": float(100 * strides.std(ddof=1) / strides.mean()),
        "cadence_steps_per_min": float(120 / strides.mean()),
    }
    for side in SIDES:
        stance = 100 * float(np.mean([cycle.stance for cycle in found[side]]))
        measures[f"{side}_stance_percent"] = stance
        measures[f"{side}_swing_time_s"] = float(np.mean([c.next_contact_s - c.foot_off_s for c in found[side]]))
        steps = list(_steps(found, side))
        if steps:
            measures[f"{side}_step_time_s"] = float(np.mean(steps))
    both = measures["left_stance_percent"] + measures["right_stance_percent"] - 100
    return measures | {"double_support_percent": both}


def _steps(found: dict[str, tuple[GaitCycle, ...]], side: str) -> Iterator[float]:
    """Seconds from a contact of the other foot to the next one of this, within a cycle of the other."""
    (other,) = (name for name in SIDES if name != side)
    contacts = sorted({c.contact_s for c in found[side]} | {c.next_contact_s for c in found[side]})
    for cycle in found[other]:
        for contact_s in contacts:
            if cycle.contact_s < contact_s < cycle.next_contact_s:
                yield contact_s - cycle.contact_s
                break


def _distances(view: SideView, found: dict[str, tuple[GaitCycle, ...]]) -> dict[str, float]:
    """Step length and width at contact, walking speed and stride length over the ground."""
    if view.unit != "m" or view.flat:
        return {}
    heel = {side: heel_of(view, side) for side in SIDES}
    measures, widths, speeds = {}, [], []
    for side, other in (SIDES, SIDES[::-1]):
        first, last = (
            np.round(np.array(times) * view.sfreq_hz).astype(int)
            for times in zip(*((cycle.contact_s, cycle.next_contact_s) for cycle in found[side]), strict=True)
        )
        apart = (view.joints[heel[side]] - view.joints[heel[other]])[:, first]
        measures[f"{side}_step_length_m"] = _mean(apart[2])
        widths.append(np.abs(apart[0]))
        path = view.world[heel[side]][[0, 2]]
        strides = np.linalg.norm(path[:, last] - path[:, first], axis=0)
        measures[f"{side}_stride_length_m"] = _mean(strides)
        speeds.append(strides / [cycle.stride_s for cycle in found[side]])
    measures |= {"step_width_m": _mean(np.concatenate(widths)), "walking_speed_m_per_s": _mean(np.concatenate(speeds))}
    if measures["walking_speed_m_per_s"] < _STANDING_M_PER_S:
        ground = ("left_stride_length_m", "right_stride_length_m", "walking_speed_m_per_s")
        measures = {name: value for name, value in measures.items() if name not in ground}
    return {name: value for name, value in measures.items() if np.isfinite(value)}


def _mean(values: np.ndarray) -> float:
    return float(mean_of_present(values))
