"""A trained encoder by the common interface of HEAR 2021 (Turian et al. 2022, https://arxiv.org/abs/2203.03022).

    model = load_model("runs/speech-mvq")
    embeddings, timestamps_ms = get_timestamp_embeddings(audio, model)    # audio: [sound, sample] at model.sample_rate
    embeddings = get_scene_embeddings(audio, model)

All sounds of a call are as long, and have an embedding at the same places. So nothing is trimmed here, the end is
filled up to a whole window, and the vectors of a sound that is silent all along are 0.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ...core.batching import collate
from ...core.errors import InputError
from ...core.modality import Recording
from .modality import Speech
from .quality import is_silent

if TYPE_CHECKING:
    from ...core.train.model_io import Model

_BATCH = 64  # windows in one pass


class HearModel(nn.Module):
    """sample_rate: Hz of the audio it takes. scene_embedding_size, timestamp_embedding_size: numbers of a vector."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        if not isinstance(model.modality, Speech):
            raise InputError("the model is of another modality", got=model.modality.name, expected="speech")
        config = model.modality.config
        # windows side by side, each second once; loudness and ends stay where they are
        self.adapter = Speech(replace(config, stride_s=config.window_s, trim_db=0.0))
        self.encoder = model.encoder
        self.sample_rate = round(config.sfreq_hz)
        self.timestamp_embedding_size = self.scene_embedding_size = model.encoder.width

    @torch.no_grad()
    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """[sound, sample] in -1 to 1 -> embeddings [sound, time, width] and middles of tokens [time] in ms."""
        if audio.ndim != 2 or not audio.shape[1]:
            raise InputError("audio has the wrong shape", got=list(audio.shape), expected="[sound, sample]")
        config = self.adapter.config
        step_s = 1.0 / config.token_hz
        times = max(1, round(audio.shape[1] / self.sample_rate / step_s))
        found = torch.zeros(len(audio), times, self.timestamp_embedding_size)
        rows, owner, first = [], [], []
        for i, wave in enumerate(audio.detach().cpu().float().numpy()):
            for window in self._windows(wave, i):
                rows.append(self.adapter.patchify(window))
                owner.append(i)
                first.append(round(window.start_s / step_s))
        for start in range(0, len(rows), _BATCH):
            part = slice(start, start + _BATCH)
            batch = collate(rows[part]).to(next(self.encoder.parameters()).device)
            encoded = self.encoder(batch)
            place = torch.tensor(first[part])[:, None] + (encoded.coords[..., 0].cpu() / step_s - 0.5).round().long()
            known = encoded.valid.cpu() & (place < times)
            sound = torch.tensor(owner[part])[:, None].expand_as(place)
            found[sound[known], place[known]] = encoded.tokens.float().cpu()[known]
        return found, (torch.arange(times) + 0.5) * (1000.0 * step_s)

    def _windows(self, wave: np.ndarray, number: int) -> list:
        """Windows of a sound that is filled up with silence; none where all of it is silent."""
        if is_silent(wave):
            return []
        size = round(self.adapter.config.window_s * self.sample_rate)
        padded = np.pad(wave, (0, -len(wave) % size))
        recording = Recording(padded[None], ("mono",), float(self.sample_rate), "FS", str(number))
        return self.adapter.windows(recording)


def load_model(model_file_path: str | Path) -> HearModel:
    """From a run folder or its `model/`. Raises InputError when there is none or it is of another modality."""
    from ...core.train import model_io  # here alone: an adapter is read before there is anything trained

    return HearModel(model_io.load_model(model_file_path)).eval()


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """[sound, sample] -> embeddings [sound, time, width] and their times [sound, time] in milliseconds."""
    embeddings, at = model(audio)
    return embeddings, at.expand(len(audio), -1)


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """[sound, sample] -> [sound, width], the mean over all times."""
    return model(audio)[0].mean(dim=1)
