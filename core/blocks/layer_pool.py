"""What the layers of an encoder hold, side by side, each with a say of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from ..sequence import SequenceSpec
from .encoder import Encoded, masked_mean
from .gradients import scale_gradient
from .pooling import RowHead
from .registry import register


@register("head", "layer_pool")
class LayerPool(RowHead):
    """[row, layers * width]: mean over the tokens of each of the last layers, earliest first.

    weights: one a layer, by which the gradient into that layer is multiplied; values pass unchanged. So an adversary
    on it can ask more of early layers, where who speaks is told best.
    """

    def __init__(self, spec: SequenceSpec, in_width: int, *, weights: tuple[float, ...]) -> None:
        super().__init__()
        if not weights:
            raise ValueError("weights must name one layer or more")
        self.weights = tuple(float(w) for w in weights)
        self.keep_layers, self.out = len(self.weights), len(self.weights) * in_width

    def forward(self, encoded: Encoded) -> Tensor:
        layers = encoded.layers[-self.keep_layers :]
        if len(layers) < self.keep_layers:
            raise InputError(
                "layer_pool has more weights than the encoder has layers", source="objective.heads",
                got=self.keep_layers, expected=f"at most {len(layers)}",
            )  # fmt: skip
        pooled = [masked_mean(layer, encoded.valid) for layer in layers]
        return torch.cat([scale_gradient(z, w) for z, w in zip(pooled, self.weights, strict=True)], dim=-1)
