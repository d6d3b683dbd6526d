"""Pointwise heads: each vector for itself, [..., in] -> [..., out].

A head is told which vectors are real (`valid`), because statistics over vectors (batch norm, DirectPred's
correlation) must not see padding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..distributed import BatchNorm, gather_rows
from ..sequence import SequenceSpec
from .registry import register


class PointHead(nn.Module):
    """Base of heads that map vectors one by one. `out` is the width of their result."""

    out: int

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """x: [..., in]; valid: [...] bool, None = all real."""
        raise NotImplementedError

    def after_step(self, step: int, total: int) -> None:
        """Update state that is not learned by gradient."""


def chain(heads: Mapping[str, nn.Module] | nn.ModuleDict, names: Iterable[str]) -> list[nn.Module]:
    """The named heads in order."""
    return [heads[name] for name in names]


def project(heads: Iterable[nn.Module], x: Tensor, valid: Tensor | None) -> Tensor:
    """`x` through a chain of point heads."""
    for head in heads:
        x = head(x, valid)
    return x


@register("head", "projector")
class Projector(PointHead):
    """MLP with normalised hidden layers (SimCLR, BYOL, VICReg, DINO heads).

    out: width of the result, default that of the input; hidden: width of hidden layers; layers: number of linear
    maps; norm: "batch" (synchronised over ranks), "layer" or "none".
    """

    def __init__(
        self,
        spec: SequenceSpec,
        in_width: int,
        *,
        out: int | None = None,
        hidden: int = 512,
        layers: int = 2,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        kinds = {"batch": BatchNorm, "layer": nn.LayerNorm, "none": lambda width: nn.Identity()}
        if norm not in kinds:
            raise ValueError(f"norm must be one of {sorted(kinds)}, got {norm!r}")
        widths = [in_width, *[hidden] * (layers - 1)]
        self.out = out or in_width
        steps: list[nn.Module] = []
        for a, b in pairwise(widths):
            steps += [nn.Linear(a, b, bias=norm == "none"), kinds[norm](b), nn.GELU()]
        self.mlp = nn.Sequential(*steps, nn.Linear(widths[-1], self.out))

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        for step in self.mlp:
            x = step(x, valid) if isinstance(step, BatchNorm) else step(x)
        return x


@register("head", "linear")
class LinearHead(PointHead):
    """One linear map; `out` defaults to the numbers of a patch."""

    def __init__(self, spec: SequenceSpec, in_width: int, *, out: int | None = None) -> None:
        super().__init__()
        self.out = out or spec.patch_size
        self.map = nn.Linear(in_width, self.out)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        return self.map(x)


@register("head", "prototypes")
class Prototypes(PointHead):
    """Cosine scores against `count` learned unit vectors (SwAV, DINO), in float32: they are divided by small
    temperatures."""

    def __init__(self, spec: SequenceSpec, in_width: int, *, count: int = 512) -> None:
        super().__init__()
        self.out = count
        self.weight = nn.Parameter(torch.randn(count, in_width))

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(F.normalize(x.float(), dim=-1), F.normalize(self.weight, dim=-1))


@register("head", "direct")
class DirectPredictor(PointHead):
    """DirectPred (Tian et al. 2021, https://arxiv.org/abs/2102.06810): a linear predictor that is set, not learned.

    F is a moving average of the correlation E[f f'] of the predictor's input; with eigenvalues s of F the weight is
    U diag(sqrt(s) + eps * max s) U'. `every`: steps between eigen-decompositions; `rho`: memory of F. All uses of the
    head since the last step count alike.
    """

    weight: Tensor
    correlation: Tensor

    def __init__(
        self, spec: SequenceSpec, in_width: int, *, rho: float = 0.3, eps: float = 0.1, every: int = 5
    ) -> None:
        super().__init__()
        self.out, self.rho, self.eps, self.every = in_width, rho, eps, every
        self.register_buffer("weight", torch.eye(in_width))
        self.register_buffer("correlation", torch.zeros(in_width, in_width))
        self._seen: list[Tensor] = []

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            if self.training:
                f = gather_rows(x.detach() if valid is None else x.detach()[valid]).flatten(0, -2)
                self._seen.append(f.T @ f / max(1, len(f)))
            return F.linear(x, self.weight)

    @torch.no_grad()
    def after_step(self, step: int, total: int) -> None:
        if not self._seen:
            return
        seen = torch.stack(self._seen).mean(dim=0)
        self._seen.clear()
        rho = self.rho if bool(self.correlation.any()) else 0.0
        self.correlation.mul_(rho).add_(seen, alpha=1.0 - rho)
        if step % self.every == 0:
            s, u = torch.linalg.eigh(self.correlation)
            s = s.clamp(min=0.0)
            self.weight.copy_(u @ torch.diag(s.sqrt() + self.eps * s.max()) @ u.T)
