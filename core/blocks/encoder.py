"""Encoders: visible patches to tokens.

- Hidden patches are dropped before the embedding, so a masked view costs what it shows (MAE).
- An encoder reads coordinates, never list positions: permuting patches with their coordinates permutes the tokens,
  and adding invalid patches changes nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..sequence import PatchSequence, SequenceSpec, gather
from .attention import Block, init_weights, key_bias
from .embed import PatchEmbedding
from .positions import build_positions
from .registry import register
from .views import IndexSet, select


@dataclass(frozen=True)
class Encoded:
    """What an encoder returns.

    tokens: [row, patch, width]; valid: [row, patch] bool; coords: [row, patch, axis].
    index: [row, patch] position of each token on the batch's patch axis, None = unchanged.
    pooled: [row, width] mean over valid tokens.
    layers: the last `keep_layers` block outputs, earliest first, each [row, patch, width].
    embedding: [row, patch, width] output of the patch embedding (for monitors).
    states: [row, patch, width] on the batch's whole patch axis, of encoders that keep hidden patches without content.
    """

    tokens: Tensor
    valid: Tensor
    coords: Tensor
    index: Tensor | None
    pooled: Tensor
    layers: tuple[Tensor, ...]
    embedding: Tensor
    states: Tensor | None = None

    def shown(self, visible: IndexSet, pooled: Tensor | None = None) -> Encoded:
        """What of it belongs to visible patches, where hidden ones were kept as gaps; their states stay in `states`.

        pooled: [row, width], default: mean over the visible patches.
        """

        def part(field: Tensor) -> Tensor:
            return gather(field, None, visible.index)

        tokens = part(self.tokens)
        return Encoded(
            tokens, visible.valid, part(self.coords), visible.index,
            masked_mean(tokens, visible.valid) if pooled is None else pooled,
            tuple(part(layer) for layer in self.layers), part(self.embedding), states=self.tokens,
        )  # fmt: skip


class Encoder(nn.Module):
    """Base class. `width`: size of a token; `depth`: number of layers; `spec`: what it was built for."""

    width: int
    depth: int

    def __init__(self, spec: SequenceSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(
        self,
        batch: PatchSequence,
        rows: Tensor | None = None,
        visible: IndexSet | None = None,
        keep_layers: int = 0,
    ) -> Encoded:
        """Encode the visible patches of the rows.

        rows: [row] lineage, batch row of each encoded row (repeats allowed); visible: which patches of them.
        """
        if visible is not None:
            part = select(batch, rows, visible)
            return self.encode(part, visible.index, keep_layers)
        return self.encode(batch if rows is None else batch.rows(rows), None, keep_layers)

    def within_reach(self, batch: PatchSequence) -> PatchSequence:
        """What of a batch is read at all, where rows may be longer. Views are made of it, so that nothing is asked for
        which could not be told."""
        return batch

    @abstractmethod
    def encode(self, batch: PatchSequence, index: Tensor | None, keep_layers: int) -> Encoded:
        """Encode all valid patches of `batch`."""

    def id_table(self) -> Tensor:
        """[id, width] learned vectors of the ids of the first column; their inner product with a row's pooled vector
        scores an id for that row."""
        if not self.spec.vocabulary:
            raise InputError("these patches carry values, there are no ids to score", field="encoder")
        return self.embed.tables[0].weight  # type: ignore[union-attr, return-value]

    def unspread(self) -> tuple[Tensor | None, Tensor] | None:
        """Learned vectors before anything spreads them over a graph: [row, width] of known rows, None where rows have
        none, and [id, width] of ids. None where nothing is spread, and `id_table` is what was learned."""
        return None

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the input to the last layer, for layer-wise learning rates."""
        return [list(self.parameters())]


def whole_rows(batch: PatchSequence, rows: Tensor | None, visible: IndexSet) -> tuple[PatchSequence, IndexSet]:
    """All patches of the rows, and which of them a view shows: for encoders that keep hidden patches as gaps."""
    whole = batch if rows is None else batch.rows(rows)
    return whole, IndexSet(visible.index, visible.valid & gather(whole.valid, None, visible.index))


def masked_mean(tokens: Tensor, valid: Tensor) -> Tensor:
    """[row, patch, width] -> [row, width] mean over valid patches in float32; rows without any give zero."""
    weight = valid.unsqueeze(-1).to(torch.float32)
    total = (tokens * weight).sum(dim=1)  # not a matrix product: autocast would run it in half precision
    return total / weight.sum(dim=1).clamp(min=1.0)


@register("encoder", "transformer")
class TransformerEncoder(Encoder):
    """Pre-norm vision-transformer trunk (Dosovitskiy et al. 2020, https://arxiv.org/abs/2010.11929) over coordinates.

    width, depth, heads, mlp_ratio: size. positions: "fourier" (added to the embedding) or "rotary" (inside attention).
    registers: extra learned tokens that belong to no patch (Darcet et al. 2023, https://arxiv.org/abs/2309.16588).
    """

    def __init__(
        self,
        spec: SequenceSpec,
        *,
        width: int = 192,
        depth: int = 6,
        heads: int = 3,
        mlp_ratio: float = 4.0,
        positions: str = "fourier",
        registers: int = 0,
    ) -> None:
        super().__init__(spec)
        self.width, self.depth = width, depth
        self.embed = PatchEmbedding(spec, width)
        self.positions, self.rotary = build_positions(positions, spec, width, heads)
        self.registers = nn.Parameter(torch.zeros(registers, width)) if registers else None
        self.blocks = nn.ModuleList(Block(width, heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.apply(init_weights)
        self.embed.init_weights()
        if self.registers is not None:
            nn.init.trunc_normal_(self.registers, std=0.02)

    def encode(self, batch: PatchSequence, index: Tensor | None, keep_layers: int) -> Encoded:
        valid = batch.valid
        coords = batch.coords.float().masked_fill(~valid.unsqueeze(-1), 0.0)
        embedding = x = self.embed(batch.values, batch.ids, batch.kind, valid)
        if self.positions is not None:
            x = x + self.positions(coords)
        extra = 0
        everyone, places = valid, coords
        if self.registers is not None:
            extra = len(self.registers)
            x = torch.cat([self.registers.to(x.dtype).expand(len(x), -1, -1), x], dim=1)
            everyone = torch.cat([valid.new_ones(len(x), extra), valid], dim=1)
            places = torch.cat([coords.new_zeros(len(x), extra, coords.shape[-1]), coords], dim=1)
        x, layers = self._trunk(x, everyone, places, keep_layers)
        tokens, layers = x[:, extra:], tuple(layer[:, extra:] for layer in layers)
        return Encoded(tokens, valid, coords, index, masked_mean(tokens, valid), layers, embedding)

    def _trunk(self, x: Tensor, valid: Tensor, coords: Tensor, keep_layers: int) -> tuple[Tensor, list[Tensor]]:
        """Normed output of the blocks, and the last `keep_layers` outputs, earliest first."""
        bias, layers = key_bias(valid), []
        rotation = self.rotary(coords) if self.rotary is not None else None
        for i, block in enumerate(self.blocks):
            x = block(x, bias, rotation)
            if i >= self.depth - keep_layers:
                layers.append(x)
        return self.norm(x), layers

    def layer_groups(self) -> list[list[nn.Parameter]]:
        first = [p for m in (self.embed, self.positions) if m is not None for p in m.parameters()]
        if self.registers is not None:
            first.append(self.registers)
        return [first, *(list(b.parameters()) for b in self.blocks), list(self.norm.parameters())]
