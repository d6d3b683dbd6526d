"""Targets made of what was written about each row: its whole text, its sentences, or its words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..sequence import SequenceSpec, gather
from .encoder import Encoder, masked_mean
from .registry import register
from .targets import Request, Target, TargetProvider
from .text import TextEncoder
from .text_tokens import TextTokens

LEVELS = ("record", "sentence", "word")


@dataclass(frozen=True)
class TextTarget(Target):
    """A target from texts.

    values: [row, out] for records, [row, sentence, out] for sentences, [row, word] ids of the next word.
    valid: [row] the row has a text; [row, word] for words. code: [row] equal for equal texts.
    parts: [row, sentence] bool, which sentences there are. tokens: [row, k] bool, which signal tokens they may mean.
    """

    code: Tensor
    parts: Tensor | None = None
    tokens: Tensor | None = None


@register("target", "report")
class ReportTarget(TargetProvider):
    """The text of each row's record, read by the objective's text model, trained like it.

    level: "record" = mean over its words (a term at site pooled), "sentence" = one vector a sentence (at visible or
        all), "word" = the ids of its words (at text, with a captioner). out: width of the vectors.
    kind: sentences are compared with tokens of this kind; with all of a row that has none.
    """

    reads_text: ClassVar[bool] = True

    def __init__(
        self,
        spec: SequenceSpec,
        encoder: Encoder,
        heads: Mapping[str, nn.Module],
        text: TextEncoder,
        *,
        level: str = "record",
        out: int = 128,
        kind: str = "beat",
    ) -> None:
        super().__init__()
        if level not in LEVELS:
            raise ValueError(f"level must be one of {', '.join(LEVELS)}, got {level!r}")
        self.level = level
        self.kind = spec.kinds.index(kind) if kind in spec.kinds else None
        self._text = [text]  # a plain list: the objective owns it
        self.project = nn.Linear(text.width, out) if level != "word" else None

    @property
    def text(self) -> TextEncoder:
        return self._text[0]

    def forward(self, request: Request) -> Target:
        assert request.words is not None, "the objective has a text model, see `reads_text`"
        tokens = request.words()
        if self.level == "word":
            return TextTarget(tokens.ids[:, 1:], tokens.valid[:, 1:], tokens.code)
        assert request.states is not None
        if self.level == "record":
            return TextTarget(self.embed(tokens, request.states()), tokens.valid.any(dim=1), tokens.code)
        values, parts = self._sentences(tokens, request.states())
        return TextTarget(values, parts.any(dim=1), tokens.code, parts, self._signal_tokens(request))

    def embed(self, tokens: TextTokens, states: Tensor) -> Tensor:
        """[row, out] vector of each text."""
        assert self.project is not None
        return self.project(masked_mean(states, tokens.valid)).float()

    def _sentences(self, tokens: TextTokens, states: Tensor) -> tuple[Tensor, Tensor]:
        """[row, sentence, out] vectors, means over their words, and which there are."""
        assert self.project is not None
        most = max(1, int(tokens.sentence.max()) + 1) if tokens.sentence.numel() else 1
        member = (tokens.sentence.unsqueeze(1) == torch.arange(most, device=states.device).view(1, -1, 1)).float()
        member = member * tokens.valid.unsqueeze(1)
        count = member.sum(dim=2, keepdim=True)
        with torch.autocast(states.device.type, enabled=False):
            mean = member @ states.float() / count.clamp(min=1.0)
        return self.project(mean).float(), count.squeeze(2) > 0

    def _signal_tokens(self, request: Request) -> Tensor:
        """[row, k] tokens of the wanted kind; all valid ones in a row without."""
        if request.index is None:
            raise ValueError("sentences are compared with tokens: give the term the site visible or all")
        batch, index = request.view.batch, request.index.index
        valid = request.index.valid & gather(batch.valid, request.rows, index)
        if self.kind is None:
            return valid
        wanted = valid & (gather(batch.kind, request.rows, index) == self.kind)
        return torch.where(wanted.any(dim=1, keepdim=True), wanted, valid)
