"""Patch embedding: content and kind of a patch to a vector of the model's width."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..known import KnownIds
from ..sequence import SequenceSpec
from .id_table import KnownOfIds


class PatchEmbedding(nn.Module):
    """[row, patch, value] (or ids [row, patch, k]) -> [row, patch, width].

    A NaN inside a valid patch is a missing measurement: it counts as zero, and the share of missing numbers of each
    sensor of the patch is embedded beside the values, so that "missing" and "zero" stay different things.
    Kinds of different content (`spec.kind_shapes`) have a projection each.
    """

    def __init__(self, spec: SequenceSpec, width: int) -> None:
        super().__init__()
        self.spec = spec
        if spec.vocabulary:
            learned = spec.vocabulary[:1] if spec.kind_columns else spec.vocabulary
            self.tables = nn.ModuleList(nn.Embedding(size, width) for size in learned)
            for table in self.tables:
                nn.init.normal_(table.weight, std=0.02)  # type: ignore[arg-type]
            if spec.known_of_ids:
                sizes = zip(spec.vocabulary, spec.known_of_ids, strict=True)
                self.known = nn.ModuleList(KnownOfIds(ids, known, width) for ids, known in sizes)
        elif spec.kind_shapes:
            self.contents = nn.ModuleList(ContentEmbedding(shape, width) for shape in spec.kind_shapes)
        else:
            # not a ContentEmbedding: the weights of saved models have these names
            self.project, self.absence = _content_maps(spec.patch_shape, width)
        self.kinds = nn.Embedding(len(spec.kinds), width) if len(spec.kinds) > 1 else None
        if self.kinds is not None:
            nn.init.normal_(self.kinds.weight, std=0.02)

    def init_weights(self) -> None:
        """Keep the scale of the values: with the width-0.02 start of other layers, positions would drown content."""
        if self.spec.kind_shapes:
            for content in self.contents:
                nn.init.xavier_uniform_(content.project.weight)  # type: ignore[union-attr]
        elif not self.spec.vocabulary:
            nn.init.xavier_uniform_(self.project.weight)
        elif self.spec.known_of_ids:
            for known in self.known:
                known.init_weights()  # type: ignore[operator]

    def tell(self, known: KnownIds) -> None:
        """Learn what is known of ids."""
        if self.spec.known_of_ids:
            for table, numbers in zip(self.known, known.numbers, strict=True):
                table.values.copy_(torch.as_tensor(numbers))  # type: ignore[union-attr]

    def vectors(self, column: int) -> Tensor:
        """[id, width] of the ids of a column: learned where it has a table, and from what is known of each."""
        if column >= len(self.tables):
            return self.known[column]()
        learned: Tensor = self.tables[column].weight  # type: ignore[assignment]
        return learned + self.known[column]() if self.spec.known_of_ids else learned

    def forward(self, values: Tensor | None, ids: Tensor | None, kind: Tensor, valid: Tensor) -> Tensor:
        kind = kind.masked_fill(~valid, 0)
        if values is None:
            assert ids is not None
            x = self._of_ids(ids, kind, valid)
        elif self.spec.kind_shapes:
            x = self._by_kind(values, kind, valid)
        else:
            x = _embed_content(values, valid, self.project, self.absence)
        return x if self.kinds is None else x + self.kinds(kind)

    def _of_ids(self, ids: Tensor, kind: Tensor, valid: Tensor) -> Tensor:
        """Each patch by the sum of its columns, or by the column of its kind."""
        ids = ids.masked_fill(~valid.unsqueeze(-1), 0)
        reads = None
        if self.spec.kind_columns:
            column = torch.tensor(self.spec.kind_columns, device=kind.device)[kind]
            reads = F.one_hot(column, len(self.spec.vocabulary)).to(ids.dtype)
            ids = ids * reads
        x = None
        for i in range(len(self.spec.vocabulary)):
            if i >= len(self.tables) and not (self.spec.known_of_ids and self.spec.known_of_ids[i]):
                continue  # nothing is known of these ids, and nothing is learned of them
            part = F.embedding(ids[..., i], self.vectors(i))
            part = part if reads is None else part * reads[..., i, None]
            x = part if x is None else x + part
        assert x is not None
        return x

    def _by_kind(self, values: Tensor, kind: Tensor, valid: Tensor) -> Tensor:
        """Each patch through the projection of its kind; invalid ones become zero."""
        flat, content, x = (valid.flatten(), values.flatten(0, 1), None)
        for number, embed in enumerate(self.contents):
            place = (flat & (kind.flatten() == number)).nonzero().squeeze(1)
            own = embed(content.index_select(0, place))
            x = own.new_zeros(len(flat), own.shape[-1]) if x is None else x
            x = x.index_copy(0, place, own)
        assert x is not None
        return x.view(*valid.shape, -1)


class ContentEmbedding(nn.Module):
    """Real patches [patch, value] of one shape -> [patch, width]; values beyond the shape's size are not looked at."""

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.size = math.prod(shape)
        self.project, self.absence = _content_maps(shape, width)

    def forward(self, values: Tensor) -> Tensor:
        values = values[:, : self.size]
        return _embed_content(values, values.new_ones(len(values), dtype=torch.bool), self.project, self.absence)


def _content_maps(shape: tuple[int, ...], width: int) -> tuple[nn.Linear, nn.Linear]:
    """What maps the numbers of a patch (sensor, ..., sample), and what maps the missing share of each sensor."""
    return nn.Linear(math.prod(shape), width), nn.Linear(math.prod(shape[:-1]), width, bias=False)


def _embed_content(values: Tensor, valid: Tensor, project: nn.Linear, absence: nn.Linear) -> Tensor:
    missing = ~torch.isfinite(values)
    filled = values.masked_fill(missing | ~valid.unsqueeze(-1), 0.0).to(project.weight.dtype)
    absent = (
        missing.view(*valid.shape, absence.in_features, project.in_features // absence.in_features)
        .to(filled.dtype)
        .mean(-1)
    )
    return project(filled) + absence(absent)
