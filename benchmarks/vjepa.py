"""The network, masks and training step of EEG-VJEPA (amir-hojjati/eeg-vjepa), from a checkout.

The files of the checkout run unmodified: its models and mask generators, put together as its `train_step` does, without
the statistics it logs. Its main loop is left alone, because it needs a process group, CUDA and video readers.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FRAMES, CHANNELS, SAMPLES = 32, 19, 500
PATCH = (4, 4, 30)  # frames, channels, samples
# (blocks, share of the plane) of the two masks, as its configuration has them
MASKS = ((8, 0.15), (2, 0.7))
Masks = list[tuple[Tensor, Tensor]]  # (seen, hidden) [record, patch] of each set


@contextlib.contextmanager
def importable(checkout: Path) -> Iterator[None]:
    """The checkout's own modules while they are loaded. Raises SystemExit when it is none."""
    if not (checkout / "src" / "masks" / "multiblock3d.py").is_file():
        raise SystemExit(f"{checkout} is not a checkout of eeg-vjepa: src/masks/multiblock3d.py is missing")
    # it asks for a CUDA kernel in a way that torch calls outdated, at every layer
    warnings.filterwarnings("ignore", message=".*sdp_kernel", category=FutureWarning)
    sys.path.insert(0, str(checkout))
    try:
        yield
    finally:
        sys.path.remove(str(checkout))


def pretraining(checkout: Path, batch: int) -> tuple[list[nn.Module], Callable[[], object]]:
    """Encoder (384 x 12) and predictor (384 x 6), and one training step of them on random clips."""
    with importable(checkout):
        transformer = importlib.import_module("src.models.vision_transformer")
        predictors = importlib.import_module("src.models.predictor")
        wrappers = importlib.import_module("src.models.utils.multimask")
        masking = importlib.import_module("src.masks.multiblock3d")
        chosen = importlib.import_module("src.masks.utils")
    shape: dict[str, Any] = {
        "img_size": (CHANNELS, SAMPLES),
        "patch_size": PATCH[1:],
        "num_frames": FRAMES,
        "tubelet_size": PATCH[0],
        "uniform_power": True,
        "use_sdpa": True,
    }
    encoder = wrappers.MultiMaskWrapper(transformer.vit_small(**shape))
    size = {"embed_dim": 384, "predictor_embed_dim": 384, "depth": 6, "num_heads": 6}
    asking = {"use_mask_tokens": True, "num_mask_tokens": len(MASKS), "zero_init_mask_tokens": True}
    predictor = wrappers.PredictorMultiMaskWrapper(predictors.vit_predictor(**shape, **size, **asking))
    teacher = copy.deepcopy(encoder).requires_grad_(False)
    everything = [*encoder.named_parameters(), *predictor.named_parameters()]
    plain = [p for name, p in everything if "bias" in name or p.ndim == 1]
    decayed = [p for name, p in everything if "bias" not in name and p.ndim > 1]
    groups = [{"params": decayed, "weight_decay": 0.04}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=2e-4)
    generators = [
        masking._MaskGenerator(
            crop_size=(CHANNELS, SAMPLES),
            num_frames=FRAMES,
            spatial_patch_size=PATCH[1:],
            temporal_patch_size=PATCH[0],
            spatial_pred_mask_scale=(share, share),
            aspect_ratio=(0.75, 1.5),
            npred=blocks,
        )
        for blocks, share in MASKS
    ]
    drawn = typical([[generator(batch) for generator in generators] for _ in range(64)])
    clips = torch.randn(batch, 1, FRAMES, CHANNELS, SAMPLES)
    done = 0

    def step() -> None:
        nonlocal done
        seen, hidden = zip(*drawn[done % len(drawn)], strict=True)
        done += 1
        with torch.no_grad():
            h = teacher(clips)
            goals = chosen.apply_masks(F.layer_norm(h, h.shape[-1:]), hidden, concat=False)
        guesses = predictor(encoder(clips, list(seen)), goals, list(seen), list(hidden))
        errors = [torch.mean(torch.abs(z - h)) for z, h in zip(guesses, goals, strict=True)]
        torch.stack(errors).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            for online, average in zip(encoder.parameters(), teacher.parameters(), strict=True):
                average.data.mul_(0.998).add_(0.002 * online.detach().data)

    return [encoder, predictor], step


def typical(drawn: list[Masks], count: int = 8) -> list[Masks]:
    """Those of the drawn (seen, hidden) masks whose work is nearest to the mean: 12 layers see, 6 see and predict."""

    def work(masks: Masks) -> int:
        return sum(12 * seen.shape[1] + 6 * (seen.shape[1] + hidden.shape[1]) for seen, hidden in masks)

    mean = sum(map(work, drawn)) / len(drawn)
    return sorted(drawn, key=lambda masks: abs(work(masks) - mean))[:count]
