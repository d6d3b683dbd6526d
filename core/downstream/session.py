"""The loops of one evaluation: models, seeds, labels and protocols, and everything they collect.

Models are outermost, so that the frozen features of one encoder are in memory at a time. A protocol gets a `Trial`, in
which no item that will be scored has a label, and returns probabilities of those items.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..blocks.encoder import Encoder
from ..config import FinetuneConfig, Recipe
from ..data.numbers import is_number
from ..errors import InputError
from ..modality import Modality, SensorLoss
from .anchors import anchor_places
from .baselines import covariate_learner, prior
from .blend import pool_opinions
from .covariates import Covariates
from .features import frozen_features, layer_features
from .finetune import Trained, train_classifier
from .hand_opinion import HandOpinion
from .knn import knn_probe
from .layers import layer_probe
from .leak import Lineup, line_ups, mean_leak
from .linear import linear_probe
from .longer import longer_decisions
from .notes import about_task
from .occlusion import occlude
from .plan import Planned, plan_trials
from .readout import Readout
from .records import AVERAGED, per_decision
from .rows import TRAINED, WITHOUT_ENCODER, Evaluation, Prediction, Row, RowKey
from .scoring import row_metrics
from .segments import find_boundaries
from .served_classifier import ServedClassifier
from .targets import is_multilabel
from .trial import Trial

if TYPE_CHECKING:
    from ..data.items import Items
    from ..data.store import WindowStore

OnProgress = Callable[[str], None]
# enough points for an embedding map
MAP_ITEMS = 3000
# protocols that read the features of one layer, or a few averaged, of a frozen encoder
READ_FROZEN = {"knn", "linear", "side"}
# protocols that train all of the encoder
FINETUNED = {"finetune", "semi"}


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
        covariates: Covariates | None = None,
    ) -> None:
        self.recipe, self.modality, self.store, self.items, self.sides = recipe, modality, store, items, sides
        self.lost, self.fold, self.say = lost, fold, say
        # everything that is scored: the test side, and again after each loss of sensors
        self.scored = np.concatenate([sides["test"], *lost.values()])
        assert store.task is not None
        self.hand = HandOpinion(recipe.probe, store.task.hand_learner, calibrated=recipe.evaluate.blend_calibrated)
        self.blend, self.alone = recipe.evaluate.blend, dict[Trial, np.ndarray]()
        self.unmoved = dict[tuple[bool, Trial], np.ndarray]()
        pool, seen = recipe.probe.pool, items.window[sides["train"]]
        places = anchor_places(store, np.unique(seen)).tolist() if pool.startswith("place") else ()
        scales = store.spec.axis_scales[1:]
        self.readout = Readout.of(store.task, pool, places, scales, normed=recipe.probe.norm)
        # a decision about a whole recording or person would only be said again for each of its stretches
        self.decisions_s = () if items.unit in AVERAGED else recipe.evaluate.decisions_s
        self.looked_into: RowKey | None = None
        self.served: RowKey | None = None
        self.covariates = covariates
        self.result = self._empty()
        numeric = is_number(items.label)
        self.result.notes.extend(about_task(recipe.evaluate, items))
        for per_class in () if numeric else sorted(set(recipe.evaluate.labels_per_class)):
            self.result.few[per_class] = self._empty()
        self.planned = list(plan_trials(recipe, items, sides, self.scored, self.result))
        self.seen = np.concatenate([sides["train"], sides["validation"], self.scored])
        self.running = {"batch_size": recipe.evaluate.batch_size, "precision": recipe.trainer.precision}
        self.lineups = self._line_ups()

    def run(
        self, wanted: dict[str, list[str]], encoder: Encoder | None, fresh_encoder: Callable[[int], Encoder]
    ) -> None:
        """Models outermost: frozen features of one encoder are in memory at a time.

        encoder: the pretrained one, None where it is not wanted.
        """
        if not self.items.hand.shape[1]:
            if wanted.pop("hand-features", None) or self.blend:
                self.result.notes.append(f"modality {self.modality.name} has no hand-made features for this task")
            self.blend = 0.0
        if self.covariates is None:
            wanted.pop("covariates", None)
        if not wanted:
            raise InputError("none of the models can be had here", field="evaluate.models", fix="add pretrained")
        if any("semi" in protocols for protocols in wanted.values()):
            self._check_semi(wanted)
        if self.blend and set(TRAINED) & {p for protocols in wanted.values() for p in protocols}:
            self.result.notes.append(
                f"trained heads are pooled with the hand features' own learner (its share: {self.blend:.0%}"
                + (
                    ", calibrated on training people left out of its fit"
                    if self.recipe.evaluate.blend_calibrated
                    else ""
                )
                + "), pretrained, random-init and scratch alike"
            )
        self._note_frozen({protocol for protocols in wanted.values() for protocol in protocols})
        if "scratch" in wanted and self.recipe.evaluate.scratch_total_steps:
            before, after = self.recipe.trainer.max_steps, self.recipe.finetune.steps
            self.result.notes.append(
                f"from scratch means {before + after} steps with labels, as many as pretraining ({before}) and "
                f"fine-tuning ({after}) have together"
            )
        first = self.recipe.seed
        trained = [p for p in wanted.get("pretrained", ()) if p in TRAINED and p != "side"]
        if trained and self.recipe.evaluate.occlusion and not is_number(self.items.label):
            self.looked_into = ("pretrained", trained[-1], max(self.recipe.evaluate.label_fractions), first, self.fold)
        if "finetune" in wanted.get("pretrained", ()):
            self.served = ("pretrained", "finetune", max(self.recipe.evaluate.label_fractions), first, self.fold)
        for model, protocols in wanted.items():
            fixed = model == "pretrained"  # one encoder for all seeds; controls draw a new one each
            used, features, layers = encoder, None, None
            for seed in sorted({planned.trial.seed for planned in self.planned}):
                if not fixed:
                    used, features, layers = fresh_encoder(seed), None, None
                assert used is not None
                if features is None and READ_FROZEN & set(protocols) and model not in (*WITHOUT_ENCODER, "scratch"):
                    features = self._features(model, used, keep=seed == first)
                if layers is None and "layers" in protocols:
                    with self._clock(f"{model}: features of all layers"):
                        layers = layer_features(used, self.store, self.items, self.seen, self.readout, **self.running)
                if seed == first:
                    self._leak(model, used, features)
                for planned in self.planned:
                    if planned.trial.seed == seed:
                        for protocol in protocols:
                            trains = fresh_encoder(seed) if protocol == "side" else used
                            self._row(model, protocol, planned, trains, layers if protocol == "layers" else features)

    def _note_frozen(self, protocols: set[str]) -> None:
        share = self.recipe.evaluate.frozen_share
        if share and FINETUNED & protocols:
            self.result.notes.append(
                f"fine-tuned rows are pooled with the attentive head on the encoder as it was before (its share: "
                f"{share:.0%}), pretrained and scratch alike; scratch has the head on its untrained encoder"
            )

    def _check_semi(self, wanted: dict[str, list[str]]) -> None:
        """Leaves out what cannot learn from unlabelled items, and says what the unlabelled ones are."""
        items = self.items
        if items.unit == "dense" or is_number(items.label) or is_multilabel(items.label):
            for protocols in wanted.values():
                if "semi" in protocols:
                    protocols.remove("semi")
            self.result.notes.append("no semi-supervised rows: they need classes of which one holds")
        else:
            self.result.notes.append(
                "semi-supervised rows also learn from the training side without its other labels; where all its labels "
                "are told, from the same items once more"
            )

    def _empty(self) -> Evaluation:
        store, items = self.store, self.items
        names = self.covariates.names if self.covariates else ()
        return Evaluation(
            [], {}, {}, items.classes, store.subjects, store.records, unit=items.unit, covariates=names,
            given=items.given_names,
        )  # fmt: skip

    def _features(self, model: str, encoder: Encoder, *, keep: bool) -> np.ndarray:
        layers = self.recipe.probe.layers
        with self._clock(f"{model}: frozen features"):
            features = frozen_features(
                encoder, self.store, self.items, self.seen, self.readout, layers=layers, **self.running
            )
        if keep:
            test = self.sides["test"]
            shown = np.random.default_rng(0).permutation(test)[:MAP_ITEMS]
            self.result.embedding[model] = (features[shown].astype(np.float32), shown)
        return features

    def _row(self, model: str, protocol: str, planned: Planned, encoder: Encoder, features: np.ndarray | None) -> None:
        """encoder: to train, if the protocol trains one. features: of the model's own, frozen."""
        trial, into = planned.trial, planned.into
        row = Row(model, protocol, planned.fraction, trial.seed, self.fold, {})
        with self._clock(f"{model}: {protocol}, seed {trial.seed}, {planned.words}"):
            if model == "prior":
                probability, chosen = prior(trial), {}
            elif model == "hand-features":
                probability, chosen = self._hand(row, planned)
            elif model == "covariates":
                assert self.covariates is not None
                learned = covariate_learner(trial, self.covariates.of_items(self.items), self.recipe.probe)
                probability, chosen = learned.probability, learned.chosen
            elif protocol in ("knn", "linear", "layers"):
                assert features is not None
                probability, chosen = self._probe(protocol, trial, features)
            elif protocol == "side":
                probability, chosen = self._side(row, planned, encoder, features)
            else:
                # a head start reads the last layer alone
                known = features if self.recipe.probe.layers == 1 else None
                probability, chosen = self._train(row, planned, encoder, known)
                if self.recipe.evaluate.frozen_share:
                    probability = self._with_frozen(row, planned, probability, encoder, known)
            if self.blend and protocol in TRAINED:
                probability, of_pool = self._pool(row, planned, probability)
                chosen = {**chosen, **of_pool}
        into.choices[row.key] = chosen
        probability = trial.restored(probability)
        prediction = self._prediction(probability)
        into.predictions[row.key] = prediction
        into.rows.append(replace(row, metrics=self._score(prediction)))
        if into is self.result:
            self._further(row, prediction, probability)

    def _further(self, row: Row, prediction: Prediction, probability: np.ndarray) -> None:
        """The same model's decisions on longer stretches, and on test records that lost sensors."""
        for seconds in self.decisions_s:
            longer = longer_decisions(prediction, self.store.start_s[self.items.window[prediction.item]], seconds)
            if len(longer.label):
                self.result.longer[row.key, seconds] = longer
        stop = len(self.sides["test"])
        for loss, items in self.lost.items():
            start, stop = stop, stop + len(items)
            if len(items):
                self.result.fewer[row.key, loss] = self._decided(items, probability[start:stop])

    def _probe(self, protocol: str, trial: Trial, features: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        if protocol == "knn":
            return knn_probe(trial, features, self.recipe.probe, self.recipe.trainer.precision), {}
        probe = layer_probe if protocol == "layers" else linear_probe
        return probe(trial, features, self.recipe.probe)

    def _side(
        self, row: Row, planned: Planned, fresh: Encoder, features: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Side-tuning: a fresh network with the linear probe of a frozen encoder beside it; `scratch`: with nothing.

        What was learned before cannot be bent by few labels, and what it lacks is learned without it. After Zhang et
        al. 2020 (https://arxiv.org/abs/1912.13503), who sum the networks and train the sum. All models of a trial have
        the same fresh network, trained as long.
        """
        trial = planned.trial
        if trial not in self.alone:
            self.alone[trial] = self._train(row, planned, fresh, None)[0]
        if features is None:
            return self.alone[trial], {}
        beside, chosen = linear_probe(trial, features, self.recipe.probe)
        return pool_opinions(self.alone[trial], beside, self.recipe.evaluate.side_share), chosen

    def _with_frozen(
        self, row: Row, planned: Planned, probability: np.ndarray, encoder: Encoder, features: np.ndarray | None
    ) -> np.ndarray:
        """What a fine-tuned encoder says, with what the attentive head says on the encoder as it was before.

        Fine-tuning fits the people it sees; what was there before it bends less to them. Two outputs in one, as in
        Wortsman et al. 2022 (https://arxiv.org/abs/2109.01903, section 3), there with a zero-shot head. `scratch` has
        the head on its own untrained encoder, which is that of `random-init`, so that two being better than one is not
        taken for pretraining. Kept a trial: a row of its own, if asked for, is this one.
        """
        key = (row.model == "pretrained", planned.trial)
        if row.protocol == "attentive":
            self.unmoved[key] = probability
        elif row.protocol in FINETUNED:
            self._tell_also(planned, "fine-tuned alone", row, probability)
            if key not in self.unmoved:
                before = replace(row, protocol="attentive")
                self.unmoved[key] = self._classifier(before, planned, encoder, features).probability
            return pool_opinions(probability, self.unmoved[key], self.recipe.evaluate.frozen_share)
        return probability

    def _leak(self, model: str, encoder: Encoder, features: np.ndarray | None) -> None:
        """Whose recording it is, by features that were not trained to tell; by the frozen ones if they are there."""
        if not self.lineups or model not in ("pretrained", "random-init", "hand-features"):
            return
        with self._clock(f"{model}: subject leak"):
            if model == "hand-features":
                features = self.items.hand
            elif features is None:
                asked = np.concatenate([lineup.items for lineup in self.lineups])
                layers = self.recipe.probe.layers
                features = frozen_features(
                    encoder, self.store, self.items, asked, self.readout, layers=layers, **self.running
                )
            self.result.leak[model, self.fold] = mean_leak(self.lineups, features)

    def _line_ups(self) -> list[Lineup]:
        """The people that the leak is about."""
        if not self.recipe.evaluate.subject_leak:
            return []
        labelled = np.concatenate([self.sides["train"], self.sides["validation"]])
        when = self.store.start_s[self.items.window] + self.items.at
        found = line_ups(self.items, labelled, when, self.recipe.seed)
        if not found:
            self.result.notes.append(
                "no subject leak: fewer than two subjects of the training side have two recordings or a long one"
            )
        return found

    def _hand(self, row: Row, planned: Planned) -> tuple[np.ndarray, dict[str, Any]]:
        best, *others = self.hand.learners(planned.trial)
        for other in others:
            self._tell_also(planned, other.learner, row, other.probability)
        return best.probability, {"learner": best.learner, **best.chosen}

    def _pool(self, row: Row, planned: Planned, probability: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        self._tell_also(planned, "encoder alone", row, probability)
        beside, chosen = self.hand.beside(planned.trial)
        return pool_opinions(probability, beside, self.blend), chosen

    def _tell_also(self, planned: Planned, name: str, row: Row, probability: np.ndarray) -> None:
        prediction = self._prediction(planned.trial.restored(probability))
        planned.into.also.append((name, replace(row, metrics=self._score(prediction))))

    def _train(
        self, row: Row, planned: Planned, encoder: Encoder, features: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        curve: list[tuple[int, float]] = []
        trained = self._classifier(row, planned, encoder, features, curve)
        planned.into.histories[row.key] = curve
        if planned.into is self.result and row.key == self.served:
            self.result.served.append(self._to_serve(planned.trial, trained))
        if planned.into is self.result and row.key == self.looked_into:
            self.say("what decisions rest on")
            asked, most = self.sides["test"], self.recipe.evaluate.occlusion
            found = occlude(trained.model, self.store, self.modality.seeing(), self.items, asked, most=most)
            if found is not None:
                self.result.occlusion[row.key] = found
        return trained.probability, trained.chosen

    def _to_serve(self, trial: Trial, trained: Trained) -> ServedClassifier:
        tested = self._score(self._prediction(trial.restored(trained.probability)))
        assert self.store.task is not None
        return ServedClassifier.of(trained, trial, self.store.task, self.readout, self.recipe, tested)

    def _classifier(
        self,
        row: Row,
        planned: Planned,
        encoder: Encoder,
        features: np.ndarray | None,
        curve: list[tuple[int, float]] | None = None,
    ) -> Trained:
        """A head, and what the protocol trains under it; `curve` gets (step, loss)."""
        return train_classifier(
            planned.trial, self.modality, self.store, encoder, self._schedule(row), readout=self.readout,
            frozen=row.protocol == "attentive", features=features,
            pretrained=row.model == "pretrained" and row.protocol != "side",
            semi=self.recipe.semi if row.protocol == "semi" else None,
            on_step=None if curve is None else lambda step, loss: curve.append((step, loss)), **self.running,
        )  # fmt: skip

    def _schedule(self, row: Row) -> FinetuneConfig:
        probe, finetune = self.recipe.probe, self.recipe.finetune
        if row.protocol == "side":
            return finetune
        if row.model == "scratch" and self.recipe.evaluate.scratch_total_steps:
            return replace(finetune, steps=self.recipe.trainer.max_steps + finetune.steps)
        if row.protocol in FINETUNED:
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
        of = self.items
        return Prediction(label, probability, of.subject[item], of.record[item], item, bounds, of.given[item])

    def _score(self, prediction: Prediction) -> dict[str, float]:
        return row_metrics(prediction, self.items.classes)

    def _clock(self, stage: str) -> AbstractContextManager[None]:
        self.say(stage)
        return self.result.timed(stage.split(",")[0])
