"""Downstream evaluation: every model under every protocol, on one split, with the same items, seeds and rules.

The order of things keeps it honest: labels of the test side are erased before any protocol runs (`trial`), each
protocol returns probabilities of the test items, and only then the labels come back, once, to score the row.
Pretraining differs between folds, so this is called once a fold and the results are joined by `rows.merge`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from ..blocks.encoder import Encoder
from ..config import Recipe
from ..data.questions import ranks
from ..errors import InputError, SplitError, nearest
from ..modality import Modality, SensorLoss, Task
from .covariates import Covariates
from .fewer_sensors import FewerSensors
from .ranking import evaluate_ranking, lists_of
from .records import check_decisions_agree
from .rows import RANKING, SUPPORTED, WITHOUT_ENCODER, Evaluation
from .session import OnProgress, Session
from .stacked import StackedStore, stack_items

if TYPE_CHECKING:
    from ..data.items import Items
    from ..data.splits import Split
    from ..data.store import WindowStore


def evaluate(
    recipe: Recipe,
    modality: Modality,
    store: WindowStore,
    split: Split,
    encoder: Encoder | None,
    fresh_encoder: Callable[[int], Encoder],
    on_progress: OnProgress | None = None,
    fewer: Sequence[FewerSensors] = (),
    covariates: Covariates | None = None,
    further: Mapping[int, Encoder] | None = None,
) -> Evaluation:
    """All rows of one split.

    encoder: the pretrained one, None where no row asks for it.
    fresh_encoder: seed -> an untrained encoder of the same shape.
    on_progress: called with a short sentence when a stage starts.
    fewer: the test records again after losses of sensors, which every row's model scores too.
    covariates: of the store's records, for the control of that name.
    further: of a ranking task, seed -> an encoder that was pretrained with it.

    Raises InputError for unknown models or protocols and when a side has no labelled items.
    """
    say = on_progress or (lambda text: None)
    if ranks(store):
        assert encoder is not None
        encoders = {recipe.seed: encoder, **(further or {})}
        return evaluate_ranking(recipe, modality, store, split, encoders, fresh_encoder, say)
    wanted = wanted_rows(recipe)
    items = store.items()
    sides = {side: split.items(items, store, side) for side in ("train", "validation", "test")}
    _check(items, sides)
    check_decisions_agree(items, store.subjects)
    lost: dict[SensorLoss, np.ndarray] = {}
    if fewer:
        stack = StackedStore([store, *(one.store for one in fewer)])
        every = [items, *(one.store.items() for one in fewer)]
        items, places = stack_items(stack, every)
        for one, own, place in zip(fewer, every[1:], places[1:], strict=True):
            lost[one.loss] = place[split.items(own, one.store, "test")]
        store = cast("WindowStore", stack)  # it has all that this room reads of a store
    if items.unit == "dense":
        covariates = None  # who somebody is says nothing of where a wave begins
    session = Session(recipe, modality, store, items, sides, lost, split.fold, say, covariates)
    session.run(wanted, encoder, fresh_encoder)
    return session.result


def check_protocols(recipe: Recipe, task: Task | None) -> None:
    """Raise InputError where a ranking is asked of a task that does not rank, or lists that cannot be."""
    lists_of(recipe.evaluate)
    if RANKING in recipe.evaluate.protocols and task is not None and task.unit != "ranking":
        raise InputError("this task does not rank", field="evaluate.protocols", got=RANKING, fix="leave it out")


def wanted_rows(recipe: Recipe) -> dict[str, list[str]]:
    """Protocols of each model that a recipe asks for; raises InputError for unknown names and when none is left."""
    known = tuple(dict.fromkeys(p for protocols in SUPPORTED.values() for p in protocols))
    for key, names, allowed in (
        ("evaluate.models", recipe.evaluate.models, SUPPORTED),
        ("evaluate.protocols", recipe.evaluate.protocols, known),
    ):
        for name in names:
            if name not in allowed:
                raise InputError(f"unknown name in {key}", got=name, fix=nearest(name, allowed))
    wanted = {}
    for model in recipe.evaluate.models:
        # controls without an encoder do not depend on the protocols asked for
        always = model in WITHOUT_ENCODER
        protocols = [p for p in SUPPORTED[model] if always or p in recipe.evaluate.protocols]
        if protocols:
            wanted[model] = protocols
    if not wanted:
        asked = f"{', '.join(recipe.evaluate.models) or 'none'} by {', '.join(recipe.evaluate.protocols) or 'none'}"
        raise InputError(
            "no model has any of the protocols", field="evaluate", got=asked, fix="add models or protocols"
        )
    return wanted


def _check(items: Items, sides: dict[str, np.ndarray]) -> None:
    for side in ("train", "test"):
        if not len(sides[side]):
            raise SplitError(
                f"the {side} side has no labelled items", field="split", fix="use more recordings or another split"
            )
