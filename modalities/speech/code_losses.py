"""Losses of predicted codes: a class of so many entries for each codebook of a token.

- `codes`: the codebooks for themselves. The head answers with codebook times entry scores.
- `joint_codes`: one after the other, each given the true codes of those before it, as multi_quantization predicts them:
  direct-sum codes of one token depend on each other. The head answers with a vector, the rest is learned here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.blocks.losses import Loss
from ...core.blocks.registry import register
from ...core.blocks.targets import Target
from ...core.errors import InputError


def code_loss(scores: Tensor, target: Target) -> tuple[Tensor, Tensor]:
    """Scores [..., codebook, entry] and codes [..., codebook] -> mean cross-entropy over the known codebooks of each
    item, and whether it has any. Raises InputError for a code that has no score."""
    known = torch.isfinite(target.values) & target.valid.unsqueeze(-1)
    codes = target.values.masked_fill(~known, 0.0).long()
    if codes.numel() and int(codes.max()) >= scores.shape[-1]:
        raise InputError(
            "a head answers for too few entries", source="objective.heads", got=scores.shape[-1],
            expected=f"{int(codes.max()) + 1} or more a codebook", fix="its out is codebooks x entries",
        )  # fmt: skip
    surprise = F.cross_entropy(scores.flatten(0, -2), codes.flatten(), reduction="none").view_as(codes)
    count = known.sum(dim=-1)
    return (surprise * known).sum(dim=-1) / count.clamp(min=1), (count > 0).to(surprise.dtype)


@register("loss", "codes")
class Codes(Loss):
    """Cross-entropy of each codebook for itself; predictions are [..., codebook x entry]."""

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        books = target.values.shape[-1]
        if prediction.shape[-1] % books:
            raise InputError(
                "a head's answer does not divide into codebooks", source="objective.heads", got=prediction.shape[-1],
                expected=f"a multiple of {books}", fix="its out is codebooks x entries",
            )  # fmt: skip
        return code_loss(prediction.float().unflatten(-1, (books, -1)), target)


@register("loss", "joint_codes")
class JointCodes(Loss):
    """Cross-entropy of each codebook given the codes of those before it; predictions are [..., width].

    codebooks, entries: of the target. width: what the head answers with.
    """

    def __init__(self, *, codebooks: int, entries: int, width: int) -> None:
        super().__init__()
        self.known = nn.Parameter(torch.zeros(codebooks, entries, width).normal_(std=0.02))
        self.from_both = nn.Parameter(torch.zeros(codebooks, width, entries).normal_(std=width**-0.5))
        self.direct = nn.Linear(width, codebooks * entries)

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        books, entries, width = self.known.shape
        if (prediction.shape[-1], target.values.shape[-1]) != (width, books):
            raise InputError(
                "joint_codes was made for other sizes", source="objective.terms",
                got=f"width {prediction.shape[-1]}, {target.values.shape[-1]} codebooks",
                expected=f"width {width}, {books} codebooks",
            )  # fmt: skip
        x = prediction.float()
        codes = torch.nan_to_num(target.values, nan=0.0).long().clamp(0, entries - 1)
        told = self.known[torch.arange(books, device=x.device), codes]  # [..., codebook, width]
        before = told.cumsum(dim=-2) - told
        hidden = F.relu(x.unsqueeze(-2) + before)
        scores = torch.einsum("...nw,nwk->...nk", hidden, self.from_both)
        return code_loss(scores + self.direct(x).unflatten(-1, (books, entries)), target)
