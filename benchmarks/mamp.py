"""The network and pretraining step of MAMP (maoyunyao/MAMP), from a checkout.

Its model runs unmodified, in the configuration it ships for NTU-60 (`pretrain_mamp_t120_layer8+5_mask90`), with the
optimiser of its `main_pretrain.py`. Its training loop is left alone: it needs CUDA, a process group and old packages.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

FRAMES, JOINTS = 120, 25
PATCH_FRAMES = 4
MASK_RATIO, TAU = 0.9, 0.8
SIZE = {"dim_feat": 256, "decoder_dim_feat": 256, "depth": 8, "decoder_depth": 5, "num_heads": 8}
CLIP = {"num_frames": FRAMES, "num_joints": JOINTS, "t_patch_size": PATCH_FRAMES}
LR, DECAY, BETAS = 1e-3, 0.05, (0.9, 0.95)


def network(checkout: Path) -> nn.Module:
    """Encoder and decoder. Raises SystemExit when the folder is no checkout."""
    if not (checkout / "model_mamp" / "transformer.py").is_file():
        raise SystemExit(f"{checkout} is not a checkout of MAMP: model_mamp/transformer.py is missing")
    sys.path.insert(0, str(checkout))
    try:
        transformer = importlib.import_module("model_mamp.transformer")
    finally:
        sys.path.remove(str(checkout))
    return transformer.Transformer(**SIZE, **CLIP, mlp_ratio=4, qkv_bias=True, norm_skes_loss=True)


def pretraining(checkout: Path, batches: list[Tensor]) -> tuple[nn.Module, Callable[[], None]]:
    """The network, and a step on each batch of clips [clip, xyz, frame, joint, person], empty persons as zeros."""
    net = network(checkout)
    plain = [p for name, p in net.named_parameters() if p.ndim == 1 or name.endswith(".bias")]
    decayed = [p for name, p in net.named_parameters() if p.ndim > 1 and not name.endswith(".bias")]
    groups = [{"params": plain, "weight_decay": 0.0}, {"params": decayed, "weight_decay": DECAY}]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS)

    def step() -> None:
        for clips in batches:
            loss = net(clips, mask_ratio=MASK_RATIO, motion_stride=1, motion_aware_tau=TAU)[0]
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return net, step
