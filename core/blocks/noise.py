"""Noise on embeddings as the difference between two views (SimGCL, Yu et al. 2022, https://arxiv.org/abs/2112.08679).

Views that come from one encoding and differ by noise alone cost a single pass of the encoder, and leave the input
whole. The noise never turns a vector into another orthant: numbers are moved away from zero.

What differs from the published noise
- It is put on the embedding that is contrasted, not inside the propagation of a graph, so it serves any encoder. The
  variant that contrasts layers (XSimGCL, https://arxiv.org/abs/2209.02544) shares the single pass, not the layers.
- `eps` is relative to the length of the vector. Lengths differ by orders of magnitude between encoders, and a cosine
  sees nothing else.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..sequence import SequenceSpec
from .contrastive import NTXent
from .encoder import Encoder
from .ids import IdLoss, IdTarget, some
from .projections import PointHead
from .registry import register
from .targets import Target


def signed_noise(x: Tensor, eps: float) -> Tensor:
    """[..., width] vectors, each with noise of `eps` times its length: uniform in direction, with the signs of x."""
    size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x + eps * size * x.sign() * F.normalize(torch.rand_like(x), dim=-1)


def _check(eps: float) -> float:
    if eps <= 0:
        raise ValueError(f"eps must be positive, got {eps}: two equal views would teach nothing")
    return eps


@register("head", "noise")
class NoiseHead(PointHead):
    """Each vector with noise of its own, drawn anew at each use; none in evaluation. eps: length of the noise as a
    share of the vector's. As the head of a term and of its target alike, it makes two views of one encoding."""

    def __init__(self, spec: SequenceSpec, in_width: int, *, eps: float = 0.2) -> None:
        super().__init__()
        self.out, self.eps = in_width, _check(eps)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        return signed_noise(x, self.eps) if self.training else x


@register("loss", "id_noise_contrast")
class IdNoiseContrast(IdLoss):
    """SimGCL's other side: two noisy versions of the vector of each hidden id of a batch attract, those of other ids
    repel.

    eps: as of the head `noise`. temperature: of the contrast. most: ids that are compared, another random part each
    step; the cost grows with their square.
    """

    gathered = True

    def __init__(self, encoder: Encoder, *, eps: float = 0.2, temperature: float = 0.2, most: int = 1024) -> None:
        super().__init__(encoder)
        self.eps, self.most = _check(eps), most
        self.contrast = NTXent(temperature=temperature)

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        assert isinstance(target, IdTarget)
        z = self.table()[some(target.values[target.valid].unique(), self.most)]
        other = Target(signed_noise(z, self.eps), torch.ones(len(z), dtype=torch.bool, device=z.device))
        return self.contrast(signed_noise(z, self.eps), other, subject)
