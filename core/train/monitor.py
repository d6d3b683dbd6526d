"""Watching a run: health of every tap, an online kNN, and the guard that stops a collapsed run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from ..blocks.encoder import Encoder
from ..blocks.monitors import CollapseGuard, health, knn_accuracy
from ..distributed import gather_rows
from ..sequence import PatchSequence
from .precision import autocast

_CHUNK = 128  # windows encoded at a time for the online kNN


class Monitor:
    """Metrics of one monitored step.

    every: steps between checks. probe: windows that are not trained on, with one label each, for a
    leave-one-subject-out kNN on frozen embeddings; None without labels. The labels never reach the objective.
    """

    def __init__(self, every: int, probe: PatchSequence | None = None, precision: str = "32-true") -> None:
        self.every, self.probe, self.precision = every, probe, precision
        self.guard = CollapseGuard()

    def due(self, done: int) -> bool:
        """Whether to check once `done` steps are completed."""
        return self.every > 0 and done % self.every == 0

    def measure(self, taps: Mapping[str, Tensor], encoder: Encoder) -> dict[str, float]:
        """Metrics over the rows of all ranks."""
        metrics = health({name: gather_rows(z) for name, z in taps.items()})
        if self.probe is not None:
            accuracy = knn_accuracy(self._embed(encoder), self.probe.label, self.probe.subject)
            if accuracy is not None:
                metrics["knn/balanced_accuracy"] = accuracy
        return metrics

    @torch.no_grad()
    def _embed(self, encoder: Encoder) -> Tensor:
        assert self.probe is not None
        device = next(encoder.parameters()).device
        training = encoder.training
        encoder.eval()
        with autocast(device.type, self.precision):
            pooled = [encoder(part.to(device)).pooled.float().cpu() for part in _chunks(self.probe)]
        encoder.train(training)
        return torch.cat(pooled)


def _chunks(batch: PatchSequence) -> Iterator[PatchSequence]:
    for start in range(0, len(batch), _CHUNK):
        yield batch.rows(slice(start, start + _CHUNK))
