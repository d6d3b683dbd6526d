"""An encoder of an earlier run as the teacher: the second round learns the codes of what the first has learned.

The run brings its own preprocessing, windows and rate of tokens, and they are applied as in its training. Whether it
may be used here (it must not have heard this split's test subjects) is decided where it is loaded, by the core.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ....core.batching import collate
from ....core.blocks.corpus import Corpus
from ....core.blocks.encoder import Encoder
from ....core.blocks.registry import register
from ....core.errors import InputError
from ....core.modality import Modality, Recording
from ....core.sequence import PatchSequence
from .teacher import ListeningTeacher, chosen_layer, weights_digest
from .track import Listener, Track

_ROWS = 64  # windows that are encoded at once


@register("teacher", "run")
class RunTeacher(ListeningTeacher):
    """folder: of the run. layer: of its encoder, 0 = the patch embedding; negative from the end."""

    def __init__(self, *, folder: str, layer: int = -1) -> None:
        self.folder, self.layer = str(folder), layer

    def load(self, corpus: Corpus) -> Listener:
        encoder, modality = corpus.trained(self.folder)
        if modality.name != corpus.modality.name:
            raise InputError(
                "the teacher is of another modality", source="objective.targets", field="teacher.folder",
                got=f"{self.folder} ({modality.name})", expected=corpus.modality.name,
            )  # fmt: skip
        return RunListener(encoder, modality, self.layer)


class RunListener(Listener):
    """An encoder with the modality it was trained with."""

    def __init__(self, encoder: Encoder, modality: Modality, layer: int) -> None:
        self.encoder, self.modality = encoder.eval().requires_grad_(False), modality
        self.layer = chosen_layer(layer, encoder.depth)
        self.frame_s = modality.spec.axis_scales[0]
        self.fingerprint = weights_digest(encoder, modality.name, dataclasses.asdict(modality.config), self.layer)

    def listen(self, recording: Recording) -> Track:
        try:
            windows = self.modality.windows(recording)
        except InputError:  # long enough for the student, too short for a token of the teacher: nothing is known
            windows = []
        states, times = [torch.zeros(0, self.encoder.width)], [torch.zeros(0, dtype=torch.float64)]
        for at in range(0, len(windows), _ROWS):
            part = windows[at : at + _ROWS]
            batch = collate([self.modality.patchify(window) for window in part])
            start_s = torch.tensor([window.start_s for window in part], dtype=torch.float64)
            middle_s = start_s.unsqueeze(1) + batch.coords[..., 0].double()
            states.append(self._hidden(batch)[batch.valid])
            times.append(middle_s[batch.valid])
        time_s, order = torch.cat(times).sort(stable=True)  # windows may overlap
        return Track(torch.cat(states)[order], time_s, torch.ones(len(order), dtype=torch.bool), self.frame_s)

    @torch.no_grad()
    def _hidden(self, batch: PatchSequence) -> Tensor:
        """[row, patch, width] of the chosen layer."""
        device = next(self.encoder.parameters()).device
        encoded = self.encoder(batch.to(device), keep_layers=self.encoder.depth)
        return (encoded.embedding, *encoded.layers)[self.layer].float().cpu()
