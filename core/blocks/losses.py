"""Losses that compare item by item: (prediction, target) -> a value and a weight for each item.

A target number that is NaN was not measured: it counts neither in the value nor in the weight. Reduction over items
and ranks happens in one place, `objective.reduce`; so does turning autocast off, so that losses are float32.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .registry import register
from .targets import Target


class Loss(nn.Module):
    """Base. `gathered`: values already cover the batch of all ranks, identically on each of them."""

    gathered = False

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        """-> (values, weights), both [item ...]. subject: [row] code of who each row came from, -1 = unknown."""
        raise NotImplementedError


def _known(target: Target) -> Tensor:
    """[item ..., out] bool: numbers that were measured and may count."""
    return torch.isfinite(target.values) & target.valid.unsqueeze(-1)


class _Elementwise(Loss):
    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        known = _known(target)
        goal = torch.where(known, target.values, 0.0)
        error = self.error(torch.where(known, prediction.float(), 0.0), goal)
        count = known.sum(dim=-1)
        return error.sum(dim=-1) / count.clamp(min=1), (count > 0).to(error.dtype)

    def error(self, prediction: Tensor, goal: Tensor) -> Tensor:
        raise NotImplementedError


@register("loss", "l2")
class L2(_Elementwise):
    """Mean squared error over the known numbers of an item."""

    def error(self, prediction: Tensor, goal: Tensor) -> Tensor:
        return (prediction - goal).square()


@register("loss", "l1")
class L1(_Elementwise):
    """Mean absolute error (V-JEPA)."""

    def error(self, prediction: Tensor, goal: Tensor) -> Tensor:
        return (prediction - goal).abs()


@register("loss", "smooth_l1")
class SmoothL1(_Elementwise):
    """Huber-like error (I-JEPA); beta: width of the quadratic part."""

    def __init__(self, *, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def error(self, prediction: Tensor, goal: Tensor) -> Tensor:
        return F.smooth_l1_loss(prediction, goal, reduction="none", beta=self.beta)


@register("loss", "cosine")
class Cosine(Loss):
    """2 - 2 cos (BYOL, SimSiam)."""

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        known = _known(target)
        guess, goal = torch.where(known, prediction.float(), 0.0), torch.where(known, target.values, 0.0)
        value = 2.0 - 2.0 * F.cosine_similarity(guess, goal, dim=-1)
        return value, known.any(dim=-1).to(value.dtype)


@register("loss", "scaled_cosine")
class ScaledCosine(Loss):
    """(1 - cos) ** beta: what is nearly right counts little (GraphMAE, Hou et al. 2022,
    https://arxiv.org/abs/2205.10803, eq. 2; SkeletonMAE calls it the re-weighted cosine error).

    beta: 1 = plain cosine error; at 2 or 3 easy items hardly count. The length of a prediction is never learned.
    """

    def __init__(self, *, beta: float = 2.0) -> None:
        super().__init__()
        if beta < 1:
            raise ValueError(f"beta must be at least 1, got {beta}: below it, gradients grow without bound")
        self.beta = beta

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        known = _known(target)
        guess, goal = torch.where(known, prediction.float(), 0.0), torch.where(known, target.values, 0.0)
        # rounding may take the cosine of equal directions past 1
        error = (1.0 - F.cosine_similarity(guess, goal, dim=-1)).clamp(min=0.0)
        return error**self.beta, known.any(dim=-1).to(error.dtype)


@register("loss", "soft_cross_entropy")
class SoftCrossEntropy(Loss):
    """Cross-entropy with a distribution as target (DINO); temperature divides the predicted scores."""

    def __init__(self, *, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        log_p = F.log_softmax(prediction.float() / self.temperature, dim=-1)
        goal = torch.where(target.valid.unsqueeze(-1), target.values, 0.0)
        return -(goal * log_p).sum(dim=-1), target.valid.to(log_p.dtype)
