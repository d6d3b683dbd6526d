"""Objective: named views, a list of terms and regularisers. One forward pass runs every objective.

    loss = sum_t weight_t * reduce(loss_t(head_t(encode(source view)), target_t(target view)))
         + sum_r weight_r * regularizer_r(embedding)

Each distinct (encoder, view) is encoded once. A term's *site* says where it predicts: at the hidden patches
("target"), at the visible ones ("visible"), at all of them ("all") or for the whole row ("pooled"). A new objective
is a YAML of a few lines (see `objectives/`), never a new training loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .blocks.encoder import Encoded, Encoder, masked_mean
from .blocks.heads import Query, QueryHead
from .blocks.latent_targets import chain
from .blocks.registry import build
from .blocks.schedules import Schedule, schedule
from .blocks.targets import Request, Target
from .blocks.views import Augment, IndexSet, View, ViewSampler
from .compose import head_names, resolve_objective
from .distributed import global_mean
from .errors import InputError
from .rng import RowRandom
from .sequence import PatchSequence, SequenceSpec

__all__ = ["Objective", "Outcome", "resolve_objective"]


@dataclass(frozen=True)
class Outcome:
    """loss: scalar; terms: unweighted value of every term and regulariser; taps: detached [window, width] vectors."""

    loss: Tensor
    terms: dict[str, Tensor]
    taps: dict[str, Tensor]


@dataclass(frozen=True)
class _Term:
    name: str
    site: str
    source: str
    heads: tuple[str, ...]
    target: str
    target_view: str
    weight: Schedule


@dataclass(frozen=True)
class _Regularization:
    name: str
    site: str
    sources: tuple[str, ...]
    heads: tuple[str, ...]
    weight: Schedule


class Objective(nn.Module):
    """A composed self-supervised objective around one online encoder.

    Build it with `from_config`. `augment` is the modality's augmentation, `total_steps` the length of the run (for
    schedules); both are set by the training room.
    """

    def __init__(self, options: Mapping[str, Any], spec: SequenceSpec, encoder: Encoder) -> None:
        super().__init__()
        self.name = str(options.get("name", "custom"))
        self.encoder = encoder
        self.augment: Augment | None = None
        self.total_steps = 1
        self.views = {name: ViewSampler(name, **(v or {})) for name, v in options["views"].items()}
        self.heads = _build_heads(options, spec, encoder)
        self.targets = nn.ModuleDict(
            {
                name: build("target", o, spec, encoder, self.heads, where=f"objective.targets.{name}")
                for name, o in options["targets"].items()
            }
        )
        self.terms = [_term(name, o) for name, o in options["terms"].items()]
        self.losses = nn.ModuleDict(
            {
                name: build("loss", o["loss"], where=f"objective.terms.{name}.loss")
                for name, o in options["terms"].items()
            }
        )
        self.regularizations, self.regularizers = [], nn.ModuleDict()
        for name, o in options["regularizers"].items():
            names = head_names(o.get("head"))
            width = self.heads[names[-1]].out if names else encoder.width
            own = {k: v for k, v in o.items() if k not in ("source", "site", "head", "weight")}
            self.regularizers[name] = build("regularizer", own, width, where=f"objective.regularizers.{name}")
            sources = (o["source"],) if isinstance(o["source"], str) else tuple(o["source"])
            weight = schedule(o.get("weight", 1.0), f"objective.regularizers.{name}.weight")
            self.regularizations.append(_Regularization(name, o.get("site", "pooled"), sources, names, weight))

    @classmethod
    def from_config(cls, options: Mapping[str, Any], spec: SequenceSpec, encoder: Encoder) -> Objective:
        """Resolve a shipped composition and its overrides, or a whole composition, and build it."""
        return cls(resolve_objective(options), spec, encoder)

    # ---- one step ---------------------------------------------------------------------------------------------

    def forward(self, batch: PatchSequence, seed: int, step: int, taps: bool = True) -> Outcome:
        """Loss of one batch. Views are a pure function of (seed, step, window)."""
        rng = RowRandom(seed, step, batch.window)
        scope = _Scope(self, {name: sampler(batch, rng, self.augment) for name, sampler in self.views.items()})
        values: dict[str, Tensor] = {}
        loss = torch.zeros((), device=batch.device)
        for term in self.terms:
            prediction, target = scope.predict(term.source, term.heads, term.site), scope.target(term)
            items, weights = self.losses[term.name](prediction, target, scope.views[term.source].batch)
            value = reduce(items, weights, gathered=self.losses[term.name].gathered)
            values[term.name] = value.detach()
            loss = loss + term.weight(step, self.total_steps) * value
        for reg in self.regularizations:
            weight = reg.weight(step, self.total_steps)
            parts = [self.regularizers[reg.name](scope.vectors(source, reg, rng)) for source in reg.sources]
            value = torch.stack(parts).mean()
            values[reg.name] = value.detach()
            if weight:
                loss = loss + weight * value
        return Outcome(loss, values, scope.taps() if taps else {})

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Advance what is not learned by gradient; call once after each optimiser step."""
        for module in (*self.heads.values(), *self.targets.values()):
            if hasattr(module, "after_step"):
                module.after_step(step, self.total_steps)  # type: ignore[operator]


class _Scope:
    """What one step has computed so far."""

    def __init__(self, objective: Objective, views: dict[str, View]) -> None:
        self.objective, self.views = objective, views
        self._encoded: dict[tuple[int, int, bool, int], Encoded] = {}
        self._predicted: dict[tuple[str, tuple[str, ...], str], Tensor] = {}

    def encode(self, encoder: Encoder, view: View, hide: bool, keep_layers: int = 0) -> Encoded:
        hide = hide and view.visible is not None
        # without hiding, every view of the same batch is the same encoding
        key = (id(encoder), id(view) if hide else id(view.batch), hide, keep_layers)
        if key not in self._encoded:
            rows, visible = (view.rows, view.visible) if hide else (None, None)
            self._encoded[key] = encoder(view.batch, rows, visible, keep_layers)
        return self._encoded[key]

    def online(self, source: str) -> Encoded:
        return self.encode(self.objective.encoder, self.views[source], True)

    def index(self, source: str, site: str) -> IndexSet | None:
        view = self.views[source]
        if site == "pooled":
            return None
        chosen = {"target": view.targets, "visible": view.visible, "all": None}[site]
        if chosen is not None:
            return chosen
        if site == "target":
            raise InputError(f"objective.views.{source} hides nothing, so a term cannot predict at its targets")
        batch = view.batch if view.rows is None else view.batch.rows(view.rows)
        everything = torch.arange(batch.n_patches, device=batch.device).expand(len(batch), -1)
        return IndexSet(everything, batch.valid)

    def predict(self, source: str, heads: tuple[str, ...], site: str) -> Tensor:
        key = (source, heads, site)
        if key not in self._predicted:
            modules = chain(self.objective.heads, heads)  # type: ignore[arg-type]
            encoded = self.online(source)
            if modules and isinstance(modules[0], QueryHead):
                x = modules.pop(0)(encoded, self._query(source, site))
            else:
                x = encoded.pooled if site == "pooled" else encoded.tokens
            for head in modules:
                x = head(x)
            self._predicted[key] = x
        return self._predicted[key]

    def _query(self, source: str, site: str) -> Query:
        view, wanted = self.views[source], self.index(source, site)
        assert wanted is not None
        batch = view.batch if view.rows is None else view.batch.rows(view.rows)
        part = batch.patches(wanted.index)
        return Query(part.coords, part.kind, wanted.valid & part.valid)

    def target(self, term: _Term) -> Target:
        view = self.views[term.target_view]
        rows = self.views[term.source].rows if term.site != "pooled" else None
        request = Request(view, self.encode, rows, self.index(term.source, term.site))
        return self.objective.targets[term.target](request)

    def vectors(self, source: str, reg: _Regularization, rng: RowRandom) -> Tensor:
        """[row, width] for a regulariser: pooled, or one random token a row (tokens of a row are not independent)."""
        if reg.site == "pooled":
            return self.predict(source, reg.heads, "pooled")
        encoded = self.online(source)
        draw = rng.fork(f"{reg.name}/{source}")
        rows = self.views[source].rows
        noise = draw.uniform(encoded.valid.shape[1])
        noise = noise if rows is None else noise[rows]
        pick = noise.masked_fill(~encoded.valid, -1.0).argmax(dim=1)
        x = encoded.tokens[torch.arange(len(pick), device=pick.device), pick]
        for head in chain(self.objective.heads, reg.heads):  # type: ignore[arg-type]
            x = head(x)
        return x

    def taps(self) -> dict[str, Tensor]:
        """Vectors of independent windows at every place a representation can collapse."""
        found: dict[str, Tensor] = {}
        online = self.objective.encoder
        seen: dict[int, str] = {id(online): "encoder"}
        for name, target in self.objective.targets.items():
            average = getattr(target, "encoder", None)
            if average is not None:
                seen.setdefault(id(average), f"target.{name}")
        for (which, _, _, _), encoded in self._encoded.items():
            label = seen.get(which)
            if label is None or label in found:
                continue
            found[label] = encoded.pooled.detach()
            if label == "encoder":
                found["embedding"] = masked_mean(encoded.embedding.detach(), encoded.valid)
        for (source, heads, site), x in self._predicted.items():
            if site == "pooled" and heads:
                found.setdefault(f"head.{'.'.join(heads)}", x.detach())
            elif heads and site == "target":
                valid = self.index(source, site)
                assert valid is not None
                found.setdefault(
                    f"head.{'.'.join(heads)}", (x * valid.valid.unsqueeze(-1)).detach().float().mean(dim=1)
                )
        return found


def reduce(values: Tensor, weights: Tensor, *, gathered: bool) -> Tensor:
    """Weighted mean over the items of all ranks; values of a gathered loss are the same on each rank already."""
    if gathered:
        return (values * weights).sum() / weights.sum().clamp(min=1e-12)
    return global_mean(values, weights)


def _term(name: str, options: Mapping[str, Any]) -> _Term:
    source = options["source"]
    return _Term(
        name=name,
        site=options["site"],
        source=source,
        heads=head_names(options.get("head")),
        target=options["target"],
        target_view=options.get("view", source),
        weight=schedule(options.get("weight", 1.0), f"objective.terms.{name}.weight"),
    )


def _build_heads(options: Mapping[str, Any], spec: SequenceSpec, encoder: Encoder) -> nn.ModuleDict:
    """Build each head at the width its place in the chains of the terms gives it."""
    heads = nn.ModuleDict()
    users = [*options["terms"].values(), *options["regularizers"].values(), *options["targets"].values()]
    for user in users:
        width = encoder.width
        for name in head_names(user.get("head")):
            if name not in heads:
                heads[name] = build("head", options["heads"][name], spec, width, where=f"objective.heads.{name}")
            width = heads[name].out  # type: ignore[assignment]
    unused = set(options["heads"]) - set(heads)
    if unused:
        raise InputError(f"objective.heads.{sorted(unused)[0]} is used by no term, target or regularizer")
    return heads
