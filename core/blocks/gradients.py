"""Gradients on their way back: scaled, stopped or turned round; values pass unchanged."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """`x`, whose gradient is multiplied by `factor`: 0 stops it, a negative one makes what follows an adversary
    (gradient reversal, Ganin & Lempitsky 2015, https://arxiv.org/abs/1409.7495)."""
    return x if factor == 1 else _Scale.apply(x, factor)


class _Scale(Function):
    @staticmethod
    def forward(ctx, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor, None]:
        # zero times an infinite gradient would not be zero
        return grads[0] * ctx.factor if ctx.factor else torch.zeros_like(grads[0]), None
