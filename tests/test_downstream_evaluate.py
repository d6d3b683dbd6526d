"""The whole evaluation: its rows, its honesty, and the tables made of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from downstream_fakes import FakeEncoder, FakeModality, FakeStore
from omnipatch.core.config import EvaluateConfig, FinetuneConfig, ProbeConfig, Recipe, TrainerConfig
from omnipatch.core.data.splits import Split
from omnipatch.core.downstream import hand_opinion
from omnipatch.core.downstream.baselines import hand_learners
from omnipatch.core.downstream.evaluate import evaluate
from omnipatch.core.downstream.rows import merge
from omnipatch.core.downstream.summary import summarise_all
from omnipatch.core.downstream.tables import by_record, confusion, without_largest
from omnipatch.core.downstream.trial import Trial
from omnipatch.core.errors import InputError, SplitError

QUICK = Recipe(
    finetune=FinetuneConfig(steps=4, batch_size=8, eval_every=2),
    probe=ProbeConfig(attentive_steps=4, linear_c=(0.01, 0.1), token_scale=(0.3,)),
    evaluate=EvaluateConfig(seeds=2, label_fractions=(1.0, 0.5)),
)


def run(store, recipe=QUICK, split=None):
    return evaluate(
        recipe, FakeModality(), store, split or store.split(), FakeEncoder(0), lambda seed: FakeEncoder(seed + 1)
    )


def only(recipe: Recipe, *protocols: str, models=("pretrained",), seeds=1) -> Recipe:
    return replace(recipe, evaluate=EvaluateConfig(models=models, protocols=protocols, seeds=seeds))


@pytest.fixture(scope="module")
def evaluation():
    return run(FakeStore(windows=6))


def test_every_model_has_its_protocols_for_every_seed_and_fraction(evaluation):
    assert {key[:2] for key in evaluation.lines()} == {
        ("pretrained", "knn"), ("pretrained", "linear"), ("pretrained", "attentive"), ("pretrained", "finetune"),
        ("random-init", "knn"), ("random-init", "linear"), ("random-init", "attentive"),
        ("scratch", "finetune"), ("hand-features", "linear"), ("prior", "linear"),
    }  # fmt: skip
    for line in evaluation.lines():
        assert {row.seed for row in evaluation.runs(*line)} == {0, 1}
    assert len(evaluation.rows) == 40
    for row in evaluation.rows:
        prediction = evaluation.predictions[row.key]
        assert {"accuracy", "balanced_accuracy", "macro_f1", "auroc", "auprc", "ece"} <= set(row.metrics)
        np.testing.assert_allclose(prediction.probability.sum(axis=1), 1.0, rtol=1e-4)
    json.dumps([row.to_json() for row in evaluation.rows] + list(evaluation.choices.values()))


def test_the_learner_that_validation_did_not_choose_is_kept_apart(evaluation):
    chosen = {evaluation.choices[row.key]["learner"] for row in evaluation.runs("hand-features", "linear", 1.0)}
    others = {learner for learner, row in evaluation.also if row.label_fraction == 1.0}
    assert chosen | others == {"logistic regression", "gradient boosting"}


def test_a_share_of_the_labels_is_told_in_people(evaluation):
    people = {int(p) for row in evaluation.rows for p in np.unique(evaluation.predictions[row.key].subject)}
    learners = len(FakeStore(windows=6).subjects) - len(people)
    assert f"50% of the labels: those of {int(learners / 2 + 0.5)} of {learners} people" in evaluation.notes


def test_summary_and_differences_cover_all_lines(evaluation):
    lines, differ = summarise_all(evaluation, 50)
    assert len({(e["model"], e["protocol"], e["label_fraction"]) for e in lines}) == 20
    controls = {(e["protocol"], e["control"]) for e in differ}
    assert controls == {(p, "random-init") for p in ("knn", "linear", "attentive")} | {("finetune", "scratch")}
    json.dumps(lines + differ, allow_nan=False)


def test_test_labels_change_scores_but_no_prediction():
    """Selection that looked at the test side would move when its labels are shuffled."""
    store = FakeStore(windows=6)
    recipe = replace(QUICK, evaluate=EvaluateConfig(seeds=1))
    before = run(store, recipe)
    items, test = store.items(), store.split().items(store.items(), store, "test")
    label = items.label.copy()
    label[test] = np.random.default_rng(0).permutation(label[test])
    store._items = replace(items, label=label)
    after = run(store, recipe)
    for key, prediction in before.predictions.items():
        np.testing.assert_array_equal(prediction.probability, after.predictions[key].probability)
        assert before.choices[key] == after.choices[key]
    assert [r.metrics for r in before.rows] != [r.metrics for r in after.rows]


def test_a_subject_signature_with_random_labels_gives_chance():
    """The leak canary: subjects are easy to tell apart, labels mean nothing, new subjects must score like chance."""
    scores = []
    for seed in range(3):
        store = FakeStore(subjects=16, windows=8, signal=0.0, noise=0.1, seed=seed)
        items, rng = store.items(), np.random.default_rng(seed)
        majority = rng.integers(0, 3, 16)[items.subject]
        label = np.where(rng.random(len(items)) < 0.9, majority, rng.integers(0, 3, len(items)))
        noise = rng.normal(size=items.features.shape).astype(np.float32)
        store._items = replace(items, label=label, features=noise)
        recipe = only(replace(QUICK, probe=replace(QUICK.probe, attentive_steps=40)), "knn", "linear", "attentive")
        scores.append([row.metrics["auroc"] for row in run(store, recipe).rows])
        leaky = run(store, only(QUICK, "knn"), _by_window(store))
        assert leaky.rows[0].metrics["auroc"] > 0.8  # with a subject on both sides the same labels are easy
    assert np.mean(scores) == pytest.approx(0.5, abs=0.15)


def _by_window(store) -> Split:
    names = [str(number) for number in store.window_ids]
    return Split(frozenset(names[::3]), frozenset(names[1::3]), frozenset(names[2::3]), kind="holdout", group="window")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_precision_of_the_recipe_reaches_every_protocol(precision):
    seen = set()

    class Watched(FakeEncoder):
        def encode(self, *args):
            seen.add((self.training, torch.is_autocast_enabled("cpu")))
            return super().encode(*args)

    recipe = replace(only(QUICK, "knn", "linear", "attentive", "finetune"), trainer=TrainerConfig(precision=precision))
    store = FakeStore(windows=2)
    evaluate(recipe, FakeModality(), store, store.split(), Watched(), lambda seed: Watched(seed))
    assert seen == {(training, precision == "bf16-mixed") for training in (True, False)}


def test_records_are_scored_once_each():
    store = FakeStore(unit="record", windows=6)
    result = run(store, only(QUICK, "knn", "finetune"))
    for prediction in result.predictions.values():
        assert len(prediction.label) == 8  # four test subjects with two records each
        assert len(set(prediction.record)) == 8


def test_no_hand_features_is_a_note_not_a_row():
    store = FakeStore(windows=4)
    store._items = replace(store.items(), hand=np.empty((len(store.items()), 0), np.float32))
    result = run(store, only(QUICK, "knn", models=("pretrained", "hand-features")))
    assert {row.model for row in result.rows} == {"pretrained"}
    assert "no hand-made features" in result.notes[0]


@pytest.mark.parametrize(("most_items", "fits"), [(4000, 1), (10, 3)])
def test_hand_learners_are_fitted_once_for_all_seeds_unless_they_draw(monkeypatch, most_items, fits):
    fitted = []

    def counted(trial, *rest):
        fitted.append(trial.seed)
        return hand_learners(trial, *rest)

    monkeypatch.setattr(hand_opinion, "hand_learners", counted)
    recipe = only(QUICK, "knn", models=("hand-features",), seeds=3)
    result = run(FakeStore(windows=4), replace(recipe, probe=replace(QUICK.probe, most_items=most_items)))
    assert len(fitted) == fits
    said = [result.predictions[row.key].probability for row in result.rows]
    assert len(said) == 3
    store = FakeStore(windows=4)
    alone = hand_learners(Trial.of(store, store.split(), 2), replace(QUICK.probe, most_items=most_items))
    np.testing.assert_array_equal(said[2], alone[0].probability)


def test_a_class_that_nobody_has_is_told():
    store = FakeStore(windows=4)
    keep = store.items().label != 2
    items = store.items()
    store._items = replace(items, **{
        name: getattr(items, name)[keep] for name in ("window", "at", "label", "features", "hand", "subject", "record")
    })  # fmt: skip
    assert "nothing here is of class V: no average counts it" in run(store, only(QUICK, "knn")).notes
    assert not any("nothing here" in note for note in run(FakeStore(windows=4), only(QUICK, "knn")).notes)


@pytest.mark.parametrize(("few", "words"), [(1, "only one test subject:"), (2, "only 2 test subjects:"), (5, None)])
def test_few_test_subjects_are_told(few, words):
    found = run(FakeStore(windows=2), only(QUICK, "knn"))
    subject = {key: p.subject % few for key, p in found.predictions.items()}
    if few == 5:
        subject = {key: np.arange(len(s)) % few for key, s in subject.items()}
    told = merge(
        [replace(found, predictions={k: replace(p, subject=subject[k]) for k, p in found.predictions.items()})]
    )
    assert (words is None and not told.notes) or told.notes[0].startswith(words)


@pytest.mark.parametrize(
    ("change", "text"),
    [({"models": ("pretrain",)}, "did you mean 'pretrained'"), ({"protocols": ("liner",)}, "did you mean 'linear'")],
)
def test_unknown_names_are_refused_with_the_nearest(change, text):
    with pytest.raises(InputError, match=text):
        run(FakeStore(windows=2), replace(QUICK, evaluate=replace(QUICK.evaluate, **change)))


def test_a_side_without_labels_is_refused():
    store = FakeStore(windows=2)
    with pytest.raises(SplitError, match="test side has no labelled items"):
        run(store, split=replace(store.split(), test=frozenset()))


def test_the_record_table_counts_every_test_item(evaluation):
    table = by_record(evaluation, ("pretrained", "knn", 1.0))
    assert sum(entry["n"] for entry in table) == len(next(iter(evaluation.predictions.values())).label)
    assert table[0]["record"] == "r000"
    assert table[0]["subject"] == "s00"
    for entry in table:
        assert {f"f1_{c}" for c, n in entry["counts"].items() if n} == set(entry["metrics"]) - {"accuracy", "macro_f1"}


def test_the_subject_that_dominates_a_class_is_named_and_left_out(evaluation):
    line = ("pretrained", "knn", 1.0)
    key = evaluation.runs(*line)[0].key
    prediction = evaluation.predictions[key]
    label = np.where((prediction.label == 2) & (prediction.subject != 3), 0, prediction.label)
    label[np.flatnonzero(prediction.subject == 1)[0]] = 2  # one beat elsewhere, the rest with subject 3
    changed = replace(evaluation, rows=[evaluation.runs(*line)[0]], predictions={key: replace(prediction, label=label)})
    [entry] = without_largest(changed, line)
    assert (entry["class"], entry["subject"]) == ("V", "s03")
    assert entry["share"] > 0.5
    assert "f1_V" in entry["metrics"]


def test_the_confusion_counts_add_up(evaluation):
    counts = confusion(evaluation, ("pretrained", "linear", 1.0))
    truth = evaluation.predictions[evaluation.rows[0].key].label
    np.testing.assert_allclose(counts.sum(axis=1), np.bincount(truth, minlength=3))


def test_folds_are_joined(evaluation):
    second = replace(
        evaluation,
        rows=[replace(row, fold=1) for row in evaluation.rows],
        predictions={(*key[:4], 1): value for key, value in evaluation.predictions.items()},
        choices={},
    )
    both = merge([evaluation, second])
    assert len(both.runs("prior", "linear", 1.0)) == 4
    assert both.seconds["prior: linear"] == pytest.approx(2 * evaluation.seconds["prior: linear"])
    lines, _ = summarise_all(both, 50)
    assert {entry["n"] for entry in lines} == {4}


def test_scratch_may_have_the_steps_of_pretraining_too():
    recipe = replace(
        QUICK,
        trainer=TrainerConfig(max_steps=5),
        evaluate=EvaluateConfig(
            models=("pretrained", "scratch"), protocols=("finetune",), seeds=1, scratch_total_steps=True
        ),
    )
    store = FakeStore(windows=2)
    found = run(store, recipe)
    steps = {key[0]: len(curve) for key, curve in found.histories.items()}
    assert steps == {"pretrained": 4, "scratch": 9}
    assert any("9 steps with labels" in note and "pretraining (5)" in note for note in found.notes)
    usual = run(store, replace(recipe, evaluate=replace(recipe.evaluate, scratch_total_steps=False)))
    assert {len(curve) for curve in usual.histories.values()} == {4}
    assert not any("steps with labels" in note for note in usual.notes)
