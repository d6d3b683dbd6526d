"""What a target provider may look at before the first step: the windows that will be trained on, and what lies behind.

To call a corpus is to go through its windows as batches, which is all that most providers need. The rest is for those
whose answers come from elsewhere than the patches: a teacher that reads whole recordings, an encoder of an earlier run,
and a place to keep what took long to make.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..modality import Modality
from ..recording import Recording
from ..sequence import PatchSequence
from .encoder import Encoder


@dataclass(frozen=True, eq=False)
class RecordWindows:
    """recording: as the modality loads it. batch: those of its windows that are trained on. start_s: [row] where each
    begins in the recording."""

    recording: Recording
    batch: PatchSequence
    start_s: np.ndarray


class Corpus(ABC):
    """The windows of one pretraining.

    modality: whose windows they are. device: where large models should run. records: number of recordings.
    """

    modality: Modality
    device: str
    records: int

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """What the windows are made of and which of them these are: whatever was made of them goes by it."""

    @abstractmethod
    def __call__(self) -> Iterator[PatchSequence]:
        """All windows as batches, each time in the same order."""

    @abstractmethod
    def record(self, number: int) -> RecordWindows:
        """One of the recordings, opened again. Raises InputError where it is not known where they lie."""

    @abstractmethod
    def trained(self, folder: str) -> tuple[Encoder, Modality]:
        """Encoder and modality of an earlier run. Raises InputError when there is none that may be used here."""

    @abstractmethod
    def kept(self, kind: str, key: str, make: Callable[[], Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
        """Named arrays that were kept under (kind, key), or made now and kept; damaged ones are made again."""
