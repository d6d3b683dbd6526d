"""Positions of joints as a recording: where every file format ends.

- Metres, y up, right-handed, whatever the file had. Pixels stay pixels (unit "px"), their y points up too, and an
  image pose has no depth: z = NaN.
- A joint that was lost, or that its detector did not trust, is NaN and never a position at the origin.
- Sensors carry the vocabulary's names, so nothing later needs to know which file it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...core.errors import CorruptFileError, InputError
from ...core.recording import Recording
from .layout import UNITS, SkeletonLayout, layouts_of
from .vocabulary import sensor_name

LEAST_CONFIDENCE = 0.3
SLOWEST_HZ, FASTEST_HZ = 1.0, 2_000.0
_FARTHEST = {"m": 1_000.0, "px": 1e5}  # beyond it a number is no position
_LARGEST_NUMBER = 1e7  # of a position in any unit
# columns (file's axes) of x, y, z of the recording and their signs: proper rotations that bring `up` to y
_TURNS = {
    "y": ((0, 1, 2), (1, 1, 1)), "-y": ((0, 1, 2), (1, -1, -1)), "z": ((0, 2, 1), (1, 1, -1)),
    "-z": ((0, 2, 1), (1, -1, 1)), "x": ((1, 0, 2), (-1, 1, 1)), "-x": ((1, 0, 2), (1, -1, 1)),
}  # fmt: skip


def make_clip(
    positions: np.ndarray,
    layout: SkeletonLayout,
    sfreq_hz: float,
    record: str,
    *,
    confidence: np.ndarray | None = None,
    least_confidence: float = LEAST_CONFIDENCE,
    label: Sequence[str] = (),
    subject: str = "",
    extras: Mapping[str, Any] | None = None,
    source: object = None,
) -> Recording:
    """A recording of positions [person, frame, joint, 2 or 3] in the layout's unit, axes and order of joints.

    confidence: [person, frame, joint] from 0 to 1 (more counts as 1); a joint below `least_confidence` counts as lost.
        It is kept as extras["confidence"] [sensor, frame] float32.
    source: what errors name, the record where it is not given.
    Returns signals [sensor, 3, frame] float32, NaN = lost; extras["layout"] is the layout. Persons who are never seen
    have no sensors.
    Raises InputError for a wrong number of joints, no frames, nobody seen or an implausible frame rate.
    """
    source = source if source is not None else record
    x = np.asarray(positions)
    if x.ndim != 4 or x.shape[-1] not in (2, 3) or not np.issubdtype(x.dtype, np.number) or np.iscomplexobj(x):
        raise CorruptFileError(
            "no positions of joints", source=source, got=f"{x.dtype} of shape {x.shape}",
            expected="numbers [person, frame, joint, 2 or 3]",
        )  # fmt: skip
    _check_joints(x.shape[2], layout, source)
    _check_rate(sfreq_hz, source)
    if not x.shape[0] or not x.shape[1]:
        raise CorruptFileError("no frames" if x.shape[0] else "nobody in it", source=source)
    x = _turned(numbers_are_finite(x), layout, source)
    if confidence is not None:
        confidence = _checked_confidence(confidence, x.shape[:3], source)
        x[~(confidence >= least_confidence)] = np.nan
    seen = np.flatnonzero(np.isfinite(x).any(axis=(1, 2, 3)))
    if not len(seen):
        raise CorruptFileError(
            "nobody is seen in it", source=source, got="no joint with a finite position"
            + (f" and a confidence of at least {least_confidence:g}" if confidence is not None else ""),
        )  # fmt: skip
    more: dict[str, Any] = {**(extras or {}), "layout": layout}
    if confidence is not None:
        more["confidence"] = _rows(confidence[seen][..., None])[:, 0]
    return Recording(
        signals=_rows(x[seen]),
        sensors=tuple(sensor_name(joint, person) for person in range(len(seen)) for joint in layout.meaning),
        sfreq_hz=float(sfreq_hz),
        unit="px" if layout.image else "m",
        record=record,
        subject=subject,
        label=tuple(label),
        extras=more,
    )


def numbers_are_finite(x: np.ndarray) -> np.ndarray:
    """A copy in float64 with NaN for what is not finite or too large for a position in any unit."""
    with np.errstate(invalid="ignore"):  # files can hold signalling NaNs
        x = x.astype(np.float64)
        x[~(np.abs(x) <= _LARGEST_NUMBER)] = np.nan
    return x


def zeros_are_lost(positions: np.ndarray) -> np.ndarray:
    """A copy of [person, frame, joint, axis] in float with NaN where a file wrote zeros for a lost joint.

    A joint that is zero throughout is the centre of coordinates in the frames where others are not zero, and stays.
    """
    x = numbers_are_finite(positions)
    zero = (x == 0).all(axis=-1)
    nothing = zero.all(axis=2, keepdims=True)  # whole frames of a person
    centre = (zero | nothing).all(axis=(0, 1), keepdims=True) & ~nothing
    # more than one such joint: never seen rather than centred on
    x[zero & ~(centre & (centre.sum(axis=2, keepdims=True) == 1))] = np.nan
    return x


def with_unit(layout: SkeletonLayout, unit: str) -> SkeletonLayout:
    """The same joints in another unit: three-dimensional poses of a detector whose image poses are pixels."""
    return replace(layout, unit=unit)


def _check_joints(count: int, layout: SkeletonLayout, source: object) -> None:
    if count == len(layout.joints):
        return
    others = layouts_of(count)
    raise InputError(
        "wrong number of joints", source=source, field="layout", got=count,
        expected=f"{len(layout.joints)} of layout {layout.name}",
        fix=f"built-in layouts with {count} joints: {', '.join(others)}" if others
        else "describe the joints in a layout of your own (YAML)",
    )  # fmt: skip


def _check_rate(sfreq_hz: float, source: object) -> None:
    if not SLOWEST_HZ <= sfreq_hz <= FASTEST_HZ:
        raise InputError(
            "implausible frame rate", source=source, field="sfreq_hz", got=sfreq_hz,
            expected=f"{SLOWEST_HZ:g} to {FASTEST_HZ:g} Hz",
        )  # fmt: skip


def _turned(x: np.ndarray, layout: SkeletonLayout, source: object) -> np.ndarray:
    """[person, frame, joint, 3] float32 in metres or pixels, y up; what is beyond any camera = NaN."""
    if x.shape[-1] == 2:
        if layout.up not in ("y", "-y"):
            raise InputError(
                "positions of two axes cannot have depth up", source=source, field="up", got=layout.up,
                expected="y or -y",
            )  # fmt: skip
        x = np.concatenate([x, np.full((*x.shape[:-1], 1), np.nan)], axis=-1)
    columns, signs = _TURNS[layout.up]
    x = x[..., list(columns)] * signs * UNITS[layout.unit]
    if layout.handed == "left":
        x[..., 2] *= -1.0
    farthest = _FARTHEST["px" if layout.image else "m"]
    axes = 3 if np.isfinite(x[..., 2]).any() else 2  # an image pose has no depth anywhere
    x[~(np.abs(x[..., :axes]) <= farthest).all(axis=-1)] = np.nan
    return x.astype(np.float32)


def _checked_confidence(confidence: np.ndarray, shape: tuple[int, ...], source: object) -> np.ndarray:
    confidence = np.asarray(confidence)
    if confidence.shape != shape or not (np.issubdtype(confidence.dtype, np.number) or confidence.dtype == bool):
        raise CorruptFileError(
            "confidence does not fit the positions", source=source, got=f"{confidence.dtype} of {confidence.shape}",
            expected=f"numbers [person, frame, joint] of {tuple(shape)}",
        )  # fmt: skip
    return np.clip(confidence.astype(np.float64), 0.0, 1.0).astype(np.float32)


def _rows(x: np.ndarray) -> np.ndarray:
    """[person, frame, joint, value] -> [sensor, value, frame], persons one after another."""
    person, frame, joint, value = x.shape
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).reshape(person * joint, value, frame)
