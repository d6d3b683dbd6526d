"""Continuous positions over named axes.

Coordinates are physical numbers (seconds, metres, a lead's direction), so a position encoding must be a function of
the coordinate and not of a list index: unseen times, leads and electrodes then work.

- `FourierPositions`: sin and cos at octave-spaced frequencies of each axis, mapped linearly to the model's width
  (NeRF, Mildenhall et al. 2020, https://arxiv.org/abs/2003.08934).
- `RotaryPositions`: relative positions inside attention, the rotation planes shared out among the axes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..sequence import SequenceSpec


class FourierPositions(nn.Module):
    """coords [row, patch, axis] -> [row, patch, width].

    The fastest wave of each axis has a period of two steps of `spec.axis_scales`, the slowest of 2 ** octaves steps.
    """

    steps: Tensor
    frequencies: Tensor

    def __init__(self, spec: SequenceSpec, width: int, octaves: int = 10) -> None:
        super().__init__()
        self.register_buffer("steps", torch.tensor(spec.axis_scales, dtype=torch.float32), persistent=False)
        self.register_buffer("frequencies", math.pi * 2.0 ** -torch.arange(octaves).float(), persistent=False)
        self.project = nn.Linear(2 * octaves * len(spec.axes), width)

    def forward(self, coords: Tensor) -> Tensor:
        angles = (coords / self.steps).unsqueeze(-1) * self.frequencies
        waves = torch.cat((angles.sin(), angles.cos()), dim=-1).flatten(2)
        return self.project(waves)


class RotaryPositions(nn.Module):
    """coords [row, patch, axis] -> (cos, sin), each [row, 1, patch, dim/2], for `attention.rotate`."""

    steps: Tensor
    frequencies: Tensor
    axis: Tensor

    def __init__(self, spec: SequenceSpec, head_dim: int, octaves: int = 10) -> None:
        super().__init__()
        planes, axes = head_dim // 2, len(spec.axes)
        if head_dim % 2 or planes < axes:
            raise ValueError(f"rotary positions over {axes} axes need an even head size >= {2 * axes}, got {head_dim}")
        plane = torch.arange(planes)
        self.register_buffer("axis", plane % axes, persistent=False)
        rank = (plane // axes).float() / max(1, math.ceil(planes / axes) - 1)
        self.register_buffer("frequencies", math.pi * 2.0 ** (-octaves * rank), persistent=False)
        self.register_buffer("steps", torch.tensor(spec.axis_scales, dtype=torch.float32), persistent=False)

    def forward(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        angles = (coords / self.steps)[..., self.axis] * self.frequencies
        return angles.cos().unsqueeze(1), angles.sin().unsqueeze(1)


def build_positions(
    name: str, spec: SequenceSpec, width: int, heads: int
) -> tuple[FourierPositions | None, RotaryPositions | None]:
    """What is added to tokens of `width` ("fourier"), what rotates `heads` heads ("rotary"), or neither ("none")."""
    if name == "fourier":
        return FourierPositions(spec, width), None
    if name == "rotary":
        return None, RotaryPositions(spec, width // heads)
    if name == "none":
        return None, None
    raise ValueError(f"positions must be 'fourier', 'rotary' or 'none', got {name!r}")
