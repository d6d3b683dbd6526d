"""Temporal branch: what happens over time at each place, between an encoder and a trained head.

The fine-tuning of SkeletonMAE (Yan et al. 2023, https://arxiv.org/abs/2307.08476) puts its spatial encoder, with a skip
around it, before temporal convolutions of several widths (those of MS-G3D, Liu et al. 2020,
https://arxiv.org/abs/2003.14111), and trains all of it. Here any encoder may stand in that place, and the convolutions
see what patches hold by where and when they are, never by their order in a list.

- Tokens are laid on a grid of places (equal coordinates on the axes after the first) and steps of the first axis. A
  step without a token is zero and stays so; rows of any length and sets of sensors work.
- The branch adds to the tokens and begins at zero, so a head that starts as the linear probe (`head_start`) starts as
  the same probe.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..blocks.masks import dense
from ..sequence import SequenceSpec

# places nearer to each other than this part of a step are one
_SAME = 0.05


@dataclass(frozen=True)
class TokenGrid:
    """Tokens as series: [series, width, step], one series for each place of each row.

    series, step: [token] where each valid token stands; shape: (series, steps); present: [series, 1, step] 1 or 0.
    """

    valid: Tensor
    series: Tensor
    step: Tensor
    shape: tuple[int, int]
    count: Tensor

    @classmethod
    def of(cls, valid: Tensor, coords: Tensor, scales: tuple[float, ...]) -> TokenGrid:
        """valid: [row, patch]; coords: [row, patch, axis]; scales: one step on each axis."""
        steps = coords.float() / coords.new_tensor(scales, dtype=torch.float32)
        place = torch.zeros_like(valid, dtype=torch.long)
        for axis in range(1, coords.shape[-1]):
            cell = (steps[..., axis] / _SAME).round().long().masked_fill(~valid, 0)
            place = dense(place * valid.shape[1] + dense(cell, valid), valid).masked_fill(~valid, 0)
        when = steps[..., 0]
        first = when.masked_fill(~valid, torch.inf).amin(dim=1, keepdim=True)
        step = (when - first)[valid].round().long()
        row = torch.arange(len(valid), device=valid.device).unsqueeze(1).expand_as(valid)
        places = int(place.max()) + 1 if place.numel() else 1
        series = (row * places + place)[valid]
        shape = (len(valid) * places, int(step.max()) + 1 if len(step) else 1)
        count = torch.zeros(shape, device=valid.device).index_put_((series, step), torch.ones_like(when[valid]), True)
        return cls(valid, series, step, shape, count.unsqueeze(1))

    @property
    def present(self) -> Tensor:
        """[series, 1, step] 1 where a token stands, 0 elsewhere."""
        return self.count.clamp(max=1.0)

    def lay(self, tokens: Tensor) -> Tensor:
        """[row, patch, width] -> [series, width, step]; tokens at one place and step are averaged."""
        grid = tokens.new_zeros(*self.shape, tokens.shape[-1])
        grid = grid.index_put((self.series, self.step), tokens[self.valid], accumulate=True)
        return grid.transpose(1, 2) / self.count.clamp(min=1.0).to(tokens.dtype)

    def take(self, grid: Tensor) -> Tensor:
        """[series, width, step] -> [row, patch, width], zero where invalid."""
        out = grid.new_zeros(*self.valid.shape, grid.shape[1])
        out[self.valid] = grid.transpose(1, 2)[self.series, self.step]
        return out


class MultiScaleConvolution(nn.Module):
    """x + several ways of looking along steps, side by side: kernels of 3 that reach one and two steps, the maximum of
    three steps, and the step itself. [series, width, step] -> the same; `present` keeps empty steps empty."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        part = max(1, width // 4)
        self.norm = nn.LayerNorm(width)
        self.enter = nn.ModuleList(nn.Conv1d(width, part, 1) for _ in range(4))
        self.look = nn.ModuleList(nn.Conv1d(part, part, 3, padding=reach, dilation=reach) for reach in (1, 2))
        self.leave = nn.Conv1d(4 * part, width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        y = self.norm(x.transpose(1, 2)).transpose(1, 2)
        near, far, most, same = (F.gelu(enter(y)) * present.to(y.dtype) for enter in self.enter)
        near, far = (look(part) for look, part in zip(self.look, (near, far), strict=True))
        # of the steps that are there, so that a row's end is the same whether or not others go on
        most = F.max_pool1d(most.masked_fill(present == 0, -torch.inf), 3, stride=1, padding=1)
        y = torch.cat([near, far, most.masked_fill(present == 0, 0.0), same], dim=1)
        return (x + self.leave(self.dropout(F.gelu(y)))) * present.to(y.dtype)


class TemporalBranch(nn.Module):
    """tokens + what convolutions over time make of tokens and patch embeddings (the skip around the encoder).

    width: of the tokens. blocks: convolutions one after the other. dropout: inside them.
    """

    def __init__(self, width: int, spec: SequenceSpec, blocks: int, dropout: float) -> None:
        super().__init__()
        self.scales = spec.axis_scales
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.skip = nn.Linear(width, width)
        self.blocks = nn.ModuleList(MultiScaleConvolution(width, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, width)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, tokens: Tensor, embedding: Tensor, valid: Tensor, coords: Tensor) -> Tensor:
        """[row, patch, width] both, [row, patch], [row, patch, axis] -> [row, patch, width]."""
        grid = TokenGrid.of(valid, coords, self.scales)
        spatial, own = (norm(x) for norm, x in zip(self.norms, (tokens, embedding.to(tokens.dtype)), strict=True))
        x = grid.lay(spatial + self.skip(own))
        for block in self.blocks:
            x = block(x, grid.present)
        return tokens + self.leave(self.norm(grid.take(x))) * valid.unsqueeze(-1)
