"""Objective: named views, a list of terms and regularisers. One forward pass runs every objective.

    loss = sum_t weight_t * reduce(loss_t(head_t(encode(source view)), target_t(target view)))
         + sum_r weight_r * regularizer_r(embedding)

Each distinct (encoder, view) is encoded once. A term's *site* says where it predicts: at the hidden patches
("target"), at the visible ones ("visible"), at all of them ("all") or for the whole row ("pooled"). A new objective
is a YAML of a few lines (see `objectives/`), never a new training loop. Losses and regularisers are computed in
float32, also under autocast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .blocks.encoder import Encoder
from .blocks.heads import QueryHead
from .blocks.projections import PointHead
from .blocks.registry import build, names_of
from .blocks.schedules import schedule
from .blocks.targets import TargetProvider
from .blocks.views import Augment, ViewSampler
from .compose import REGULARIZER_KEYS, resolve_objective
from .distributed import global_mean
from .errors import InputError
from .rng import RowRandom
from .scope import Regularization, Scope, Term
from .sequence import PatchSequence, SequenceSpec


@dataclass(frozen=True)
class Outcome:
    """loss: scalar; terms: unweighted value of every term and regulariser; taps: detached [window, width] vectors."""

    loss: Tensor
    terms: dict[str, Tensor]
    taps: dict[str, Tensor]


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
        self.regularizations = [_regularization(name, o) for name, o in options["regularizers"].items()]
        self.regularizers = nn.ModuleDict()
        for reg in self.regularizations:
            width = self.heads[reg.heads[-1]].out if reg.heads else encoder.width
            own = {k: v for k, v in options["regularizers"][reg.name].items() if k not in REGULARIZER_KEYS}
            self.regularizers[reg.name] = build("regularizer", own, width, where=f"objective.regularizers.{reg.name}")

    @classmethod
    def from_config(cls, options: Mapping[str, Any], spec: SequenceSpec, encoder: Encoder) -> Objective:
        """Resolve a shipped composition and its overrides, or a whole composition, and build it."""
        return cls(resolve_objective(options), spec, encoder)

    # ---- one step ---------------------------------------------------------------------------------------------

    def forward(self, batch: PatchSequence, seed: int, step: int, taps: bool = True) -> Outcome:
        """Loss of one batch. Views are a pure function of (seed, step, window)."""
        scope = Scope(self, batch, RowRandom(seed, step, batch.window))
        values: dict[str, Tensor] = {}
        loss = torch.zeros((), device=batch.device)
        for term in self.terms:
            value = self._term_value(term, scope)
            values[term.name] = value.detach()
            loss = loss + term.weight(step, self.total_steps) * value
        for reg in self.regularizations:
            vectors = [scope.vectors(source, reg) for source in reg.sources]
            with torch.autocast(batch.device.type, enabled=False):
                value = torch.stack([self.regularizers[reg.name](z) for z in vectors]).mean()
            values[reg.name] = value.detach()
            # added even at weight 0: a head without gradient would stall DistributedDataParallel
            loss = loss + reg.weight(step, self.total_steps) * value
        return Outcome(loss, values, scope.taps() if taps else {})

    def _term_value(self, term: Term, scope: Scope) -> Tensor:
        prediction, target = scope.predict(term.source, term.heads, term.site), scope.target(term)
        loss = self.losses[term.name]
        with torch.autocast(scope.batch.device.type, enabled=False):
            items, weights = loss(prediction.values, target, scope.subject(term.source))
            return reduce(items, weights, gathered=bool(loss.gathered))

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Advance what is not learned by gradient; call once after each optimiser step."""
        for module in (*self.heads.values(), *self.targets.values()):
            if isinstance(module, PointHead | TargetProvider):
                module.after_step(step, self.total_steps)


def reduce(values: Tensor, weights: Tensor, *, gathered: bool) -> Tensor:
    """Weighted mean over the items of all ranks; values of a gathered loss are the same on each rank already."""
    if gathered:
        return (values * weights).sum() / weights.sum().clamp(min=1e-12)
    return global_mean(values, weights)


def _term(name: str, options: Mapping[str, Any]) -> Term:
    source = options["source"]
    return Term(
        name=name,
        site=options["site"],
        source=source,
        heads=names_of(options.get("head")),
        target=options["target"],
        target_view=options.get("view", source),
        weight=schedule(options.get("weight", 1.0), f"objective.terms.{name}.weight"),
    )


def _regularization(name: str, options: Mapping[str, Any]) -> Regularization:
    return Regularization(
        name=name,
        site=options.get("site", "pooled"),
        sources=names_of(options["source"]),
        heads=names_of(options.get("head")),
        weight=schedule(options.get("weight", 1.0), f"objective.regularizers.{name}.weight"),
    )


def _build_heads(options: Mapping[str, Any], spec: SequenceSpec, encoder: Encoder) -> nn.ModuleDict:
    """Build each head at the width its place in the chains of the terms gives it."""
    heads, enters = nn.ModuleDict(), {}
    for section in ("terms", "regularizers", "targets"):
        for user, entry in options[section].items():
            where, width = f"objective.{section}.{user}.head", encoder.width
            for place, name in enumerate(names_of(entry.get("head"))):
                if name not in heads:
                    heads[name] = build("head", options["heads"][name], spec, width, where=f"objective.heads.{name}")
                    enters[name] = width
                if enters[name] != width:
                    raise InputError(
                        f"{where} gives head {name!r} vectors of two widths", got=width, expected=enters[name]
                    )
                if isinstance(heads[name], QueryHead) and (
                    place > 0 or section != "terms" or entry["site"] == "pooled"
                ):
                    raise InputError(
                        f"{where} uses {name!r}, which answers queries at patches",
                        fix="put it first in the head of a term at site target, visible or all",
                    )
                width = heads[name].out  # type: ignore[assignment]
    for user, term in options["terms"].items():
        _check_hidden(f"objective.terms.{user}", term, options["views"][term["source"]] or {}, heads)
    return heads


def _check_hidden(where: str, term: Mapping[str, Any], view: Mapping[str, Any], heads: nn.ModuleDict) -> None:
    """Hidden patches exist, and only a query head can answer for them."""
    site, masked, names = term["site"], bool(view.get("mask")), names_of(term.get("head"))
    if site == "target" and not masked:
        what = f"{where} predicts at hidden patches, but view {term['source']!r} hides none"
        raise InputError(what, fix="give the view a mask")
    asks = bool(names) and isinstance(heads[names[0]], QueryHead)
    if not asks and (site == "target" or (site == "all" and masked)):
        what = f"{where} predicts at hidden patches without a head that can"
        raise InputError(what, fix="start its head with a predictor or decoder")
