"""Losses over the whole batch of embeddings, gathered from all ranks with gradient.

They see every row of the global batch, so two processes give the loss of one at the same global batch. A row without
a valid target is left out altogether: it is nobody's negative.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..distributed import gather_rows
from .losses import Loss
from .registry import register
from .targets import Target


@register("loss", "nt_xent")
class NTXent(Loss):
    """SimCLR's normalised temperature-scaled cross-entropy (Chen et al. 2020, https://arxiv.org/abs/2002.05709).

    Both directions over 2n embeddings. exclude_same_subject: other windows of a row's own subject are no negatives
    (one person yields many alike windows). only_same_subject: they alone are, so that who a person is does not tell the
    positive (what is learned is the state); a row without any, or of an unknown subject, does not count.
    """

    gathered = True

    def __init__(
        self, *, temperature: float = 0.1, exclude_same_subject: bool = False, only_same_subject: bool = False
    ) -> None:
        super().__init__()
        if exclude_same_subject and only_same_subject:
            raise ValueError("exclude_same_subject and only_same_subject leave no negatives")
        self.temperature, self.exclude, self.only = temperature, exclude_same_subject, only_same_subject

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        a, b = _pairs(prediction, target)
        z = F.normalize(torch.cat([a, b]), dim=-1)
        n = len(a)
        logits = z @ z.T / self.temperature
        rows = torch.arange(2 * n, device=z.device)
        positive = rows.roll(n)
        hidden = torch.eye(2 * n, dtype=torch.bool, device=z.device)
        if self.exclude or self.only:
            who = gather_rows(subject[target.valid]).repeat(2)
            alike = (who.unsqueeze(0) == who.unsqueeze(1)) & (who >= 0).unsqueeze(0)
            left_out = alike if self.exclude else ~alike
            left_out[rows, positive] = False
            hidden = hidden | left_out
        values = F.cross_entropy(logits.masked_fill(hidden, -torch.inf), positive, reduction="none")
        # the positive is one choice, a negative another
        weights = (~hidden).sum(dim=1) > 1 if self.only else torch.ones_like(rows)
        return values, weights.to(values.dtype)


@register("loss", "barlow")
class BarlowTwins(Loss):
    """Cross-correlation to the identity (Zbontar et al. 2021, https://arxiv.org/abs/2103.03230), summed over D x D.

    off_diagonal: weight of redundancy reduction; scale: multiplies the whole loss.
    """

    gathered = True

    def __init__(self, *, off_diagonal: float = 0.0051, scale: float = 0.025) -> None:
        super().__init__()
        self.off_diagonal, self.scale = off_diagonal, scale

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        a, b = (_standardize(z) for z in _pairs(prediction, target))
        c = a.T @ b / max(1, len(a))
        on = (c.diagonal() - 1.0).square().sum()
        off = c.square().sum() - c.diagonal().square().sum()
        value = self.scale * (on + self.off_diagonal * off)
        return value.unsqueeze(0), torch.ones_like(value).unsqueeze(0)


def _pairs(prediction: Tensor, target: Target) -> tuple[Tensor, Tensor]:
    """Both sides of the valid rows of all ranks, [n, out] in float32."""
    return gather_rows(prediction[target.valid].float()), gather_rows(target.values[target.valid].float())


def _standardize(z: Tensor, eps: float = 1e-5) -> Tensor:
    return (z - z.mean(dim=0)) / (z.var(dim=0, unbiased=False) + eps).sqrt()
