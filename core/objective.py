"""Objective: named views, a list of terms and regularisers. One forward pass runs every objective.

    loss = sum_t weight_t * reduce(loss_t(head_t(encode(source view)), target_t(target view)))
         + sum_r weight_r * regularizer_r(embedding)

Each distinct (encoder, view) is encoded once. A term's *site* says where it predicts: at the hidden patches
("target"), at the visible ones ("visible"), at all of them ("all"), for the whole row ("pooled") or, word by word, for
what was written about it ("text"). A new objective is a YAML of a few lines (see `objectives/`), never a new training
loop. Losses and regularisers are computed in float32, also under autocast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .blocks.caption import TextHead
from .blocks.encoder import Encoder
from .blocks.heads import QueryHead
from .blocks.id_table import tell_known
from .blocks.pooling import RowHead
from .blocks.projections import PointHead
from .blocks.registry import block, build, names_of
from .blocks.schedules import schedule
from .blocks.targets import TargetProvider
from .blocks.text import TextEncoder
from .blocks.text_alignment import Alignment, find_alignment
from .blocks.views import Augment, ViewSampler
from .compose import REGULARIZER_KEYS, resolve_objective
from .distributed import global_mean
from .errors import InputError
from .known import KnownIds
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
    schedules); both are set by the training room. `text`: the text model, None where the composition has none.
    """

    def __init__(
        self, options: Mapping[str, Any], spec: SequenceSpec, encoder: Encoder, texts: Sequence[str] | Path = ()
    ) -> None:
        super().__init__()
        self.name = str(options.get("name", "custom"))
        self.encoder = encoder
        self.augment: Augment | None = None
        self.total_steps = 1
        self.views = {name: ViewSampler(name, **(v or {})) for name, v in options["views"].items()}
        self.text: TextEncoder | None = (
            build("text", options["text"], texts, where="objective.text") if options.get("text") else None
        )
        self.heads = _build_heads(options, spec, encoder, self.text)
        self.targets = nn.ModuleDict()
        for name, o in options["targets"].items():
            where = f"objective.targets.{name}"
            own = _text_context("target", o, self.text, where)
            if getattr(block("target", o["name"]), "reads_targets", False):
                own = (*own, self.targets)
            self.targets[name] = build("target", o, spec, encoder, self.heads, *own, where=where)
        self.terms = [_term(name, o) for name, o in options["terms"].items()]
        self.losses = nn.ModuleDict(
            {
                name: _build_loss(o["loss"], encoder, f"objective.terms.{name}.loss")
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
    def from_config(
        cls, options: Mapping[str, Any], spec: SequenceSpec, encoder: Encoder, texts: Sequence[str] | Path = ()
    ) -> Objective:
        """Resolve a shipped composition and its overrides, or a whole composition, and build it.

        texts: [record code] what was written about each record, "" = nothing; or a folder with a saved text model.
        """
        return cls(resolve_objective(options), spec, encoder, texts)

    def alignment(self) -> Alignment | None:
        """What places signals and texts in one space, where a term has learned that."""
        return find_alignment(self.terms, self.heads, self.targets, self.losses)

    def tell(self, known: KnownIds) -> None:
        """Hand what is known of ids to views, targets and losses. Encoders were told when they were made, and moving
        averages with them."""
        tell_known(self.losses, known)
        for part in (*self.views.values(), *self.targets.values()):
            if callable(tell := getattr(part, "tell", None)):
                tell(known)

    def prepare(self, batches: Callable[[], Iterable[PatchSequence]]) -> None:
        """Show the windows that will be trained on to whatever must know them before the first step."""
        for view in self.views.values():
            view.prepare(batches)
        for target in self.targets.values():
            target.prepare(batches)  # type: ignore[operator]

    def facts(self) -> dict[str, float]:
        """{target.NAME/fact: number} of all targets."""
        found = ((name, target.facts()) for name, target in self.targets.items())  # type: ignore[operator]
        return {f"target.{name}/{fact}": value for name, facts in found for fact, value in facts.items()}

    # ---- one step ---------------------------------------------------------------------------------------------

    def forward(self, batch: PatchSequence, seed: int, step: int, taps: bool = True) -> Outcome:
        """Loss of one batch. Views are a pure function of (seed, step, window)."""
        scope = Scope(self, self.encoder.within_reach(batch), RowRandom(seed, step, batch.window))
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


def _build_loss(options: Mapping[str, Any] | str, encoder: Encoder, where: str) -> Any:
    name = options if isinstance(options, str) else options["name"]
    own = (encoder,) if getattr(block("loss", name), "reads_encoder", False) else ()
    return build("loss", options, *own, where=where)


def _text_context(kind: str, options: Mapping[str, Any], text: TextEncoder | None, where: str) -> tuple[Any, ...]:
    """The text model, for the blocks that are built with it."""
    if not getattr(block(kind, options["name"]), "reads_text", False):
        return ()
    if text is None:
        raise InputError(
            f"{where} reads texts, but the objective has no text model", fix="add text: {name: transformers}"
        )
    return (text,)


def _build_heads(
    options: Mapping[str, Any], spec: SequenceSpec, encoder: Encoder, text: TextEncoder | None
) -> nn.ModuleDict:
    """Build each head at the width its place in the chains of the terms gives it."""
    heads, enters = nn.ModuleDict(), {}
    for section in ("terms", "regularizers", "targets"):
        for user, entry in options[section].items():
            where, width = f"objective.{section}.{user}.head", encoder.width
            for place, name in enumerate(names_of(entry.get("head"))):
                if name not in heads:
                    own = _text_context("head", options["heads"][name], text, f"objective.heads.{name}")
                    heads[name] = build(
                        "head", options["heads"][name], spec, width, *own, where=f"objective.heads.{name}"
                    )
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
                _check_site(where, heads[name], place, entry.get("site") if section == "terms" else None)
                width = heads[name].out  # type: ignore[assignment]
    for user, term in options["terms"].items():
        _check_hidden(f"objective.terms.{user}", term, options["views"][term["source"]] or {}, heads)
    return heads


def _check_site(where: str, head: nn.Module, place: int, site: str | None) -> None:
    """Heads that read a whole encoding stand first, at the one site they answer for."""
    for kind, wanted in ((RowHead, "pooled"), (TextHead, "text")):
        if isinstance(head, kind) and (place > 0 or site != wanted):
            raise InputError(f"{where} uses a head for whole rows", fix=f"put it first in a term at site {wanted}")


def _check_hidden(where: str, term: Mapping[str, Any], view: Mapping[str, Any], heads: nn.ModuleDict) -> None:
    """Hidden patches exist, and only a query head can answer for them."""
    site, masked, names = term["site"], bool(view.get("mask")), names_of(term.get("head"))
    if site == "target" and not masked:
        what = f"{where} predicts at hidden patches, but view {term['source']!r} hides none"
        raise InputError(what, fix="give the view a mask")
    if site == "text" and not (names and isinstance(heads[names[0]], TextHead)):
        raise InputError(f"{where} predicts words without a head that can", fix="start its head with a captioner")
    asks = bool(names) and isinstance(heads[names[0]], QueryHead)
    if not asks and (site == "target" or (site == "all" and masked)):
        what = f"{where} predicts at hidden patches without a head that can"
        raise InputError(what, fix="start its head with a predictor or decoder")
