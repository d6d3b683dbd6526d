"""Captioning: the words of a text one by one, from the tokens of a signal (CoCa, Yu et al. 2022,
https://arxiv.org/abs/2205.01917)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..sequence import SequenceSpec
from .encoder import Encoded
from .losses import Loss
from .registry import register
from .targets import Target
from .text import TextEncoder
from .text_tokens import TextTokens


class TextHead(nn.Module):
    """Base of heads that read an encoding and a text: (Encoded, TextTokens) -> [row, token - 1, out].

    Place t answers for token t + 1. First in the chain of a term at site text.
    """

    reads_text = True
    out: int

    def forward(self, encoded: Encoded, tokens: TextTokens) -> Tensor:
        raise NotImplementedError


@register("head", "captioner")
class Captioner(TextHead):
    """A small causal decoder that attends to the tokens of the signal; answers with a score for each word."""

    def __init__(
        self,
        spec: SequenceSpec,
        in_width: int,
        text: TextEncoder,
        *,
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
        mlp_ratio: float = 4.0,
    ) -> None:
        super().__init__()
        self.out = text.vocabulary
        self.enter = nn.Linear(in_width, width)
        self.embed = nn.Embedding(text.vocabulary, width)
        self.places = nn.Parameter(torch.empty(text.max_tokens, width))
        layer = nn.TransformerDecoderLayer(
            width, heads, int(width * mlp_ratio), dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, depth, norm=nn.LayerNorm(width))
        self.leave = nn.Linear(width, self.out)
        nn.init.normal_(self.embed.weight, std=0.02)
        nn.init.trunc_normal_(self.places, std=0.02)

    def forward(self, encoded: Encoded, tokens: TextTokens) -> Tensor:
        before = tokens.ids[:, :-1]
        x = self.embed(before) + self.places[: before.shape[1]]
        later = torch.ones(before.shape[1], before.shape[1], dtype=torch.bool, device=x.device).triu(1)
        # a row without any valid token looks at its fillers instead of at nothing, which would be NaN
        hidden = ~encoded.valid & encoded.valid.any(dim=1, keepdim=True)
        memory = self.enter(encoded.tokens)
        return self.leave(self.decoder(x.to(memory.dtype), memory, tgt_mask=later, memory_key_padding_mask=hidden))


@register("loss", "next_word")
class NextWord(Loss):
    """Cross-entropy of word scores [row, word, vocabulary] with the words that follow; padding does not count."""

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        values = F.cross_entropy(prediction.float().transpose(1, 2), target.values.long(), reduction="none")
        return values, target.valid.to(values.dtype)
