"""States of a teacher along one recording, with their times."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Track:
    """states: [frame, dim] float32. time_s: [frame] float64 middle of each in the recording, rising. known: [frame]
    bool, False where the recording has a gap. frame_s: their distance."""

    states: Tensor
    time_s: Tensor
    known: Tensor
    frame_s: float
