"""An encoder of sequences with gaps, which asks itself what comes next (BERT4Rec, Sun et al. 2019,
https://arxiv.org/abs/1904.06690).

- Hidden patches stay where they are as learned tokens without content, so each place has a state of its own, and what
  is told there is read from it (head `states`).
- The pooled vector is the state of the place that is asked for: the one that ends the first axis. In training, a mask
  that hides it (`random_end`) makes it a gap like others. Where it is shown, as in a history that is to be continued, a
  gap is put one step beyond it.
- Places count from the asked one, so a history of any length is continued at the place that training asked for. On
  other axes (time) nobody knows where a gap beyond the end will lie; it is put where they begin, at zero.
- Attention costs the square of a row's length, and what lies far behind says little of what comes next: `longest`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..sequence import PatchSequence, SequenceSpec, gather
from .edges import seen_places
from .encoder import Encoded, TransformerEncoder, whole_rows
from .heads import Query, QueryHead
from .registry import register
from .views import IndexSet, select


@register("encoder", "cloze")
class ClozeEncoder(TransformerEncoder):
    """A transformer over all patches, hidden ones as gaps; pooled = what ends the first axis, or would come next.

    end: which end of the first axis is asked for, "high", or "low" where it counts back. dropout: of what enters the
    first block. longest: so many patches of a row are read, those nearest the end (of several at one place the first
    ones); 0 = all. Its surroundings are read anyway. Other options as of the transformer; it has no registers.
    """

    def __init__(
        self,
        spec: SequenceSpec,
        *,
        width: int = 64,
        depth: int = 2,
        heads: int = 2,
        mlp_ratio: float = 4.0,
        positions: str = "fourier",
        end: str = "high",
        dropout: float = 0.0,
        longest: int = 0,
    ) -> None:
        size: dict[str, Any] = {"width": width, "depth": depth, "heads": heads, "mlp_ratio": mlp_ratio}
        super().__init__(spec, **size, positions=positions)
        if end not in ("low", "high"):
            raise ValueError(f"an axis ends low or high, got {end!r}")
        if longest < 0:
            raise ValueError(f"longest must be 0 or more, got {longest}")
        self.sign, self.longest = (1.0 if end == "high" else -1.0), longest
        self.dropout = nn.Dropout(dropout)
        self.gap = nn.Parameter(torch.zeros(len(spec.kinds), width))
        nn.init.trunc_normal_(self.gap, std=0.02)

    def forward(
        self,
        batch: PatchSequence,
        rows: Tensor | None = None,
        visible: IndexSet | None = None,
        keep_layers: int = 0,
    ) -> Encoded:
        if visible is None:
            return super().forward(batch, rows, None, keep_layers)
        whole, visible = whole_rows(batch, rows, visible)
        made = self._encode(whole, seen_places(visible, whole.n_patches), keep_layers)
        return made.shown(visible, made.pooled)

    def within_reach(self, batch: PatchSequence) -> PatchSequence:
        index = self._nearest(batch)
        return batch if index is None else select(batch, None, index)

    def encode(self, batch: PatchSequence, index: Tensor | None, keep_layers: int) -> Encoded:
        near = self._nearest(batch)
        if near is None:
            return self._encode(batch, batch.valid, keep_layers)
        part = select(batch, None, near)
        return replace(self._encode(part, part.valid, keep_layers), index=near.index, states=None)

    def _nearest(self, batch: PatchSequence) -> IndexSet | None:
        """What is read of each row, in the order of the batch; None = everything."""
        if not self.longest or batch.n_patches <= self.longest:
            return None
        place = (self.sign * batch.coords[..., 0].float()).masked_fill(~batch.content, -torch.inf)
        rank = place.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        kept = batch.valid & ((rank < self.longest) | ~batch.content)
        index = (~kept).int().argsort(dim=1, stable=True)[:, : int(kept.sum(dim=1).max().clamp(min=1))]
        return IndexSet(index, kept.gather(1, index))

    def _encode(self, batch: PatchSequence, seen: Tensor, keep_layers: int) -> Encoded:
        """seen: [row, patch] bool, patches whose content may be looked at."""
        valid, n = batch.valid, batch.n_patches
        asked, beyond, start = self._asked(batch, seen)
        everyone = torch.cat([valid, beyond.unsqueeze(1)], dim=1)
        coords = batch.coords.float().masked_fill(~valid.unsqueeze(-1), 0.0)
        coords[..., 0] -= start.unsqueeze(1)
        coords = torch.cat([coords, torch.zeros_like(coords[:, :1])], dim=1)  # the gap beyond the end lies at zero
        coords = coords.masked_fill(~everyone.unsqueeze(-1), 0.0)

        embedding = self.embed(batch.values, batch.ids, batch.kind, seen)
        gap = self.gap[batch.kind.masked_fill(~valid, 0)].to(embedding.dtype)
        x = torch.where(seen.unsqueeze(-1), embedding, gap)
        x = torch.cat([x, self.gap[:1].to(x.dtype).expand(len(x), 1, -1)], dim=1)
        if self.positions is not None:
            x = x + self.positions(coords)
        x, layers = self._trunk(self.dropout(x), everyone, coords, keep_layers)
        pooled = gather(x, None, torch.where(beyond, n, asked.int().argmax(dim=1)).unsqueeze(1)).squeeze(1)
        states, layers = x[:, :n], tuple(layer[:, :n] for layer in layers)
        return Encoded(states, valid, coords[:, :n], None, pooled.float(), layers, embedding, states=states)

    def _asked(self, batch: PatchSequence, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[row, patch] bool, hidden patches that end their row; [row] bool, rows whose end is shown, so that a gap
        beyond it is asked for; [row] where on the first axis the asked place lies."""
        place = self.sign * batch.coords[..., 0].float()
        end = place.masked_fill(~batch.content, -torch.inf).amax(dim=1)
        end = torch.where(torch.isfinite(end), end, 0.0)  # rows without anything
        asked = (place == end.unsqueeze(1)) & batch.content & ~seen
        beyond = ~asked.any(dim=1)
        return asked, beyond, self.sign * (end + beyond * self.spec.axis_scales[0])

    def layer_groups(self) -> list[list[nn.Parameter]]:
        first, *others = super().layer_groups()
        return [[*first, self.gap], *others]


@register("head", "states")
class StatesHead(QueryHead):
    """The state that the encoder has made of each place asked for, as it is; for encoders that keep hidden patches
    without content. Raises InputError for others."""

    def __init__(self, spec: SequenceSpec, in_width: int) -> None:
        super().__init__()
        self.out = in_width

    def forward(self, encoded: Encoded, query: Query) -> Tensor:
        if encoded.states is None or query.index is None:
            raise InputError(
                "the encoder drops hidden patches, there are no states of them", field="heads",
                fix="use encoder.name cloze, or the head predictor",
            )  # fmt: skip
        return gather(encoded.states, None, query.index)
