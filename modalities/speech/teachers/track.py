"""What listens to one recording, and the states it has along it, with their times."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from ....core.modality import Recording


@dataclass(frozen=True)
class Track:
    """states: [frame, dim] float32. time_s: [frame] float64 middle of each in the recording, rising. known: [frame]
    bool, False where the recording has a gap. frame_s: their distance."""

    states: Tensor
    time_s: Tensor
    known: Tensor
    frame_s: float


class Listener(ABC):
    """A loaded teacher. frame_s: distance of its states. fingerprint: of everything its states depend on."""

    frame_s: float
    fingerprint: str

    @abstractmethod
    def listen(self, recording: Recording) -> Track:
        """States of a recording, on the CPU. Raises InputError for one that it cannot hear."""
