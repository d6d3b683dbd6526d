"""AdamW and its learning rate, as a pure function of the step.

Weight decay acts on matrices only: norms, biases, embeddings and free tokens (registers, mask tokens) are exempt.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..blocks.schedules import Infinite, Schedule, WarmupCosine
from ..config import OptimizerConfig
from ..errors import InputError


def build_adamw(module: nn.Module, config: OptimizerConfig, *, fused: bool = True) -> torch.optim.AdamW:
    """Fused AdamW over the trainable parameters of a module, in two groups: with and without weight decay."""
    return torch.optim.AdamW(
        decay_groups(module, config.weight_decay), lr=config.lr, betas=(config.betas[0], config.betas[1]), fused=fused
    )


def decay_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups of a module: weight matrices decay, everything else does not."""
    decayed, exempt = [], []
    for owner in module.modules():
        for name, parameter in owner.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            # attention modules of torch name theirs in_proj_weight; a bare 2-D parameter is a set of tokens
            matrix = parameter.ndim >= 2 and name.endswith("weight") and not isinstance(owner, nn.Embedding)
            group = decayed if matrix else exempt
            if not any(parameter is other for other in group):
                group.append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": exempt, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def learning_rate(config: OptimizerConfig) -> Schedule:
    """The recipe's learning rate as (step, total steps) -> rate. Raises InputError when its phases cannot be."""
    if config.schedule == "infinite":
        final = config.lr * config.final
        try:
            # half the peak is the plateau of the paper's own runs
            return Infinite(peak=config.lr, constant=max(final, 0.5 * config.lr), final=final, warmup=config.warmup)
        except ValueError as error:
            raise InputError(
                "the infinite schedule cannot have these phases", field="optimizer.final, optimizer.warmup", got=error
            ) from error
    floor = 1.0 if config.schedule == "constant" else config.final
    return WarmupCosine(peak=config.lr, warmup=config.warmup, final=floor)
