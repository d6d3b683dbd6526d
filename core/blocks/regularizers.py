"""Regularisers: a scalar that keeps embeddings from collapsing, computed on vectors of independent records.

Embeddings are gathered over all ranks first, so the statistics are those of the global batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..distributed import gather_rows
from .registry import register


@register("regularizer", "variance_covariance")
class VarianceCovariance(nn.Module):
    """VICReg's variance hinge and covariance penalty (Bardes et al. 2021, https://arxiv.org/abs/2105.04906, eq. 1-4).

    variance * mean_d relu(gamma - std_d) + covariance * sum_{i != j} cov_ij^2 / D over [n, D] embeddings.
    """

    def __init__(
        self, width: int, *, variance: float = 1.0, covariance: float = 0.04, gamma: float = 1.0, eps: float = 1e-4
    ) -> None:
        super().__init__()
        self.variance, self.covariance, self.gamma, self.eps = variance, covariance, gamma, eps

    def forward(self, z: Tensor) -> Tensor:
        z = gather_rows(z).float()
        n, width = z.shape
        z = z - z.mean(dim=0)
        spread = (z.square().sum(dim=0) / max(1, n - 1) + self.eps).sqrt()
        loss = self.variance * torch.relu(self.gamma - spread).mean()
        if self.covariance:
            cov = z.T @ z / max(1, n - 1)
            off = cov.square().sum() - cov.diagonal().square().sum()
            loss = loss + self.covariance * off / width
        return loss


@register("regularizer", "sigreg")
class SIGReg(nn.Module):
    """Sketched isotropic Gaussian regularisation (Balestriero & LeCun 2025, LeJEPA, https://arxiv.org/abs/2511.08544).

    Epps-Pulley distance between the empirical characteristic function of [n, D] embeddings along random unit
    directions and that of a standard normal:

        n * integral of exp(-t^2 / 2) |ecf(t) - exp(-t^2 / 2)|^2 dt, averaged over directions,

    by the trapezoid rule on `knots` points of [0, 3], doubled for the even other half. Three scalings are in use
    elsewhere; this is the statistic *times n*, to be added with a small weight (about 0.02 to 0.05).
    """

    knots: Tensor
    weights: Tensor
    target: Tensor
    draws: Tensor

    def __init__(self, width: int, *, directions: int = 256, knots: int = 17) -> None:
        super().__init__()
        t = torch.linspace(0.0, 3.0, knots)
        step = float(t[1] - t[0])
        trapezoid = torch.full((knots,), 2.0 * step)
        trapezoid[[0, -1]] = step
        self.width, self.directions = width, directions
        self.register_buffer("knots", t, persistent=False)
        self.register_buffer("target", torch.exp(-0.5 * t.square()), persistent=False)
        self.register_buffer("weights", trapezoid * torch.exp(-0.5 * t.square()), persistent=False)
        self.register_buffer("draws", torch.zeros((), dtype=torch.long))

    def forward(self, z: Tensor) -> Tensor:
        z = gather_rows(z).float()
        angles = (z @ self._sketch(z.device)).unsqueeze(-1) * self.knots
        real, imaginary = angles.cos().mean(dim=0), angles.sin().mean(dim=0)
        distance = (real - self.target).square() + imaginary.square()
        return len(z) * (distance @ self.weights).mean()

    def _sketch(self, device: torch.device) -> Tensor:
        """Fresh unit directions [width, directions] each call, the same on every rank and after a resume."""
        generator = torch.Generator().manual_seed(int(self.draws))
        if self.training:
            self.draws += 1
        directions = torch.randn(self.width, self.directions, generator=generator)
        return nn.functional.normalize(directions, dim=0).to(device)


@register("regularizer", "koleo")
class KoLeo(nn.Module):
    """Kozachenko-Leonenko entropy of normalised embeddings (Sablayrolles et al. 2019, as used in DINOv2):
    - mean log distance to the nearest neighbour."""

    def __init__(self, width: int, *, eps: float = 1e-8) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, z: Tensor) -> Tensor:
        z = nn.functional.normalize(gather_rows(z).float(), dim=-1)
        with torch.no_grad():
            nearest = (z @ z.T).fill_diagonal_(-2.0).argmax(dim=1)
        return -(torch.linalg.vector_norm(z - z[nearest], dim=-1) + self.eps).log().mean()
