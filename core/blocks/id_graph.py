"""An encoder of ids on the graph of what occurred together: propagation instead of layers.

LightGCN (He et al. 2020, https://arxiv.org/abs/2002.02126), see `propagation`. Whose a row is is told by a patch of a
kind of its own (`people`), whose ids are the rows of the graph.

- A row that the graph knows is read by its own propagated vector, whatever it shows: as in the paper.
- Any other row, and every row where people have no vectors, is read by its history h: a step from the ids,
  R~_h told, with `told` the sum of the layers that a row hears of. That is the vector which a new node without one of
  its own would have in LightGCN, had nobody heard of it yet.

What a row is asked for is an edge of the graph as well, and what it carries tells that ids which occurred together lie
near each other. With `cut`, edges that a view hides carry nothing in that step, in whatever direction.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError
from ..known import KnownIds
from ..sequence import PatchSequence, SequenceSpec
from .edges import seen_places
from .embed import PatchEmbedding
from .encoder import Encoded, Encoder
from .propagation import Propagated, Propagation, inverse_root
from .registry import register
from .views import IndexSet, select


@register("encoder", "id_graph")
class IdGraphEncoder(Encoder):
    """Propagated vectors of ids and of rows. Attention, coordinates and other kinds are not looked at.

    width: of a vector. layers: of propagation. people: kind of the patch that tells whose row it is, "" = rows have no
    vectors of their own. known: whether vectors of ids also hold a map of what is known of them; the paper's do not.
    spread: standard deviation of the vectors at the start. cut: kind of the patch that tells whose row it is, where
    edges between that row and its hidden ids shall carry nothing in training; "" = the whole graph does.
    """

    def __init__(
        self,
        spec: SequenceSpec,
        *,
        width: int = 64,
        layers: int = 3,
        people: str = "",
        known: bool = True,
        spread: float = 0.02,
        cut: str = "",
    ) -> None:
        super().__init__(spec)
        if not spec.vocabulary:
            raise ValueError("a graph of ids needs patches with ids, these carry values")
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        for name, kind in (("people", people), ("cut", cut)):
            if kind and not spec.kind_columns:
                raise InputError(
                    "rows do not tell whose they are", field=f"encoder.{name}", got=kind,
                    fix=f"let the modality tell it, or leave encoder.{name} empty",
                )  # fmt: skip
        self.width, self.depth = width, layers
        self.embed = PatchEmbedding(spec, width)
        self.embed.init_weights()
        nn.init.normal_(self.embed.tables[0].weight, std=spread)  # type: ignore[arg-type]
        self._known = known
        self._kind = spec.kind_of(people) if people else -1
        self._cut = spec.kind_of(cut) if cut else -1
        self.people = nn.Embedding(spec.vocabulary[spec.kind_columns[self._kind]], width) if people else None
        if self.people is not None:
            nn.init.normal_(self.people.weight, std=spread)
        self._graph: Propagation | None = None  # the modality's, no weights
        self._scale: Tensor | None = None
        self._found: tuple[tuple[object, ...], Propagated] | None = None

    def tell(self, known: KnownIds) -> None:
        """Learn the graph."""
        if known.taken is None:
            return
        rows, _ = known.taken.get_shape()
        if self.people is not None and rows != self.people.num_embeddings:
            raise ValueError(f"the graph has {rows} rows for {self.people.num_embeddings} vectors")
        self._graph = Propagation(known.taken, self.depth)
        self._scale = torch.from_numpy(inverse_root(np.asarray(known.taken.sum(axis=0), np.float64).ravel()))
        self._found = None

    def id_table(self) -> Tensor:
        """[id, width] propagated vectors. Those of the last encoding are reused while nothing has changed."""
        return self._propagated().ids

    def unspread(self) -> tuple[Tensor | None, Tensor]:
        own = self.embed.vectors(0) if self._known else self.embed.tables[0].weight
        assert isinstance(own, Tensor)
        return (None if self.people is None else self.people.weight), own

    def forward(
        self,
        batch: PatchSequence,
        rows: Tensor | None = None,
        visible: IndexSet | None = None,
        keep_layers: int = 0,
    ) -> Encoded:
        if visible is None or self._cut < 0 or not torch.is_grad_enabled():
            return super().forward(batch, rows, visible, keep_layers)
        whole = batch if rows is None else batch.rows(rows)
        hidden = whole.content & ~seen_places(visible, whole.n_patches)
        said, code = self._who(whole, self._cut)
        row, patch = (hidden & said.unsqueeze(1)).nonzero(as_tuple=True)
        assert whole.ids is not None
        edges = torch.stack([code[row], whole.ids[row, patch, 0]])
        return self._encode(select(batch, rows, visible), visible.index, keep_layers, edges)

    def encode(self, batch: PatchSequence, index: Tensor | None, keep_layers: int) -> Encoded:
        return self._encode(batch, index, keep_layers, None)

    def _who(self, batch: PatchSequence, kind: int) -> tuple[Tensor, Tensor]:
        """[row] whether a patch of a kind tells whose row it is, and [row] code of who it is."""
        assert batch.ids is not None
        said = batch.valid & (batch.kind == kind)  # one such patch a row
        return said.any(dim=1), (batch.ids[..., self.spec.kind_columns[kind]] * said).sum(dim=1)

    def _encode(self, batch: PatchSequence, index: Tensor | None, keep_layers: int, without: Tensor | None) -> Encoded:
        if torch.is_grad_enabled():
            self._found = None  # a graph serves one backward pass
        found = self._propagated(without)
        assert self._scale is not None
        assert batch.ids is not None
        content = batch.content
        ids = batch.ids[..., 0].masked_fill(~content, 0)
        tokens = F.embedding(ids, found.ids) * content.unsqueeze(-1)
        weight = self._scale.to(ids.device)[ids] * content / content.sum(dim=1, keepdim=True).clamp(min=1).sqrt()
        # a sum without a vector for each patch: long histories would fill the memory
        pooled = F.embedding_bag(ids, found.told, per_sample_weights=weight.to(found.told.dtype), mode="sum")
        if found.rows is not None:
            said, row = self._who(batch, self._kind)
            pooled = torch.where(said.unsqueeze(1), F.embedding(row, found.rows), pooled)
        return Encoded(tokens, batch.valid, batch.coords.float(), index, pooled, (tokens,) * bool(keep_layers), tokens)

    def _propagated(self, without: Tensor | None = None) -> Propagated:
        if self._graph is None:
            raise InputError(
                "this encoder needs to know which ids occurred together", field="encoder.name", got="id_graph",
                fix="use a modality that tells it, or the encoder set",
            )  # fmt: skip
        key = (torch.is_grad_enabled(), *((p.device, p._version) for p in self.parameters()))
        if self._found is None or self._found[0] != key:
            self._found = (key, self._graph(*self.unspread(), without))
        return self._found[1]

    def __deepcopy__(self, memo: dict[int, object]) -> IdGraphEncoder:
        """A copy for a moving average: the graph is shared, what was propagated is not."""
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        shared = {"_graph": self._graph, "_scale": self._scale, "_found": None}
        new.__dict__.update({k: copy.deepcopy(v, memo) for k, v in self.__dict__.items() if k not in shared} | shared)
        return new
