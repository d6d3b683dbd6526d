"""Where an encoder looks: the attention shares that training never forms.

Training uses fused attention, which keeps no shares. Here an encoder runs once more on a batch, and every attention
layer's shares are computed from what that layer was given. So any encoder made of `Attention` layers can be asked.

Rollout (Abnar & Zuidema 2020, https://arxiv.org/abs/2005.00928) follows the shares through the layers to the patches;
half of each step is the residual path. It shows which patches can have had a say, not which of them decided: test a
claim about a decision by hiding the patch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..sequence import PatchSequence
from .attention import Attention
from .encoder import Encoder


@torch.no_grad()
def attention_maps(encoder: Encoder, batch: PatchSequence) -> Tensor:
    """[layer, row, head, query, key] float32 shares, first layer first; each query's shares sum to 1.

    Registers of the encoder stand before the patches on both of the last axes. Invalid patches get no share; what
    they ask as queries has no meaning. Raises InputError when the encoder has no attention.
    """
    maps: list[Tensor] = []

    def keep(layer: torch.nn.Module, given: tuple[Any, ...]) -> None:
        assert isinstance(layer, Attention)
        x, bias, rotation, _ = given  # as a block calls it; encoders answer for every patch
        q, k, _ = layer.split(x, rotation)
        score = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5
        maps.append((score if bias is None else score + bias).softmax(dim=-1))

    hooks = [m.register_forward_pre_hook(keep) for m in encoder.modules() if isinstance(m, Attention)]
    training = encoder.training
    try:
        encoder.eval()(batch)
    finally:
        encoder.train(training)
        for hook in hooks:
            hook.remove()
    if not maps:
        raise InputError("the encoder has no attention to look at", got=type(encoder).__name__)
    return torch.stack(maps)


def rollout(maps: Tensor, patches: int) -> Tensor:
    """[layer, row, head, query, key] shares -> [row, patch, patch]: what each token drew from each of the `patches`.

    Heads are averaged; rows sum to 1, less what registers hold.
    """
    flow = torch.eye(maps.shape[-1], device=maps.device).expand(*maps.shape[1:2], -1, -1)
    for layer in maps.mean(dim=2):
        flow = 0.5 * (layer + torch.eye(layer.shape[-1], device=maps.device)) @ flow
    return flow[:, -patches:, -patches:]
