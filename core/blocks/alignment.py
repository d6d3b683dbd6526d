"""Losses between signals and texts of the whole batch, gathered from all ranks with gradient.

Equal texts are nobody's negatives: of the many records that say "Sinus rhythm." none is a wrong answer for another.
Rows without a text take no part.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..distributed import gather_rows, world_size
from ..errors import InputError
from .losses import Loss
from .registry import register
from .targets import Target
from .text_targets import TextTarget

SHARPEST = 100.0  # largest factor of cosines, as in CLIP


class _Alignment(Loss):
    """Symmetric cross-entropy over row pairs with a learned temperature, kept above 1 / SHARPEST by a sigmoid."""

    gathered = True

    def __init__(self, *, temperature: float = 0.1) -> None:
        super().__init__()
        if not temperature > 1.0 / SHARPEST:
            raise ValueError(f"temperature must be above {1 / SHARPEST}, got {temperature}")
        share = 1.0 / (temperature * SHARPEST)
        self.sharpness = nn.Parameter(torch.tensor(math.log(share / (1.0 - share))))

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied by: one over the temperature."""
        return SHARPEST * torch.sigmoid(self.sharpness)

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        if not isinstance(target, TextTarget) or prediction.shape[-1] != target.values.shape[-1]:
            raise InputError(
                "signals and texts are compared in one space", got=f"width {prediction.shape[-1]} of the signals",
                expected="a target report and a head with the same out",
            )  # fmt: skip
        values = symmetric_cross_entropy(
            self.scale * self.cosines(prediction.float(), target), gather_rows(target.code[target.valid])
        )
        return values, torch.ones_like(values)

    def cosines(self, prediction: Tensor, target: TextTarget) -> Tensor:
        """[row, row] how well the signal of one (first axis) goes with the text of the other, of all ranks."""
        raise NotImplementedError


@register("loss", "report_contrast")
class ReportContrast(_Alignment):
    """One vector of the signal against one of its text (CLIP, Radford et al. 2021, https://arxiv.org/abs/2103.00020).

    temperature: where the learned one starts.
    """

    def cosines(self, prediction: Tensor, target: TextTarget) -> Tensor:
        signal = F.normalize(gather_rows(prediction[target.valid]), dim=-1)
        return signal @ F.normalize(gather_rows(target.values[target.valid]), dim=-1).T


@register("loss", "sentence_contrast")
class SentenceContrast(_Alignment):
    """Each sentence looks for its place among the tokens (GLoRIA, Huang et al. 2021, doi:10.1109/ICCV48922.2021.00391).

    A sentence attends over the tokens of a row, the cosine with what it found is its score, and the soft maximum of a
    text's sentences that of the pair. attention, pool: how sharp these two are.
    """

    def __init__(self, *, temperature: float = 0.1, attention: float = 4.0, pool: float = 5.0) -> None:
        super().__init__(temperature=temperature)
        self.attention, self.pool = attention, pool

    def cosines(self, prediction: Tensor, target: TextTarget) -> Tensor:
        if target.parts is None or target.tokens is None:
            raise InputError("sentences are compared, but the target has none", fix="give it level: sentence")
        kept = target.valid
        return pair_scores(
            _gather_padded(prediction[kept]), _gather_padded(target.tokens[kept]),
            _gather_padded(target.values[kept]), _gather_padded(target.parts[kept]), self.attention, self.pool,
        )  # fmt: skip


def pair_scores(
    tokens: Tensor, token_valid: Tensor, sentences: Tensor, sentence_valid: Tensor, attention: float, pool: float
) -> Tensor:
    """[row i, row j] score of the tokens of row i with the sentences of row j, between -1 and 1.

    tokens: [row, k, d]; sentences: [row, sentence, d]; each with its validity. A row needs a sentence to be scored.
    """
    tokens = F.normalize(tokens, dim=-1).masked_fill(~token_valid.unsqueeze(-1), 0.0)
    sentences = F.normalize(sentences, dim=-1)
    match = torch.einsum("ikd,jsd->ijsk", tokens, sentences)
    share = (attention * match).masked_fill(~token_valid[:, None, None, :], -1e4).softmax(dim=-1)
    found = F.normalize(torch.einsum("ijsk,ikd->ijsd", share, tokens), dim=-1)
    cosine = torch.einsum("ijsd,jsd->ijs", found, sentences).masked_fill(~sentence_valid, -torch.inf)
    # the mean inside the logarithm, so that a long text is no better answer than a short one
    return (torch.logsumexp(pool * cosine, dim=-1) - sentence_valid.sum(dim=-1).log()) / pool


def symmetric_cross_entropy(scores: Tensor, code: Tensor) -> Tensor:
    """[row] mean of both directions; scores: [row, row], pairs on the diagonal; rows of one code are no negatives."""
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    alike = (code.unsqueeze(0) == code.unsqueeze(1)) & ~own
    scores, answer = scores.masked_fill(alike, -torch.inf), torch.arange(len(scores), device=scores.device)
    one, two = (F.cross_entropy(s, answer, reduction="none") for s in (scores, scores.T))
    return 0.5 * (one + two)


def _gather_padded(x: Tensor) -> Tensor:
    """Rows of all ranks, whose second axis may be longer on some."""
    if world_size() == 1:
        return x
    longest = int(gather_rows(torch.tensor([x.shape[1]], device=x.device)).max())
    filler = x.new_zeros(len(x), longest - x.shape[1], *x.shape[2:])
    return gather_rows(torch.cat([x, filler], dim=1))
