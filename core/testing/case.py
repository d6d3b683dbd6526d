"""What a check looks at: an adapter and the recordings, windows and patches it makes, each made when first asked for.

Design decisions
- Everything comes from `Modality.example` and `Modality.demo`, so no check needs a file.
- A case lives for one check, and every recording is made anew: an adapter that writes into its input or keeps state
  fails the checks about that, not all of them.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..batching import collate
from ..modality import Modality, Recording, Source, Window
from ..rng import RowRandom
from ..sequence import PatchSequence

MOST_WINDOWS = 6  # rows of the batch: enough to differ in length and content, few enough to be quick


class Case:
    """An adapter under check."""

    def __init__(self, modality: Modality) -> None:
        self.modality = modality

    def recording(self, seed: int = 0) -> Recording:
        """An example; equal seeds give equal recordings."""
        return self.modality.example(np.random.default_rng(seed))

    @cached_property
    def windows(self) -> list[Window]:
        """Windows of one example."""
        return self.modality.windows(self.recording())

    @cached_property
    def row(self) -> PatchSequence:
        """The patches of the first window."""
        return self.modality.patchify(self.windows[0])

    @cached_property
    def batch(self) -> PatchSequence:
        """Windows of two examples in one batch, with ids, subjects and a label of their own."""
        windows = [*self.windows, *self.modality.windows(self.recording(1))]
        chosen = windows[:: max(1, len(windows) // MOST_WINDOWS)][:MOST_WINDOWS]
        # short windows show what padding does
        batch = collate([self.modality.patchify(window) for window in [*chosen, *windows[-1:]]])
        number = torch.arange(len(batch))
        return batch.replace(window=1000 + 7 * number, record=number, subject=number, site=number * 0, label=number % 2)

    @cached_property
    def sources(self) -> list[Source]:
        """The demo set."""
        return list(self.modality.demo())

    def rng(self, step: int = 0, batch: PatchSequence | None = None) -> RowRandom:
        """Randomness of one step for the rows of `batch` (default: the case's batch)."""
        return RowRandom(0, step, (self.batch if batch is None else batch).window)

    def fresh(self) -> Modality:
        """Another instance with the same configuration."""
        return type(self.modality)(self.modality.config)


def read_only(value: Any) -> Any:
    """A copy of a recording or window whose arrays cannot be written to; it shares nothing with the original."""
    changes: dict[str, Any] = {"extras": dict(value.extras)}
    for field in dataclasses.fields(value):
        content = getattr(value, field.name)
        if isinstance(content, np.ndarray):
            content = content.copy()
            content.flags.writeable = False
            changes[field.name] = content
    return dataclasses.replace(value, **changes)


@contextmanager
def watched_random_state() -> Iterator[list[str]]:
    """Fills the list, on leaving, with the global generators that were drawn from or seeded meanwhile."""
    touched: list[str] = []
    before = _random_states()
    yield touched
    touched += [name for name, state in _random_states().items() if state != before[name]]


def _random_states() -> dict[str, object]:
    legacy: Any = np.random.get_state()  # noqa: NPY002 - the global state is what is watched
    return {
        "random": random.getstate(),
        "numpy.random": (legacy[1].tobytes(), *legacy[2:]),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }
