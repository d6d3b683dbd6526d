"""Patch embedding: content and kind of a patch to a vector of the model's width."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..sequence import SequenceSpec


class PatchEmbedding(nn.Module):
    """[row, patch, value] (or ids [row, patch, k]) -> [row, patch, width].

    A NaN inside a valid patch is a missing measurement: it counts as zero, and the share of missing numbers of each
    sensor of the patch is embedded beside the values, so that "missing" and "zero" stay different things.
    """

    def __init__(self, spec: SequenceSpec, width: int) -> None:
        super().__init__()
        self.spec = spec
        if spec.vocabulary:
            self.tables = nn.ModuleList(nn.Embedding(size, width) for size in spec.vocabulary)
            for table in self.tables:
                nn.init.normal_(table.weight, std=0.02)  # type: ignore[arg-type]
        else:
            self.project = nn.Linear(spec.patch_size, width)
            self.sensors = math.prod(spec.patch_shape[:-1])
            self.absence = nn.Linear(self.sensors, width, bias=False)
        self.kinds = nn.Embedding(len(spec.kinds), width) if len(spec.kinds) > 1 else None
        if self.kinds is not None:
            nn.init.normal_(self.kinds.weight, std=0.02)

    def init_weights(self) -> None:
        """Keep the scale of the values: with the width-0.02 start of other layers, positions would drown content."""
        if not self.spec.vocabulary:
            nn.init.xavier_uniform_(self.project.weight)

    def forward(self, values: Tensor | None, ids: Tensor | None, kind: Tensor, valid: Tensor) -> Tensor:
        if values is not None:
            missing = ~torch.isfinite(values)
            filled = values.masked_fill(missing | ~valid.unsqueeze(-1), 0.0).to(self.project.weight.dtype)
            absent = missing.view(*valid.shape, self.sensors, -1).to(filled.dtype).mean(-1)
            x = self.project(filled) + self.absence(absent)
        else:
            assert ids is not None
            ids = ids.masked_fill(~valid.unsqueeze(-1), 0)
            x = torch.stack([table(ids[..., i]) for i, table in enumerate(self.tables)]).sum(0)
        return x if self.kinds is None else x + self.kinds(kind.masked_fill(~valid, 0))
