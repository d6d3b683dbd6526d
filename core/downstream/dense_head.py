"""The head of dense tasks: every token says what its own stretch of the axis holds, step by step.

- Tokens are read at the centres of a grid of cells, one cell a token length (`readout`), so tokens of several leads
  become one and gaps are bridged. A light convolution lets each cell see its neighbours: where a wave begins is often
  told by the cell before.
- A linear map unfolds each cell into its steps, with a few channels a step; a second convolution over steps smooths
  across cell borders, so boundaries are as fine as the labels and not as the tokens. This is the pixel-wise linear head
  of frozen vision transformers (DINOv2, Oquab et al. 2023, https://arxiv.org/abs/2304.07193) with neighbours.

A drop-in for `ItemHead`: items of a dense task are steps, and the head gathers the logits at their places.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ..modality import Task
from ..sequence import SequenceSpec
from .readout import interpolation_weights

HIDDEN = 128
CHANNELS = 16  # a step, before the last convolution
CELL_KERNEL, STEP_KERNEL = 5, 9


class DenseHead(nn.Module):
    """Tokens -> [row, event, class] logits, where events are steps of the task's grid."""

    normed = True  # tokens as the encoder's last norm leaves them

    def __init__(self, width: int, task: Task, spec: SequenceSpec, dropout: float) -> None:
        super().__init__()
        self.cell, self.step = float(spec.axis_scales[0]), task.step
        self.steps = max(1, round(self.cell / task.step))
        self.norm = nn.LayerNorm(width)
        self.cells = nn.Conv1d(width, HIDDEN, CELL_KERNEL, padding=CELL_KERNEL // 2)
        self.unfold = nn.Conv1d(HIDDEN, self.steps * CHANNELS, 1)
        self.smooth = nn.Conv1d(CHANNELS, CHANNELS, STEP_KERNEL, padding=STEP_KERNEL // 2)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Conv1d(CHANNELS, len(task.classes), 1)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def standardize(self, features: Tensor) -> Tensor:
        """Dense tasks have no side features."""
        return features

    def forward(
        self, tokens: Tensor, valid: Tensor, coords: Tensor, at: Tensor, side: Tensor, given: Tensor | None = None
    ) -> Tensor:
        """at: [row, event] centres of steps, in the unit of the first axis. side, given: dense tasks have none."""
        place = coords[..., 0].masked_fill(~valid, 0.0)
        length = torch.maximum(place.amax() + 0.5 * self.cell, at.amax() + 0.5 * self.step)
        n_cells = max(1, math.ceil(float(length) / self.cell - 1e-3))
        centre = (torch.arange(n_cells, device=at.device) + 0.5) * self.cell
        weights = interpolation_weights(valid, place, centre.expand(len(at), -1))
        x = self.norm(tokens.masked_fill(~valid.unsqueeze(-1), 0.0))
        x = rearrange(weights.to(x.dtype) @ x, "row cell width -> row width cell")
        x = self.unfold(self.dropout(F.gelu(self.cells(x))))
        x = rearrange(x, "row (step channel) cell -> row channel (cell step)", step=self.steps)
        logits = self.out(F.gelu(x + self.smooth(F.gelu(x)))).float()
        # a cell holds `steps` steps whether or not the two lengths divide evenly
        index = (at * (self.steps / self.cell)).long().clamp(0, logits.shape[-1] - 1)
        return torch.gather(logits.transpose(1, 2), 1, index.unsqueeze(-1).expand(-1, -1, logits.shape[1]))
