"""Downstream evaluation: every model under every protocol, on one split, with the same items, seeds and rules.

The order of things keeps it honest: labels of the test side are erased before any protocol runs (`trial`), each
protocol returns probabilities of the test items, and only then the labels come back, once, to score the row.
Pretraining differs between folds, so this is called once a fold and the results are joined by `rows.merge`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..blocks.encoder import Encoder
from ..config import FinetuneConfig, Recipe
from ..errors import InputError, SplitError, nearest
from ..modality import Modality, SensorLoss
from .anchors import anchor_places
from .baselines import Learned, hand_learners, prior
from .blend import pool_opinions
from .features import frozen_features
from .fewer_sensors import FewerSensors
from .finetune import train_classifier
from .knn import knn_probe
from .linear import linear_probe
from .longer import longer_decisions
from .occlusion import occlude
from .readout import Readout
from .records import per_decision
from .rows import SUPPORTED, Evaluation, Prediction, Row, RowKey
from .scoring import row_metrics
from .segments import find_boundaries
from .stacked import StackedStore, stack_items
from .trial import Trial, hide_labels, label_subset

if TYPE_CHECKING:
    from ..data.items import Items
    from ..data.splits import Split
    from ..data.store import WindowStore

OnProgress = Callable[[str], None]
# enough points for an embedding map
MAP_ITEMS = 3000


def evaluate(
    recipe: Recipe,
    modality: Modality,
    store: WindowStore,
    split: Split,
    encoder: Encoder,
    fresh_encoder: Callable[[int], Encoder],
    on_progress: OnProgress | None = None,
    fewer: Sequence[FewerSensors] = (),
) -> Evaluation:
    """All rows of one split.

    encoder: the pretrained one. fresh_encoder: seed -> an untrained encoder of the same shape.
    on_progress: called with a short sentence when a stage starts.
    fewer: the test records again after losses of sensors, which every row's model scores too.

    Raises InputError for unknown models or protocols and when a side has no labelled items.
    """
    wanted = wanted_rows(recipe)
    items = store.items()
    sides = {side: split.items(items, store, side) for side in ("train", "validation", "test")}
    _check(items, sides)
    lost: dict[SensorLoss, np.ndarray] = {}
    if fewer:
        stack = StackedStore([store, *(one.store for one in fewer)])
        every = [items, *(one.store.items() for one in fewer)]
        items, places = stack_items(stack, every)
        for one, own, place in zip(fewer, every[1:], places[1:], strict=True):
            lost[one.loss] = place[split.items(own, one.store, "test")]
        store = cast("WindowStore", stack)  # it has all that this room reads of a store
    session = _Session(recipe, modality, store, items, sides, lost, split.fold, on_progress or (lambda text: None))
    session.run(wanted, encoder, fresh_encoder)
    return session.result


class _Session:
    """The loops of one evaluation and what they collect."""

    def __init__(
        self,
        recipe: Recipe,
        modality: Modality,
        store: WindowStore,
        items: Items,
        sides: dict[str, np.ndarray],
        lost: dict[SensorLoss, np.ndarray],
        fold: int,
        say: OnProgress,
    ) -> None:
        self.recipe, self.modality, self.store, self.items, self.sides = recipe, modality, store, items, sides
        self.lost, self.fold, self.say = lost, fold, say
        # everything that is scored: the test side, and again after each loss of sensors
        self.scored = np.concatenate([sides["test"], *lost.values()])
        self.blind = hide_labels(items, self.scored)
        self.blend, self.learned = recipe.evaluate.blend, dict[tuple[int, float], list[Learned]]()
        assert store.task is not None
        pool, seen = recipe.probe.pool, items.window[sides["train"]]
        places = anchor_places(store, np.unique(seen)).tolist() if pool == "place" else ()
        scales = store.spec.axis_scales[1:]
        self.readout = Readout.of(store.task, pool, places, scales, normed=recipe.probe.norm)
        self.looked_into: RowKey | None = None
        self.result = Evaluation([], {}, {}, items.classes, store.subjects, store.records)

    def run(self, wanted: dict[str, list[str]], encoder: Encoder, fresh_encoder: Callable[[int], Encoder]) -> None:
        """Models outermost: frozen features of one encoder are in memory at a time."""
        if not self.items.hand.shape[1]:
            if wanted.pop("hand-features", None) or self.blend:
                self.result.notes.append(f"modality {self.modality.name} has no hand-made features for this task")
            self.blend = 0.0
        if self.blend and {"attentive", "finetune"} & {p for protocols in wanted.values() for p in protocols}:
            self.result.notes.append(
                f"trained heads are pooled with the hand features' own learner (its share: {self.blend:.0%}), "
                "pretrained, random-init and scratch alike"
            )
        first = self.recipe.seed
        trained = [p for p in wanted.get("pretrained", ()) if p in ("attentive", "finetune")]
        if trained and self.recipe.evaluate.occlusion:
            self.looked_into = ("pretrained", trained[-1], max(self.recipe.evaluate.label_fractions), first, self.fold)
        for model, protocols in wanted.items():
            fixed = model == "pretrained"  # one encoder for all seeds; controls draw a new one each
            probed = model in ("pretrained", "random-init") and bool({"knn", "linear"} & set(protocols))
            used, features = encoder, None
            for seed in range(first, first + self.recipe.evaluate.seeds):
                if not fixed:
                    used, features = fresh_encoder(seed), None
                if probed and features is None:
                    features = self._features(model, used, keep=seed == first)
                for trial, fraction in self._trials(seed):
                    for protocol in protocols:
                        self._row(model, protocol, fraction, trial, used, features)

    def _trials(self, seed: int) -> Iterator[tuple[Trial, float]]:
        for fraction in self.recipe.evaluate.label_fractions:
            train, validation = (
                label_subset(self.items, self.sides[side], fraction, seed) for side in ("train", "validation")
            )
            yield Trial(self.blind, train, validation, self.scored, seed), fraction

    def _features(self, model: str, encoder: Encoder, *, keep: bool) -> np.ndarray:
        probe = self.recipe.probe
        with self._clock(f"{model}: frozen features"):
            chosen = np.concatenate([self.sides["train"], self.sides["validation"], self.scored])
            features = frozen_features(
                encoder, self.store, self.items, chosen, self.readout,
                layers=probe.layers, batch_size=self.recipe.evaluate.batch_size,
                precision=self.recipe.trainer.precision,
            )  # fmt: skip
        if keep:
            test = self.sides["test"]
            shown = np.random.default_rng(0).permutation(test)[:MAP_ITEMS]
            self.result.embedding[model] = (features[shown].astype(np.float32), shown)
        return features

    def _row(
        self, model: str, protocol: str, fraction: float, trial: Trial, encoder: Encoder, features: np.ndarray | None
    ) -> None:
        row = Row(model, protocol, fraction, trial.seed, self.fold, {})
        with self._clock(f"{model}: {protocol}, seed {trial.seed}, {fraction:.0%} of the labels"):
            if model == "prior":
                probability, chosen = prior(trial), {}
            elif model == "hand-features":
                probability, chosen = self._hand(row, trial)
            elif protocol in ("knn", "linear"):
                assert features is not None
                probability, chosen = self._probe(protocol, trial, features)
            else:
                probability, chosen = self._train(row, trial, encoder)
                if self.blend:
                    probability = self._pool(row, trial, probability)
        self.result.choices[row.key] = chosen
        prediction = self._prediction(probability)
        self.result.predictions[row.key] = prediction
        self.result.rows.append(replace(row, metrics=self._score(prediction)))
        for seconds in self.recipe.evaluate.decisions_s:
            longer = longer_decisions(prediction, self.store.start_s[self.items.window[prediction.item]], seconds)
            self.result.longer[row.key, seconds] = longer
        stop = len(self.sides["test"])
        for loss, items in self.lost.items():
            start, stop = stop, stop + len(items)
            if len(items):
                self.result.fewer[row.key, loss] = self._decided(items, probability[start:stop])

    def _probe(self, protocol: str, trial: Trial, features: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        if protocol == "knn":
            return knn_probe(trial, features, self.recipe.probe, self.recipe.trainer.precision), {}
        return linear_probe(trial, features, self.recipe.probe)

    def _hand(self, row: Row, trial: Trial) -> tuple[np.ndarray, dict[str, Any]]:
        best, *others = self._learners(row, trial)
        for other in others:
            self._tell_also(other.learner, row, other.probability)
        return best.probability, {"learner": best.learner, **best.chosen}

    def _pool(self, row: Row, trial: Trial, probability: np.ndarray) -> np.ndarray:
        self._tell_also("encoder alone", row, probability)
        hand = self._learners(row, trial)[0].probability
        return pool_opinions(probability, hand, self.blend)

    def _learners(self, row: Row, trial: Trial) -> list[Learned]:
        """Those of the hand features, trained once for a seed and a share of the labels."""
        key = (row.seed, row.label_fraction)
        if key not in self.learned:
            self.learned[key] = hand_learners(trial, self.recipe.probe)
        return self.learned[key]

    def _tell_also(self, name: str, row: Row, probability: np.ndarray) -> None:
        self.result.also.append((name, replace(row, metrics=self._score(self._prediction(probability)))))

    def _train(self, row: Row, trial: Trial, encoder: Encoder) -> tuple[np.ndarray, dict[str, Any]]:
        curve: list[tuple[int, float]] = []
        trained = train_classifier(
            trial, self.modality, self.store, encoder, self._schedule(row.protocol), readout=self.readout,
            frozen=row.protocol == "attentive", pretrained=row.model == "pretrained",
            batch_size=self.recipe.evaluate.batch_size, precision=self.recipe.trainer.precision,
            on_step=lambda step, loss: curve.append((step, loss)),
        )  # fmt: skip
        self.result.histories[row.key] = curve
        if row.key == self.looked_into:
            self.say("what decisions rest on")
            asked, most = self.sides["test"], self.recipe.evaluate.occlusion
            found = occlude(trained.model, self.store, self.modality.seeing(), self.items, asked, most=most)
            if found is not None:
                self.result.occlusion[row.key] = found
        return trained.probability, trained.chosen

    def _schedule(self, protocol: str) -> FinetuneConfig:
        probe, finetune = self.recipe.probe, self.recipe.finetune
        if protocol == "finetune":
            return finetune
        return replace(finetune, steps=probe.attentive_steps, lr=probe.attentive_lr, class_weight=probe.class_weight)

    def _prediction(self, probability: np.ndarray) -> Prediction:
        """Decisions on the test side, which stands first among what is scored."""
        test = self.sides["test"]
        return self._decided(test, probability[: len(test)])

    def _decided(self, test: np.ndarray, probability: np.ndarray) -> Prediction:
        task = self.store.task
        assert task is not None
        bounds = find_boundaries(task, self.items, test, probability) if task.unit == "dense" else None
        label, probability, item = per_decision(self.items, test, probability)
        return Prediction(label, probability, self.items.subject[item], self.items.record[item], item, bounds)

    def _score(self, prediction: Prediction) -> dict[str, float]:
        return row_metrics(prediction, self.items.classes)

    def _clock(self, stage: str) -> _Clock:
        self.say(stage)
        return _Clock(self.result.seconds, stage.split(",")[0])


class _Clock:
    """Adds the time of a `with` block to `seconds[stage]`."""

    def __init__(self, seconds: dict[str, float], stage: str) -> None:
        self.seconds, self.stage = seconds, stage

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + time.perf_counter() - self.start


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
        always = model in ("hand-features", "prior")
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
