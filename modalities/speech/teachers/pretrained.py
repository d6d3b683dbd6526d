"""Any audio model of transformers as a teacher: HuBERT, wav2vec 2.0, WavLM, data2vec, Whisper's encoder and their like.

- The model's own feature extractor says the rate and the normalisation; the channel is the student's.
- Recordings go through one by one, unpadded: models with group norm hear padding. Long ones go through in pieces, each
  normalised for itself, which overlap so that the states that are used have heard what stands around them.
- Convolutional front ends say exactly where a state lies (their kernels and strides). States of others share the
  stretch that the model hears evenly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ....core.blocks.corpus import Corpus
from ....core.blocks.registry import register
from ....core.errors import first_line
from ....core.modality import Recording
from ....core.signals import fill_gaps, resample
from ..preprocess import one_channel
from .hub import load_pretrained, no_teacher
from .teacher import ListeningTeacher, chosen_layer, weights_digest
from .track import Listener, Track

_PIECE_S, _MARGIN_S = 20.0, 1.0  # of a long recording: used of each piece, and heard beyond it on either side
_LEAST_S = 0.1  # shorter sound is followed by silence: a front end must get a frame out of it
_PROBE_S = 2.0


@register("teacher", "transformers")
class PretrainedTeacher(ListeningTeacher):
    """model: local folder or hub id. layer: of its hidden states, 0 = what enters the first layer; negative from the
    end. local_files_only: never ask the hub; a folder is never looked up there."""

    def __init__(self, *, model: str, layer: int = -1, local_files_only: bool = False) -> None:
        self.model, self.layer, self.local_files_only = str(model), layer, local_files_only

    def load(self, corpus: Corpus) -> Listener:
        channel = getattr(corpus.modality.config, "channel", "mix")
        extractor, model = load_pretrained(self.model, self.local_files_only)
        return PretrainedListener(self.model, extractor, model.to(corpus.device), self.layer, channel)


class PretrainedListener(Listener):
    """A loaded model with its feature extractor. Raises InputError when it makes no states of sound."""

    def __init__(self, name: str, extractor: Any, model: Any, layer: int, channel: str) -> None:
        self.name, self.extractor, self.model, self.channel = name, extractor, model, channel
        self.sfreq_hz = float(extractor.sampling_rate)
        self.front = FrontEnd.of(model.config)
        self.heard_s = getattr(extractor, "chunk_length", None)  # models that hear a fixed length, padded with silence
        found = self._probe()
        self.layer = chosen_layer(layer, len(found) - 1)
        self.frame_s = self._times(found[0].shape[1], _PROBE_S)[1]
        said = (extractor.to_json_string(), self.layer, channel, _PIECE_S, _MARGIN_S)
        self.fingerprint = weights_digest(model, *said)

    def listen(self, recording: Recording) -> Track:
        wave, gaps = fill_gaps(one_channel(recording, self.channel)[None].astype(np.float32))
        sound = resample(wave, recording.sfreq_hz, self.sfreq_hz)[0].astype(np.float32)
        parts = [self._piece(sound, start, stop) for start, stop in _pieces(len(sound) / self.sfreq_hz)]
        states, time_s = (torch.cat(part) for part in zip(*parts, strict=True))
        edges = np.append(time_s.numpy() - self.frame_s / 2, float(time_s[-1]) + self.frame_s / 2)
        missing = np.histogram(np.flatnonzero(gaps[0]) / recording.sfreq_hz, edges)[0]
        return Track(states, time_s, torch.from_numpy(missing == 0), self.frame_s)

    def _piece(self, sound: np.ndarray, start_s: float, stop_s: float) -> tuple[Tensor, Tensor]:
        """States and times in the recording of the stretch from start_s to stop_s, heard with its margins."""
        first = max(0, round((start_s - _MARGIN_S) * self.sfreq_hz))
        first -= first % (self.front.stride if self.front else 1)  # states of all pieces lie on one grid
        part = sound[first : round((stop_s + _MARGIN_S) * self.sfreq_hz)]
        seconds = len(part) / self.sfreq_hz
        least = round(_LEAST_S * self.sfreq_hz)
        if len(part) < least:
            part = np.pad(part, (0, least - len(part)))
        states = self._hidden(part)[self.layer][0].float().cpu()
        time_s = self._times(len(states), max(seconds, _LEAST_S))[0]
        # the half frame: the last state of a recording may lie past its end
        used = time_s < seconds + self.frame_s / 2
        time_s = time_s + first / self.sfreq_hz
        used &= (time_s >= start_s) & ((time_s < stop_s) | (stop_s * self.sfreq_hz >= len(sound)))
        return states[used], time_s[used]

    def _times(self, frames: int, seconds: float) -> tuple[Tensor, float]:
        """[frame] middle of each state of so long a stretch, and their distance."""
        number = torch.arange(frames, dtype=torch.float64)
        if self.front is not None:
            return (self.front.first + number * self.front.stride) / self.sfreq_hz, self.front.stride / self.sfreq_hz
        frame_s = float(self.heard_s or seconds) / frames
        return (number + 0.5) * frame_s, frame_s

    @torch.no_grad()
    def _hidden(self, sound: np.ndarray) -> tuple[Tensor, ...]:
        """[1, frame, dim] of each layer, what enters the first included."""
        inputs = self.extractor(sound, sampling_rate=round(self.sfreq_hz), return_tensors="pt")
        device = next(self.model.parameters()).device
        given = {name: inputs[name].to(device) for name in ("input_values", "input_features") if name in inputs}
        return self.model(**given, output_hidden_states=True).hidden_states

    def _probe(self) -> tuple[Tensor, ...]:
        """States of silence; says at once when the model is of another kind."""
        try:
            found = self._hidden(np.zeros(round(_PROBE_S * self.sfreq_hz), np.float32))
            shapes = {tuple(states.shape[:2]) for states in found}
        except Exception as error:  # models for other input fail in any way
            raise no_teacher(self.name, first_line(error)) from error
        if len(shapes) != 1 or next(iter(shapes))[0] != 1 or hasattr(self.model.config, "frequency_stride"):
            raise no_teacher(self.name, f"states of shape {', '.join(map(str, sorted(shapes)))}")
        return found


@dataclass(frozen=True)
class FrontEnd:
    """Convolutions from samples to states. first: middle of the first state, stride: distance of states, in samples."""

    first: float
    stride: int

    @classmethod
    def of(cls, config: Any) -> FrontEnd | None:
        """As a configuration describes it; None where it describes none."""
        kernels, strides = getattr(config, "conv_kernel", None), getattr(config, "conv_stride", None)
        if not kernels or not strides:
            return None
        field, jump = 1, 1
        for kernel, stride in zip(kernels, strides, strict=True):
            field, jump = field + (kernel - 1) * jump, jump * stride
        squeeze = int(getattr(config, "squeeze_factor", 1))  # SEW averages neighbours once more
        return cls((field - 1) / 2 + (squeeze - 1) * jump / 2, jump * squeeze)


def _pieces(seconds: float) -> Iterator[tuple[float, float]]:
    """(start, stop) of the stretches that a recording is heard in; equally long, so that none is a mere rest."""
    count = max(1, -int(-seconds // _PIECE_S))
    for number in range(count):
        yield seconds * number / count, seconds * (number + 1) / count
