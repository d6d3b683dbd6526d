"""The other side of `speech_step.py`: wav2vec 2.0 as transformers trains it (Baevski et al. 2020).

`Wav2Vec2ForPreTraining` with the library's defaults (the base model) at any width and depth: seven convolutions of 512
channels on the waveform, a transformer at 50 Hz, masks of 65 % in spans of 10, 100 negatives, two groups of codes. What
depends on the width keeps the proportions of the base model: heads of 64, an inner layer of 4 widths, codes of a third.
Waveforms have zero mean and unit variance already, and masks and negatives, which its recipe draws in numpy, are drawn
before the clock starts: both in its favour, as is the fused optimiser.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from omnipatch.core.compat import ensure_torchaudio
from torch import Tensor, nn

DRAWS = 8  # of masks and negatives, used in turn
HEAD = 64  # width of an attention head
HIDDEN = 0.65  # of the frames, where spans do not overlap


def config(width: int, depth: int) -> Any:
    """Of the base model, in the width and depth asked for."""
    ensure_torchaudio()  # transformers imports it whenever it is installed
    from transformers import Wav2Vec2Config

    return Wav2Vec2Config(
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=width // HEAD,
        intermediate_size=4 * width,
        codevector_dim=width // 3,
        proj_codevector_dim=width // 3,
    )


def pretraining(waves: Tensor, width: int, depth: int) -> tuple[nn.Module, Callable[[], None]]:
    """The model in training, and one step of it on waveforms [clip, sample] at 16 kHz."""
    options = config(width, depth)
    from transformers import Wav2Vec2ForPreTraining

    model = Wav2Vec2ForPreTraining(options).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4, fused=True)
    waves = (waves - waves.mean(dim=1, keepdim=True)) / waves.std(dim=1, keepdim=True)
    frames = int(model._get_feat_extract_output_lengths(waves.shape[1]))
    draws = itertools.cycle([_drawn((len(waves), frames), options) for _ in range(DRAWS)])

    def step() -> None:
        hidden, negatives = next(draws)
        loss = model(waves, mask_time_indices=hidden, sampled_negative_indices=negatives).loss
        # as its recipe: a mean over the hidden frames
        (loss / hidden.sum()).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return model, step


def _drawn(shape: tuple[int, int], options: Any) -> tuple[Tensor, Tensor]:
    """Hidden frames [clip, frame] and, for each frame, the places of its negatives."""
    from transformers.models.wav2vec2 import modeling_wav2vec2 as own

    hidden: np.ndarray = own._compute_mask_indices(shape, HIDDEN, options.mask_time_length)
    negatives = own._sample_negative_indices(shape, options.num_negatives, hidden)
    return torch.from_numpy(hidden), torch.from_numpy(negatives)
