"""How far a model's own decisions on unlabelled items are believed: one policy object for a family of methods.

A policy sees the class probabilities of a batch, remembers what is typical of them, and says how much the decision on
each item counts: 0 or 1 with thresholds, anything between with weights. Its memory is part of one training.

- `fixmatch` (Sohn et al. 2020, https://arxiv.org/abs/2001.07685): those at least `threshold` sure.
- `freematch` (Wang et al. 2022, https://arxiv.org/abs/2205.07246): those surer than is usual at this point of training,
  a class that is seldom decided for with less.
- `softmatch` (Chen et al. 2023, https://arxiv.org/abs/2301.10921): all, by how far they lie below what is usual, on a
  truncated Gaussian.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

PseudoLabels = Callable[[Tensor], Tensor]  # [item, class] probabilities -> [item] weights between 0 and 1

# Published: 0.999, for a million steps. Fine-tuning has hundreds, in which it would hardly leave its first value.
MOMENTUM = 0.95
SPREAD = 2.0  # of softmatch: half a standard deviation below what is usual, a decision counts exp(-1/2)


class FixMatch:
    """Decisions of at least a fixed confidence."""

    def __init__(self, classes: int, threshold: float) -> None:
        self.threshold = threshold

    def __call__(self, probability: Tensor) -> Tensor:
        return (probability.amax(dim=1) >= self.threshold).float()


class FreeMatch:
    """Decisions surer than a running mean of confidence, scaled by how often their class is said.

    threshold: no decision has to be surer than this.
    """

    def __init__(self, classes: int, threshold: float) -> None:
        self.most = threshold
        self.confidence, self.share = torch.tensor(1.0 / classes), torch.full((classes,), 1.0 / classes)

    def __call__(self, probability: Tensor) -> Tensor:
        sure, said = probability.max(dim=1)
        self.confidence = _follow(self.confidence, sure.mean())
        self.share = _follow(self.share, probability.mean(dim=0))
        needed = (self.confidence * self.share / self.share.max()).clamp(max=self.most)
        return (sure >= needed[said]).float()


class SoftMatch:
    """All decisions, less where confidence lies below its running mean, in units of its running deviation.

    threshold: whoever is at least so sure counts in full.
    """

    def __init__(self, classes: int, threshold: float) -> None:
        self.most = threshold
        self.mean, self.variance = torch.tensor(1.0 / classes), torch.tensor(1.0)

    def __call__(self, probability: Tensor) -> Tensor:
        sure = probability.amax(dim=1)
        self.mean = _follow(self.mean, sure.mean())
        self.variance = _follow(self.variance, sure.var(correction=0))
        below = (self.mean.clamp(max=self.most) - sure).clamp(min=0.0)
        return torch.exp(-(below**2) * SPREAD**2 / (2.0 * self.variance.clamp(min=1e-8)))


# (classes, threshold) -> a policy
POLICIES: dict[str, Callable[[int, float], PseudoLabels]] = {
    "fixmatch": FixMatch, "freematch": FreeMatch, "softmatch": SoftMatch,
}  # fmt: skip


def _follow(old: Tensor, new: Tensor) -> Tensor:
    return MOMENTUM * old.to(new) + (1.0 - MOMENTUM) * new
