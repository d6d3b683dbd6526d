"""Preprocessing of one clip: jumps, gaps, another rate, and the frame of reference of its first person.

All of it keeps lost joints lost (NaN), takes any set of joints and persons, and leaves a flat pose flat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...core.errors import InputError
from ...core.modality import Recording
from .body import Body
from .frame_of_reference import body_size, facing, root_path, start_of, turned
from .gaps import at_frames, bridged, frames_at, without_jumps


@dataclass(frozen=True)
class PreprocessConfig:
    """What is done to a clip before it is cut; saved with the weights and done again at inference."""

    sfreq_hz: float = 30.0  # frames a second after resampling
    frames: int = 0  # bring every clip to so many frames, whatever it lasts; 0 = real time
    # a joint is lost where it jumps farther from its running median than so many torsos; 0 = never
    despike: float = 1.0
    gap_s: float = 0.3  # gaps up to this long are bridged by straight lines
    centre: Literal["start", "frame", "none"] = "start"  # origin: the root at the start, in every frame, or as recorded
    face_forward: bool = True  # turn the clip so that the first person faces +z
    body_scale: bool = True  # measure in torsos of the first person instead of metres or pixels
    lost: Literal["missing", "zero"] = (
        "missing"  # joints not seen are missing; "zero" is the field's habit, for comparison
    )

    def __post_init__(self) -> None:
        if self.sfreq_hz <= 0:
            raise InputError("must be positive", source="modality.sfreq_hz", got=self.sfreq_hz)
        for name in ("frames", "despike", "gap_s"):
            if getattr(self, name) < 0:
                raise InputError("must not be negative", source=f"modality.{name}", got=getattr(self, name))
        if self.frames == 1:
            raise InputError("one frame is no movement", source="modality.frames", got=1, expected="0, or two or more")


@dataclass(frozen=True, eq=False)
class Clip:
    """A preprocessed clip, to be cut into windows.

    positions: [sensor, 3, frame], NaN = lost. root: [3, frame] where the first person goes in it, None = not centred.
    moving_hz: frames a second of real time, which differs from `PreprocessConfig.sfreq_hz` only where clips are brought
        to a number of frames.
    """

    positions: np.ndarray
    moving_hz: float
    root: np.ndarray | None = None

    def stretch(self, part: slice, every_frame: bool) -> np.ndarray:
        """[sensor, 3, frame] float32 of a window, centred at its own start or in every frame."""
        x = self.positions[..., part]
        if self.root is not None:
            path = self.root[:, part]
            x = x - (path if every_frame else start_of(path, x))
        return x.astype(np.float32)


def preprocess(recording: Recording, body: Body, config: PreprocessConfig) -> Clip:
    """Raises InputError for a wrong shape or unit, fewer than two frames, or nobody in any of them."""
    x = _checked(recording)
    size = body_size(x, body, recording.unit)
    if config.despike:
        x = without_jumps(x, config.despike * size, recording.sfreq_hz)
    x = bridged(x, config.gap_s * recording.sfreq_hz)
    moving_hz = config.sfreq_hz
    if config.frames:
        moving_hz = (config.frames - 1) / (x.shape[-1] - 1) * recording.sfreq_hz
        x = at_frames(x, np.linspace(0.0, x.shape[-1] - 1, config.frames))
    elif abs(recording.sfreq_hz - config.sfreq_hz) > 1e-9:
        x = at_frames(x, frames_at(x.shape[-1], recording.sfreq_hz, config.sfreq_hz))
    if config.face_forward:
        x = turned(x, facing(x, body))
    if config.body_scale:
        x = x / size
    return Clip(x, moving_hz, None if config.centre == "none" else root_path(x, body))


def _checked(recording: Recording) -> np.ndarray:
    x = np.asarray(recording.signals, dtype=np.float32)
    if x.ndim != 3 or x.shape[1] != 3:
        raise InputError("wrong shape of a clip", source=recording.record, got=list(x.shape),
                         expected="[sensor, 3, frame]")  # fmt: skip
    if recording.unit not in ("m", "px"):
        raise InputError("wrong unit", source=recording.record, got=recording.unit, expected="m or px")
    if x.shape[-1] < 2:
        raise InputError("clip is too short", source=recording.record, got=f"{x.shape[-1]} frames",
                         expected="two or more")  # fmt: skip
    if not np.isfinite(x[:, 0]).any():
        raise InputError("nobody is seen in the clip", source=recording.record, got="lost joints only")
    return x
