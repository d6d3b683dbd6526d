"""What a target provider is: the answer a head's prediction is compared with.

A provider gets a `Request` (which view, which rows and patches, pooled or not) and returns a `Target`. Providers are
modules: what they remember (EMA weights, centres) are buffers that survive a resume, updated in `after_step`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..rng import RowRandom
from ..sequence import PatchSequence, gather
from .encoder import Encoded, Encoder
from .text_tokens import TextTokens
from .views import IndexSet, View, select


@dataclass(frozen=True)
class Target:
    """values: [row, k, out] or [row, out]; NaN = not measured (counts nowhere). valid: values' leading axes."""

    values: Tensor
    valid: Tensor


# (encoder, view, hide, keep_layers) -> encoding; hide=False shows every valid patch of the view's batch
Encode = Callable[[Encoder, View, bool, int], Encoded]


@dataclass(frozen=True)
class Request:
    """What is asked of a provider.

    view: the view the target is taken from; encode: encodes it at most once a step for each encoder.
    rows: [row] batch row of each wanted row; index: patches wanted of each row, None = one pooled vector a row.
    words, states: texts of the wanted rows and what the text model makes of them, [row, token, width], where the
        objective has one; read at most once a step.
    rng: randomness of the term that asks.
    """

    view: View
    encode: Encode
    rows: Tensor | None
    index: IndexSet | None
    words: Callable[[], TextTokens] | None = None
    states: Callable[[], Tensor] | None = None
    rng: RowRandom | None = None

    def source(self) -> PatchSequence:
        """The wanted patches as a batch of their own, content included."""
        assert self.index is not None
        return select(self.view.batch, self.rows, self.index)

    def take(self, tokens: Tensor, valid: Tensor) -> Target:
        """The wanted patches of a full encoding [batch row, patch, width]."""
        assert self.index is not None
        index = self.index.index
        return Target(gather(tokens, self.rows, index), self.index.valid & gather(valid, self.rows, index))


class TargetProvider(nn.Module):
    """Base of all providers; built from (spec, encoder, heads) and the options of a recipe.

    reads_text, reads_targets: it is built with the objective's text model, or with the providers that are defined
    before it ({name: provider}), as a further argument.
    """

    reads_text: ClassVar[bool] = False
    reads_targets: ClassVar[bool] = False

    def forward(self, request: Request) -> Target:
        raise NotImplementedError

    def prepare(self, batches: Callable[[], Iterable[PatchSequence]]) -> None:
        """Look at the windows that will be trained on, once before the first step (codebooks, centres).

        batches: goes through all of them in a fixed order, each time it is called. What is made of them must depend on
        nothing else: every process of a run, and every resume of it, prepares for itself.
        """

    def after_step(self, step: int, total: int) -> None:
        """Update what is not learned by gradient."""

    def facts(self) -> dict[str, float]:
        """Numbers that a run's metrics should hold about these targets."""
        return {}

    def keep(self, folder: Path) -> None:
        """Write into a folder, made only if needed, what `restore` reads: what was learned in `prepare` and is of use
        with a trained model."""

    def restore(self, folder: Path) -> None:
        """Read what `keep` wrote."""

    def codes(self, batch: PatchSequence) -> Tensor | None:
        """[row, patch, code] int64 of windows that were never trained on, -1 = none; None = these targets are no codes.

        Raises InputError where windows alone do not say which.
        """
        return None


def normalize_tokens(tokens: Tensor, valid: Tensor, how: str) -> Tensor:
    """Parameter-free normalisation in float32: "layer" over width, "instance" over valid patches, or "none"."""
    tokens = tokens.float()
    if how == "none":
        return tokens
    if how == "layer":
        return torch.nn.functional.layer_norm(tokens, tokens.shape[-1:])
    if how == "instance":
        weight = valid.unsqueeze(-1).to(tokens.dtype)
        count = weight.sum(dim=1, keepdim=True).clamp(min=1.0)
        tokens = tokens.masked_fill(~valid.unsqueeze(-1), 0.0)
        mean = tokens.sum(dim=1, keepdim=True) / count
        var = ((tokens - mean).square() * weight).sum(dim=1, keepdim=True) / count
        return (tokens - mean) / (var + 1e-6).sqrt()
    raise ValueError(f"normalize must be 'layer', 'instance' or 'none', got {how!r}")
