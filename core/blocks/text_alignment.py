"""What an alignment has learned, apart from the objective it was learned in: signals and sentences in one space."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .alignment import ReportContrast
from .encoder import Encoded
from .pooling import RowHead
from .projections import chain, project
from .text_targets import ReportTarget


class _Term(Protocol):
    """What is looked at in a term of an objective."""

    @property
    def name(self) -> str: ...
    @property
    def heads(self) -> tuple[str, ...]: ...
    @property
    def target(self) -> str: ...


class Alignment(nn.Module):
    """Heads of the signal, projection and model of the text, and how sharp cosines are.

    Its parameters are those of the objective it was found in.
    """

    def __init__(self, heads: Sequence[nn.Module], report: ReportTarget, loss: ReportContrast) -> None:
        super().__init__()
        self.heads, self.report, self.loss, self.text = nn.ModuleList(heads), report, loss, report.text

    @property
    def scale(self) -> float:
        """What cosines are multiplied by."""
        return float(self.loss.scale.detach())

    def signals(self, encoded: Encoded) -> Tensor:
        """[row, out] unit vectors of encoded windows."""
        modules, valid = list(self.heads), encoded.valid.any(dim=1)
        x = modules.pop(0)(encoded) if modules and isinstance(modules[0], RowHead) else encoded.pooled
        return F.normalize(project(modules, x, valid).float(), dim=-1)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """[text, out] unit vectors of any texts."""
        tokens = self.text.tokenize(texts).to(next(self.text.parameters()).device)
        return F.normalize(self.report.embed(tokens, self.text(tokens)), dim=-1)


def find_alignment(
    terms: Iterable[_Term],
    heads: Mapping[str, nn.Module] | nn.ModuleDict,
    targets: Mapping[str, nn.Module] | nn.ModuleDict,
    losses: Mapping[str, nn.Module] | nn.ModuleDict,
) -> Alignment | None:
    """The alignment of whole records among the terms of an objective; None when there is none."""
    for term in terms:
        report, loss = targets[term.target], losses[term.name]
        if isinstance(report, ReportTarget) and isinstance(loss, ReportContrast):
            return Alignment(chain(heads, term.heads), report, loss)
    return None
