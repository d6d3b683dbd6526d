"""Alignment and uniformity on the unit sphere (Wang & Isola 2020, https://arxiv.org/abs/2005.10242).

What belongs together lies close, and all else is spread evenly: two properties that a contrastive loss has in the limit
of many negatives, asked for directly and without negatives. DirectAU (Wang et al. 2022,
https://arxiv.org/abs/2206.12811) is a row and its hidden ids as pairs, with both sides spread.

Uniformity compares all pairs, so its cost grows with the square of the rows; beyond `most` rows it looks at that many
of them, another random part each step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..distributed import gather_rows
from .encoder import Encoder
from .ids import IdLoss, IdTarget, some
from .registry import register
from .targets import Target


def uniformity(z: Tensor, t: float = 2.0, sphere: bool = True) -> Tensor:
    """log mean exp(-t |x - y|^2) over the pairs of [n, width] vectors; 0 = all alike, the lower the more evenly spread.
    sphere: of their directions. Fewer than two vectors give 0."""
    z = F.normalize(z.float(), dim=-1) if sphere else z.float()
    if len(z) < 2:
        return z.sum() * 0.0
    first, second = torch.triu_indices(len(z), len(z), 1, device=z.device)
    size = z.square().sum(dim=1)
    squares = size[first] + size[second] - 2.0 * (z @ z.T)[first, second]  # a root would have no gradient at 0
    return (-t * squares).logsumexp(dim=0) - torch.tensor(float(len(first)), device=z.device).log()


def _check(t: float, most: int) -> None:
    if t <= 0:
        raise ValueError(f"t must be positive, got {t}")
    if most < 2:
        raise ValueError(f"most must be at least 2, there are no pairs of {most}")


@register("regularizer", "uniformity")
class Uniformity(nn.Module):
    """Uniformity of embeddings.

    t: how local it is. most: rows that are compared with each other. sphere: whether directions are spread, or the
    vectors as they are. Small vectors turn easily, so on the sphere the term outweighs any loss of inner products until
    they have grown; without it, the push shrinks with the distance, as theirs does with the length.
    """

    def __init__(self, width: int, *, t: float = 2.0, most: int = 1024, sphere: bool = True) -> None:
        super().__init__()
        _check(t, most)
        self.t, self.most, self.sphere = t, most, sphere

    def forward(self, z: Tensor) -> Tensor:
        # each rank draws its part before rows are gathered, so that all of them compare the same ones
        return uniformity(gather_rows(some(z, self.most)), self.t, self.sphere)


@register("loss", "id_alignment")
class IdAlignment(IdLoss):
    """Squared distance of a row's vector to the vectors of its hidden ids, both of length one: 2 - 2 cos."""

    def compare(self, vectors: Tensor, table: Tensor, target: IdTarget) -> Tensor:
        right = F.normalize(F.embedding(target.values, table), dim=-1)
        return 2.0 - 2.0 * (F.normalize(vectors, dim=-1) * right).sum(dim=-1)


@register("loss", "id_uniformity")
class IdUniformity(IdLoss):
    """Uniformity of the vectors of the hidden ids of a batch, each id once.

    t, most, sphere: as of the regulariser `uniformity`, which spreads the rows.
    """

    def __init__(self, encoder: Encoder, *, t: float = 2.0, most: int = 1024, sphere: bool = True) -> None:
        super().__init__(encoder)
        _check(t, most)
        self.t, self.most, self.sphere = t, most, sphere

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        assert isinstance(target, IdTarget)
        ids = some(target.values[target.valid].unique(), self.most)
        value = uniformity(self.table()[ids], self.t, self.sphere)
        return value.unsqueeze(0), torch.ones_like(value).unsqueeze(0)
