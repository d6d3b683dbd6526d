"""Objectives that ask which ids are hidden: the ids themselves as targets, and losses over a vocabulary.

The output layer is the encoder's own table of ids (`Encoder.id_table`), so what was trained is saved with the encoder
and ranks afterwards. Asked of a whole row (site `pooled`) the hidden ids are a set, of places (site `target`) each place
has its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..sequence import SequenceSpec
from .encoder import Encoder
from .losses import Loss
from .registry import register
from .targets import Request, Target, TargetProvider
from .views import select


@register("target", "ids")
class HiddenIds(TargetProvider):
    """Ids of the first column. values: [row, k] int64: of a whole row all that its view hides, else of each place."""

    def __init__(self, spec: SequenceSpec, encoder: Encoder, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if not spec.vocabulary:
            raise ValueError("these patches carry values, not ids")

    def forward(self, request: Request) -> Target:
        wanted = request.index or request.view.targets
        if wanted is None:
            raise ValueError("ids are asked of what a view hides, but this one hides nothing: give it a mask")
        part = select(request.view.batch, request.rows, wanted)
        assert part.ids is not None
        return Target(part.ids[..., 0].masked_fill(~part.valid, 0), part.valid)


class IdLoss(Loss):
    """Base of losses that compare a vector with ids by inner products with the encoder's table of ids, and so are built
    with the encoder."""

    reads_encoder: ClassVar[bool] = True

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self._encoder = [encoder]  # in a list: its weights are not the loss's to save

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        table = self._encoder[0].id_table().float()
        # one vector a place, or one for all hidden ids of its row
        vectors = prediction.float() if prediction.ndim == 3 else prediction.float().unsqueeze(1)
        values = self.compare(vectors, table, target.values).masked_fill(~target.valid, 0.0)
        if prediction.ndim == 3:
            return values, target.valid.to(values.dtype)
        count = target.valid.sum(dim=1)
        return values.sum(dim=1) / count.clamp(min=1), (count > 0).to(values.dtype)

    def compare(self, vectors: Tensor, table: Tensor, ids: Tensor) -> Tensor:
        """[row, k] loss of each of `ids` [row, k]. vectors: [row, k or 1, width]; table: [id, width]."""
        raise NotImplementedError


@register("loss", "id_softmax")
class IdSoftmax(IdLoss):
    """Cross-entropy over the vocabulary; of a row, its mean over the hidden ids (multinomial likelihood, Liang et al.
    2018, https://arxiv.org/abs/1802.05814).

    sampled: compare with so many ids, drawn uniformly for the whole batch, instead of with all (0): for vocabularies
        beyond some 50,000. What is drawn stands for the others, so its weight is corrected (Bengio and Senecal 2008).
    """

    def __init__(self, encoder: Encoder, *, sampled: int = 0) -> None:
        super().__init__(encoder)
        if sampled < 0:
            raise ValueError(f"sampled cannot be negative, got {sampled}")
        self.sampled = sampled

    def compare(self, vectors: Tensor, table: Tensor, ids: Tensor) -> Tensor:
        if self.sampled:
            right = _inner(vectors, table, ids)
            drawn = torch.randint(len(table), (self.sampled,), device=table.device)
            others = vectors @ table[drawn].T + math.log(len(table) / self.sampled)
            # the right id counts once, drawn or not
            others = others.masked_fill(ids.unsqueeze(-1) == drawn, -torch.inf)
            return torch.logaddexp(right, others.logsumexp(dim=-1)) - right
        scores = vectors @ table.T
        right = scores.expand(-1, ids.shape[1], -1).gather(2, ids.unsqueeze(-1)).squeeze(-1)
        return scores.logsumexp(dim=-1) - right


@register("loss", "id_bpr")
class IdBpr(IdLoss):
    """Bayesian personalised ranking (Rendle et al. 2009, https://arxiv.org/abs/1205.2618): a hidden id above others.

    negatives: ids drawn uniformly for the whole batch. A row's own are among them, as rarely as they are in all.
    """

    def __init__(self, encoder: Encoder, *, negatives: int = 64) -> None:
        super().__init__(encoder)
        if negatives < 1:
            raise ValueError(f"negatives must be positive, got {negatives}")
        self.negatives = negatives

    def compare(self, vectors: Tensor, table: Tensor, ids: Tensor) -> Tensor:
        drawn = torch.randint(len(table), (self.negatives,), device=table.device)
        gap = _inner(vectors, table, ids).unsqueeze(-1) - vectors @ table[drawn].T
        return F.softplus(-gap).mean(dim=-1)


def _inner(vectors: Tensor, table: Tensor, ids: Tensor) -> Tensor:
    """[row, k] inner products of each row's vector, or vectors, with the vectors of its ids."""
    return (vectors * table[ids]).sum(dim=-1)
