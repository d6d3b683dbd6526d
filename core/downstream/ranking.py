"""Evaluation of a ranking task: all ids in order, for windows that do not show what they are asked for.

- Every choice (which ranker without training is best, how much of it goes into a model's ranking) is made on what the
  validation side is asked; what the test side is asked is looked at once, to score.
- Rankers without training are fitted twice: to what may be trained on, for the choices, and to all that is known before
  the test, for the test. A model is not trained twice: for the test it only reads longer histories.
- A model's scores are blended with those of a ranker without training, pretrained and untrained alike: late, because a
  network that starts from such a ranker loses it again while it trains. At weight 0 the ranker is left alone, so the
  difference to it is what the model adds. How each ranks alone is told beside the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

from ..blocks.encoder import Encoder
from ..config import EvaluateConfig, Recipe
from ..errors import InputError
from ..modality import Modality
from ..ranking import Lists, Ranked, Ranker, Score
from .id_scores import asked_of, model_score, shown_by
from .rows import RANKING, Evaluation, Prediction, Row

if TYPE_CHECKING:
    from ..data.splits import Split
    from ..data.store import WindowStore

SAMPLED = (
    "what the test asks for was ranked among {} drawn ids only: such scores compare with no full ranking, here or in "
    "papers, and may order models otherwise; choices were made on full rankings"
)
MOST_CHOOSING = 2000  # windows that choices are made by; more would only take longer


@dataclass(frozen=True, eq=False)
class Side:
    """Windows that are asked on a side: what each shows and what it is asked for, [row, id]."""

    windows: np.ndarray
    shown: csr_matrix
    asked: csr_matrix


@dataclass(frozen=True, eq=False)
class Fitted:
    """A ranker without training: which of its variants, its value on validation, scores for windows of both sides."""

    name: str
    variant: int
    variants: int
    value: float
    choosing: Score
    testing: Score


def lists_of(config: EvaluateConfig) -> Lists:
    """What a recipe asks of rankings. Raises InputError for lists of no length and negative numbers."""
    if any(k < 1 for k in config.cutoffs):
        raise InputError("lists have a length", field="evaluate.cutoffs", got=min(config.cutoffs), expected="1 or more")
    if config.ranking_negatives < 0:
        raise InputError(
            "so many ids cannot be drawn", field="evaluate.ranking_negatives", got=config.ranking_negatives,
            expected="0 (all ids are ranked) or more",
        )  # fmt: skip
    return Lists(config.cutoffs, config.ranking_negatives)


def evaluate_ranking(
    recipe: Recipe,
    modality: Modality,
    store: WindowStore,
    split: Split,
    encoders: Mapping[int, Encoder],
    fresh_encoder: Callable[[int], Encoder],
    say: Callable[[str], None],
) -> Evaluation:
    """All rows of one split. encoders: by the seed of their pretraining.

    Raises InputError when a side asks for nothing or nothing ranks without training.
    """
    return _Ranking(recipe, modality, store, split, say).run(encoders, fresh_encoder)


class _Ranking:
    def __init__(
        self, recipe: Recipe, modality: Modality, store: WindowStore, split: Split, say: Callable[[str], None]
    ) -> None:
        self.recipe, self.store, self.say, self.fold = recipe, store, say, split.fold
        self.field, self.lists = modality.ranking(), lists_of(recipe.evaluate)
        choosing = split.windows(store, "validation")
        if len(choosing) > MOST_CHOOSING:
            choosing = np.sort(np.random.default_rng(0).permutation(choosing)[:MOST_CHOOSING])
        self.choose = self._side(choosing, "validation")
        self.test = self._side(split.windows(store, "test"), "test")
        self.trained = split.windows(store, "pretrain")
        notes = [SAMPLED.format(self.lists.negatives)] if self.lists.negatives else []
        self.result = Evaluation([], {}, {}, (), store.subjects, store.records, unit=RANKING, notes=notes)

    def run(self, encoders: Mapping[int, Encoder], fresh_encoder: Callable[[int], Encoder]) -> Evaluation:
        models, first = self.recipe.evaluate.models, self.recipe.seed
        rankers = self._without_training()
        if "pretrained" in models:
            for seed, encoder in encoders.items():
                self._blend("pretrained", seed, encoder, rankers)
        if "random-init" in models:
            for seed in range(first, first + self.recipe.evaluate.seeds):
                self._blend("random-init", seed, fresh_encoder(seed), rankers)
        return self.result

    def _side(self, windows: np.ndarray, side: str) -> Side:
        if not len(windows):
            raise InputError(f"nobody is asked for anything on the {side} side", field="split", fix="use more data")
        return Side(windows, shown_by(self.store, windows), asked_of(self.store, windows))

    def _without_training(self) -> list[Fitted]:
        """Rows of the rankers that need no training, each in its best variant by validation."""
        known = shown_by(self.store, self.trained), shown_by(self.store, self._known())
        found = [self._fitted(name, variants, *known) for name, variants in self.field.rankers().items()]
        fitted = [one for one in found if one is not None]
        if not fitted:
            raise InputError("nothing ranks these data without training", field="data.task")
        prior, best = fitted[0], max(fitted, key=lambda one: one.value)
        for one in fitted:
            model = "prior" if one is prior else "hand-features" if one is best else ""
            with self._clock(one.name):
                self._add(model, one.name, self.recipe.seed, self._judge(one.testing), {"validation": one.value})
        return fitted

    def _fitted(self, name: str, variants: Sequence[Ranker], trained: csr_matrix, known: csr_matrix) -> Fitted | None:
        """None where the data are too large for it, which is noted."""
        with self._clock(name):
            try:
                scores = [_of_rows(variant(trained), self.choose.shown) for variant in variants]
                values = [self._value(score) for score in scores]
                chosen = int(np.argmax(values))
                testing = _of_rows(variants[chosen](known), self.test.shown)
            except InputError as error:
                self.result.notes.append(f"no {name}: {error}")
                return None
        return Fitted(name, chosen, len(variants), values[chosen], scores[chosen], testing)

    def _known(self) -> np.ndarray:
        """One window of everybody with all that is known before the test: of who is tested, that for the test."""
        tested = np.isin(self.store.subject_code[self.trained], self.store.subject_code[self.test.windows])
        inside = np.isin(self.store.subject_code[self.test.windows], self.store.subject_code[self.trained])
        return np.concatenate([self.trained[~tested], self.test.windows[inside]])

    def _blend(self, model: str, seed: int, encoder: Encoder, rankers: Sequence[Fitted]) -> None:
        run = {"batch_size": self.recipe.evaluate.batch_size, "precision": self.recipe.trainer.precision}
        with self._clock(model):
            choosing, testing = (
                model_score(encoder, self.store, side.windows, **run) for side in (self.choose, self.test)
            )
            shown, asked = self.choose.shown, self.choose.asked
            found = [self.field.choose_weight(one.choosing, choosing, shown, asked) for one in rankers]
            best = max(range(len(rankers)), key=lambda i: found[i][1])
            weight, other = found[best][0], rankers[best]
            alone, pooled = self._judge(testing), self._judge(self.field.blend(other.testing, testing, weight))
        self._add("", f"{model}, alone", seed, alone, {"validation": self._value(choosing)})
        chosen = {"validation": found[best][1], "weight": weight, "blended_with": other.name}
        chosen |= {"variant": other.variant, "variants": other.variants}
        self._add(model, f"{model}, blended", seed, pooled, chosen)

    def _value(self, score: Score) -> float:
        judged = self.field.judge(score, self.choose.shown, self.choose.asked)
        return float(np.nanmean(judged.per_row[self.field.metric]))

    def _judge(self, score: Score) -> Ranked:
        return self.field.judge(score, self.test.shown, self.test.asked, self.lists)

    def _add(self, model: str, name: str, seed: int, judged: Ranked, chosen: dict[str, Any]) -> None:
        """A row of the table of results, or, where `model` is "", only of the table of all rankers."""
        per_row = {metric: values for metric, values in judged.per_row.items() if not np.isnan(values).all()}
        means = {metric: float(np.nanmean(values)) for metric, values in per_row.items()}
        row = Row(model or name, RANKING, 1.0, seed, self.fold, {**means, **judged.overall})
        windows = self.test.windows
        prediction = Prediction(
            np.zeros((len(windows), 0)), np.zeros((len(windows), 0)), self.store.subject_code[windows],
            self.store.record_code[windows], np.arange(len(windows)), values=per_row,
        )  # fmt: skip
        self.result.ranked.append((name, row, prediction))
        self.result.choices[row.key] = chosen
        if model:
            self.result.rows.append(row)
            self.result.predictions[row.key] = prediction

    def _clock(self, stage: str) -> AbstractContextManager[None]:
        self.say(f"{stage}: ranking")
        return self.result.timed(stage)


def _of_rows(scores: Callable[[csr_matrix], np.ndarray], shown: csr_matrix) -> Score:
    return lambda rows: scores(shown[rows])
