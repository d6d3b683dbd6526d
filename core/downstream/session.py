"""The loops of one evaluation: models, seeds, labels and protocols, and everything they collect.

Models are outermost, so that the frozen features of one encoder are in memory at a time. A protocol gets a `Trial`, in
which no item that will be scored has a label, and returns probabilities of those items.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..blocks.encoder import Encoder
from ..config import FinetuneConfig, Recipe
from ..modality import Modality, SensorLoss
from .anchors import anchor_places
from .baselines import Learned, hand_learners, prior
from .blend import pool_opinions
from .features import frozen_features
from .finetune import train_classifier
from .knn import knn_probe
from .linear import linear_probe
from .longer import longer_decisions
from .occlusion import occlude
from .readout import Readout
from .records import AVERAGED, per_decision
from .rows import Evaluation, Prediction, Row, RowKey
from .scoring import row_metrics
from .segments import find_boundaries
from .trial import Trial, hide_labels, label_subset

if TYPE_CHECKING:
    from ..data.items import Items
    from ..data.store import WindowStore

OnProgress = Callable[[str], None]
# enough points for an embedding map
MAP_ITEMS = 3000


class Session:
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
        # a decision about a whole recording or person would only be said again for each of its stretches
        self.decisions_s = () if items.unit in AVERAGED else recipe.evaluate.decisions_s
        self.looked_into: RowKey | None = None
        self.result = Evaluation([], {}, {}, items.classes, store.subjects, store.records, unit=items.unit)
        if len(self.decisions_s) < len(recipe.evaluate.decisions_s):
            self.result.notes.append(f"no longer decisions: the task decides once a {items.unit} already")

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
        for seconds in self.decisions_s:
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
