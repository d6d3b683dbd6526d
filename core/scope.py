"""What one step computes: views, encodings, predictions and targets, each made once and only when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from .blocks.caption import TextHead
from .blocks.edges import graph_of
from .blocks.encoder import Encoded, Encoder, masked_mean
from .blocks.heads import Query, QueryHead
from .blocks.pooling import RowHead
from .blocks.projections import chain, project
from .blocks.schedules import Schedule
from .blocks.targets import Request, Target
from .blocks.text import TextEncoder
from .blocks.text_tokens import TextTokens
from .blocks.views import Augment, IndexSet, View, ViewSampler, patch_uniform
from .errors import InputError
from .rng import RowRandom
from .sequence import PatchSequence, gather


class Parts(Protocol):
    """What a step needs of an objective."""

    encoder: Encoder
    heads: nn.ModuleDict
    targets: nn.ModuleDict
    views: dict[str, ViewSampler]
    augment: Augment | None
    text: TextEncoder | None


@dataclass(frozen=True)
class Term:
    """One term of an objective: what is predicted where, from which view, and against which target."""

    name: str
    site: str
    source: str
    heads: tuple[str, ...]
    target: str
    target_view: str
    weight: Schedule


@dataclass(frozen=True)
class Regularization:
    """One regulariser of an objective: which embeddings it is computed on."""

    name: str
    site: str
    sources: tuple[str, ...]
    heads: tuple[str, ...]
    weight: Schedule


@dataclass(frozen=True)
class _Prediction:
    values: Tensor  # [row, k, out] or [row, out]
    valid: Tensor  # values' leading axes


class Scope:
    """What one step has computed so far. The objective lends its parts; nothing here outlives the step."""

    def __init__(self, parts: Parts, batch: PatchSequence, rng: RowRandom) -> None:
        self.parts, self.batch, self.rng = parts, batch, rng
        # what any head reads of the online encoder is kept at once, so that each view is encoded once
        self._keep_layers = max((h.keep_layers for h in parts.heads.values() if isinstance(h, RowHead)), default=0)
        self._views: dict[str, View] = {}
        self._encoded: dict[tuple[int, int, bool, int], Encoded] = {}
        self._predicted: dict[tuple[str, tuple[str, ...], str], _Prediction] = {}
        self._words: dict[int, TextTokens] = {}
        self._states: dict[int, Tensor] = {}

    def view(self, name: str) -> View:
        if name not in self._views:
            self._views[name] = self.parts.views[name](self.batch, self.rng, self.parts.augment)
        return self._views[name]

    def subject(self, source: str) -> Tensor:
        """[row] code of the subject of each row of a view."""
        view = self.view(source)
        return view.batch.subject if view.rows is None else view.batch.subject[view.rows]

    def words(self, source: str) -> TextTokens:
        """Texts of the rows of a view."""
        rows, text = self.view(source).rows, self.parts.text
        assert text is not None
        if id(rows) not in self._words:  # views without masks share one reading
            self._words[id(rows)] = text.of(self.batch.record if rows is None else self.batch.record[rows])
        return self._words[id(rows)]

    def states(self, source: str) -> Tensor:
        """[row, token, width] what the text model makes of them."""
        rows, text = self.view(source).rows, self.parts.text
        assert text is not None
        if id(rows) not in self._states:
            self._states[id(rows)] = text(self.words(source))
        return self._states[id(rows)]

    def encode(self, encoder: Encoder, view: View, hide: bool, keep_layers: int = 0) -> Encoded:
        hide = hide and view.visible is not None
        if encoder is self.parts.encoder:
            keep_layers = max(keep_layers, self._keep_layers)
        # without hiding, every view of the same batch is the same encoding
        key = (id(encoder), id(view) if hide else id(view.batch), hide, keep_layers)
        if key not in self._encoded:
            rows, visible = (view.rows, view.visible) if hide else (None, None)
            self._encoded[key] = encoder(view.batch, rows, visible, keep_layers)
        return self._encoded[key]

    def online(self, source: str) -> Encoded:
        return self.encode(self.parts.encoder, self.view(source), True)

    def index(self, source: str, site: str) -> IndexSet | None:
        """Patches that a site means, None = the whole row."""
        view = self.view(source)
        if site in ("pooled", "text"):
            return None
        chosen = {"target": view.targets, "visible": view.visible, "all": None}[site]
        if chosen is not None:
            return chosen
        valid = view.batch.valid if view.rows is None else view.batch.valid[view.rows]
        return IndexSet(torch.arange(valid.shape[1], device=valid.device).expand(len(valid), -1), valid)

    def predict(self, source: str, heads: tuple[str, ...], site: str) -> _Prediction:
        key = (source, heads, site)
        if key not in self._predicted:
            modules = chain(self.parts.heads, heads)
            encoded = self.online(source)
            if modules and isinstance(modules[0], TextHead):
                words = self.words(source)
                x, valid = modules.pop(0)(encoded, words), words.valid[:, 1:]
            elif modules and isinstance(modules[0], RowHead):
                x, valid = modules.pop(0)(encoded), encoded.valid.any(dim=1)
            elif modules and isinstance(modules[0], QueryHead):
                query = self._query(source, site, modules[0].reads_graph)
                x, valid = modules.pop(0)(encoded, query), query.valid
            elif site == "pooled":
                x, valid = encoded.pooled, encoded.valid.any(dim=1)
            else:
                x, valid = encoded.tokens, encoded.valid
            self._predicted[key] = _Prediction(project(modules, x, valid), valid)
        return self._predicted[key]

    def _query(self, source: str, site: str, reads_graph: bool) -> Query:
        view, wanted = self.view(source), self.index(source, site)
        assert wanted is not None
        coords, kind, valid = (
            gather(field, view.rows, wanted.index) for field in (view.batch.coords, view.batch.kind, view.batch.valid)
        )
        graph = graph_of(view.batch, view.rows) if reads_graph else None
        return Query(coords, kind, wanted.valid & valid, wanted.index, graph)

    def target(self, term: Term) -> Target:
        source, view = self.view(term.source), self.view(term.target_view)
        if (
            term.site in ("pooled", "text")
            and view.rows is not None
            and (source.rows is None or len(source.rows) != len(view.rows))
        ):
            raise InputError(
                f"objective.terms.{term.name} compares whole rows of views with different numbers of masks",
                fix="give both views the same mask.repeats",
            )
        request = Request(
            view, self.encode, source.rows, self.index(term.source, term.site),
            lambda: self.words(term.source), lambda: self.states(term.source), self.rng.fork(term.name),
        )  # fmt: skip
        return self.parts.targets[term.target](request)

    def vectors(self, source: str, reg: Regularization) -> Tensor:
        """[row, width] for a regulariser: pooled, or one random token a row (tokens of a row are not independent)."""
        if reg.site == "pooled":
            pooled = self.predict(source, reg.heads, "pooled")
            return pooled.values[pooled.valid]
        encoded, rows, window = self.online(source), self.view(source).rows, self.batch.window
        draw = self.rng.fork(f"{reg.name}/{source}", window if rows is None else window[rows])
        pick = patch_uniform(draw, encoded.valid).masked_fill(~encoded.valid, -1.0).argmax(dim=1, keepdim=True)
        x, alive = gather(encoded.tokens, None, pick).squeeze(1), encoded.valid.any(dim=1)
        return project(chain(self.parts.heads, reg.heads), x, alive)[alive]

    def taps(self) -> dict[str, Tensor]:
        """Vectors of independent windows, in the batch's order, at every place a representation can collapse."""
        found: dict[str, Tensor] = {}
        labels: dict[int, str] = {id(self.parts.encoder): "encoder"}
        for name, target in self.parts.targets.items():
            average = getattr(target, "encoder", None)
            if average is not None:
                labels.setdefault(id(average), f"target.{name}")
        for (which, _, _, _), encoded in self._encoded.items():
            label = labels.get(which)
            if label is None or label in found:
                continue
            found[label] = encoded.pooled
            if label == "encoder":
                found["embedding"] = masked_mean(encoded.embedding, encoded.valid)
        for (_, heads, site), made in self._predicted.items():
            if heads and site in ("pooled", "target"):
                x = made.values if site == "pooled" else masked_mean(made.values, made.valid)
                found.setdefault(f"head.{'.'.join(heads)}", x)
        # masks are repeat-major, so the first rows are one of each window
        return {name: x.detach()[: len(self.batch)] for name, x in found.items()}
