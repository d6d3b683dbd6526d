"""Monitors: label-free health of representations, and the guard that stops a collapsed run.

A falling loss says nothing about collapse (both sides of a JEPA loss can shrink together), so each tap of a run is
watched: rows are independent windows, so a healthy tap differs between rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import CollapseError


def relative_std(z: Tensor) -> float:
    """Standard deviation over rows, averaged over dimensions, as a share of the root mean square of [n, D]."""
    z = z.float()
    return float(z.var(dim=0, unbiased=False).mean().sqrt() / z.square().mean().sqrt().clamp(min=1e-12))


def rankme(z: Tensor) -> float:
    """Effective rank exp(H(s / sum s)) of uncentred [n, D] (Garrido et al. 2022, https://arxiv.org/abs/2210.02885).

    Bounded by min(n, D): compare only runs with equal n and D.
    """
    s = torch.linalg.svdvals(z.float())
    p = s / s.sum().clamp(min=1e-12) + 1e-7
    return float(torch.exp(-(p * p.log()).sum()))


def mean_cosine(z: Tensor) -> float:
    """Mean cosine between different rows of [n, D]; 1 = all rows point the same way."""
    z = torch.nn.functional.normalize(z.float(), dim=-1)
    n = len(z)
    return float((z.sum(dim=0).square().sum() - n) / max(1, n * (n - 1)))


def knn_accuracy(z: Tensor, label: Tensor, group: Tensor, k: int = 20) -> float | None:
    """Balanced leave-one-group-out accuracy of a cosine kNN on [n, D]; None when there is nothing to vote with.

    label: [n] class, -1 = none. group: [n] subject; neighbours of the row's own subject never vote, and all rows of
    unknown subject (-1) count as one. Rows without any voter are left out.
    """
    known = label >= 0
    z, label, group = z[known], label[known], group[known]
    if len(z) < 2 or len(label.unique()) < 2:
        return None
    z = torch.nn.functional.normalize(z.float(), dim=-1)
    similarity = (z @ z.T).masked_fill(group.unsqueeze(0) == group.unsqueeze(1), -2.0)
    top, index = similarity.topk(min(k, len(z) - 1), dim=1)
    weight = torch.exp(top / 0.07) * (top > -1.5)
    votes = torch.zeros(len(z), int(label.max()) + 1, device=z.device).scatter_add_(1, label[index], weight)
    heard = weight.any(dim=1)
    if not bool(heard.any()):
        return None
    hit, label = (votes.argmax(dim=1) == label)[heard].float(), label[heard]
    return float(torch.stack([hit[label == c].mean() for c in label.unique()]).mean())


def health(taps: Mapping[str, Tensor]) -> dict[str, float]:
    """Spread, effective rank and mean cosine of every tap, as flat metrics; a single row has none of them."""
    metrics: dict[str, float] = {}
    for name, z in taps.items():
        if len(z) < 2:
            continue
        metrics[f"{name}/std"] = relative_std(z)
        metrics[f"{name}/rankme"] = rankme(z)
        metrics[f"{name}/cosine"] = mean_cosine(z)
    return metrics


@dataclass
class CollapseGuard:
    """Stops a run whose tap has shown (nearly) the same vector for every window at `patience` checks in a row.

    floor: smallest healthy `relative_std`; 0.01 means that 99.99 % of a vector's energy is the same for all windows.
    """

    floor: float = 0.01
    patience: int = 3
    strikes: dict[str, int] = field(default_factory=dict)

    def check(self, metrics: Mapping[str, float], step: int) -> None:
        """Raise CollapseError, in words a user can act on, when a tap has collapsed."""
        for key, value in metrics.items():
            # a head may rightly answer the same for every window (a decoder does at first); encoders may not
            if not key.endswith("/std") or key.startswith("head."):
                continue
            name = key.removesuffix("/std")
            self.strikes[name] = self.strikes.get(name, 0) + 1 if value < self.floor else 0
            if self.strikes[name] >= self.patience:
                raise CollapseError(
                    f"pretraining stopped at step {step}: the representation has collapsed, every window gets nearly "
                    f"the same vector at {name} (relative standard deviation {value:.4f}, healthy is above "
                    f"{self.floor}); raise the weight of the objective's regulariser, use an EMA target or lower "
                    f"optimizer.lr"
                )
