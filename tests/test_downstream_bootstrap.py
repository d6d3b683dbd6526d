"""Subject-level intervals: tallies against metrics on repeated items, coverage, pairing, rare classes."""

from __future__ import annotations

import numpy as np
import pytest
from omnipatch.core.downstream.bootstrap import Bootstrap, resample_counts, resample_folds
from omnipatch.core.downstream.metrics import classification_metrics
from omnipatch.core.downstream.rows import Evaluation, Prediction, Row
from omnipatch.core.downstream.summary import differences, summarise, summarise_all
from omnipatch.core.downstream.tallies import Tallies

CLASSES = ("N", "S", "V")


def _prediction(rng, subjects=8, items=60, skill=1.5, label=None, owner=None) -> Prediction:
    owner = np.repeat(np.arange(subjects), items) if owner is None else owner
    label = rng.choice(3, len(owner), p=[0.6, 0.3, 0.1]) if label is None else label
    ease = rng.normal(size=subjects)[owner]  # subjects differ, so items of one subject are dependent
    logits = rng.normal(size=(len(owner), 3)) + (skill + ease)[:, None] * np.eye(3)[label]
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Prediction(label, probability, owner, owner, np.arange(len(owner)))


def _evaluation(predictions: dict[tuple[str, str, int], Prediction]) -> Evaluation:
    rows, by_key = [], {}
    for (model, protocol, seed), prediction in predictions.items():
        metrics = classification_metrics(prediction.label, prediction.probability, CLASSES)
        rows.append(Row(model, protocol, 1.0, seed, 0, metrics))
        by_key[rows[-1].key] = prediction
    return Evaluation(rows, by_key, {}, CLASSES, (), ())


@pytest.mark.parametrize("multilabel", [False, True])
def test_tallies_of_a_resample_are_metrics_of_the_repeated_items(multilabel):
    rng = np.random.default_rng(0)
    p = _prediction(rng)
    label = (rng.random((len(p.label), 3)) < 0.4).astype(np.float32) if multilabel else p.label
    tallies = Tallies.of(label, p.probability, p.subject, 8, CLASSES)
    for times in (np.ones(8, int), np.array([2, 0, 1, 3, 1, 0, 0, 1])):
        repeated = np.concatenate([np.tile(np.flatnonzero(p.subject == s), n) for s, n in enumerate(times) if n])
        exact = classification_metrics(label[repeated], p.probability[repeated], CLASSES)
        fast = {name: values[0] for name, values in tallies.metrics(times[None]).items()}
        for name, value in exact.items():
            assert fast[name] == pytest.approx(value, abs=2e-3 if name in ("auroc", "auprc") else 1e-6), name


def test_ranking_is_exact_when_scores_are_few():
    rng = np.random.default_rng(1)
    p = _prediction(rng)
    coarse = np.round(p.probability, 2)
    exact = classification_metrics(p.label, coarse, CLASSES)
    fast = Tallies.of(p.label, coarse, p.subject, 8, CLASSES).metrics(np.ones((1, 8)))
    assert fast["auroc"][0] == pytest.approx(exact["auroc"])
    assert fast["auprc"][0] == pytest.approx(exact["auprc"])


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "auroc", "auprc", "ece", "balanced_accuracy", "f1_S"])
def test_the_interval_holds_the_mean_of_a_healthy_line(metric):
    rng = np.random.default_rng(2)
    boot = Bootstrap(_evaluation({("pretrained", "knn", s): _prediction(rng, subjects=20) for s in range(2)}), 500)
    interval = boot.interval(("pretrained", "knn", 1.0), metric)
    assert interval.low <= interval.mean <= interval.high
    assert 0.001 < interval.high - interval.low < 0.5


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """Accuracy of subjects of very different ease, where intervals over items would be far too narrow."""
    rng = np.random.default_rng(3)
    covered, runs = 0, 100
    for _ in range(runs):
        ease = rng.beta(2, 2, size=30)  # mean 0.5: the accuracy in the population
        owner = np.repeat(np.arange(30), 40)
        right = rng.random(len(owner)) < ease[owner]
        label = np.zeros(len(owner), np.int64)
        prediction = Prediction(label, np.eye(3)[np.where(right, 0, 1)], owner, owner, owner)
        interval = Bootstrap(_evaluation({("prior", "linear", 0): prediction}), 150).interval(
            ("prior", "linear", 1.0), "accuracy"
        )
        covered += interval.low <= 0.5 <= interval.high
    assert 0.87 <= covered / runs <= 0.99


def test_differences_are_paired():
    """Two models that share the ease of subjects differ by little, however wide each interval is."""
    rng = np.random.default_rng(4)
    base = _prediction(rng, subjects=10, skill=1.0)
    better = Prediction(base.label, base.probability + 0.05 * np.eye(3)[base.label], *_who(base))
    evaluation = _evaluation({("random-init", "knn", 0): base, ("pretrained", "knn", 0): better})
    found = {entry["metric"]: entry for entry in differences(evaluation, 500)}["accuracy"]
    alone = {e["metric"]: e for e in summarise(evaluation, 500) if e["model"] == "pretrained"}["accuracy"]
    assert found["control"] == "random-init"
    assert 0 < found["ci_low"] < found["mean"] < found["ci_high"]
    assert found["ci_high"] - found["ci_low"] < 0.5 * (alone["ci_high"] - alone["ci_low"])


def _who(p: Prediction):
    return p.subject, p.record, p.item


def test_resamples_keep_every_class():
    holds = np.ones((6, 3), bool)
    holds[1:, 2] = False  # one subject has all of a class
    times = resample_counts(holds, 300, seed=0)
    assert times.shape == (300, 6)
    assert (times.sum(axis=1) == 6).all()
    assert (times[:, 0] > 0).all()


@pytest.mark.filterwarnings("error")
def test_leaving_one_out_has_the_interval_of_the_mean_over_people():
    """A fold of one person cannot be resampled within itself; the people can."""
    rng = np.random.default_rng(3)
    people = [_prediction(rng, subjects=1, items=200) for _ in range(12)]
    for code, one in enumerate(people):
        one.subject[:] = code
    rows = [
        Row("pretrained", "linear", 1.0, 0, fold, classification_metrics(one.label, one.probability, CLASSES))
        for fold, one in enumerate(people)
    ]
    evaluation = Evaluation(
        rows, {row.key: one for row, one in zip(rows, people, strict=True)}, {}, CLASSES,
        tuple(f"p{code}" for code in range(12)), ("r",),
    )  # fmt: skip
    found = Bootstrap(evaluation, 4000).interval(("pretrained", "linear", 1.0), "accuracy")
    own = np.array([row.metrics["accuracy"] for row in rows])
    drawn = own[rng.integers(0, 12, (4000, 12))].mean(axis=1)
    np.testing.assert_allclose([found.low, found.high], np.percentile(drawn, [2.5, 97.5]), atol=0.01)
    assert found.high - found.low > 0.03


def test_a_fold_without_all_of_its_classes_has_no_say():
    both, split = np.ones((3, 2), bool), np.eye(2, dtype=bool)
    (_, of_split), weights = resample_folds([both, split], 500, seed=0)
    lacking = (of_split == 0).any(axis=1)
    assert lacking.any()
    assert (weights[lacking, 1] == 0).all()
    np.testing.assert_allclose(weights[~lacking, 1], of_split[~lacking].sum(axis=1) / 2)
    assert weights.any(axis=1).all()


def test_a_class_nobody_has_does_not_stop_the_resampling():
    assert len(resample_counts(np.array([[True, False]] * 5), 100, seed=0)) == 100


def test_summary_entries_have_the_fixed_fields_and_plain_numbers():
    rng = np.random.default_rng(5)
    evaluation = _evaluation({("pretrained", "finetune", s): _prediction(rng, items=30) for s in range(3)})
    lines, differ = summarise_all(evaluation, 100)
    assert differ == []  # no control to compare with
    for entry in lines:
        assert list(entry) == ["model", "protocol", "label_fraction", "metric", "mean", "ci_low", "ci_high", "n"]
        assert entry["n"] == 3
        assert all(isinstance(entry[key], float) for key in ("mean", "ci_low", "ci_high"))
    assert lines == summarise_all(evaluation, 100)[0]


def test_one_subject_gives_no_interval_and_no_error():
    rng = np.random.default_rng(6)
    entry = summarise(_evaluation({("prior", "linear", 0): _prediction(rng, subjects=1)}), 50)[0]
    assert entry["ci_low"] is None
    assert entry["ci_high"] is None


def test_one_subject_a_class_gives_no_interval():
    """Only the resample with everybody has all classes: its scores are no interval, and no difference is certain."""
    rng = np.random.default_rng(8)
    owner = np.repeat(np.arange(len(CLASSES)), 10)
    alone = {
        (model, "linear", 0): _prediction(rng, skill=skill, label=owner, owner=owner, items=len(owner))
        for model, skill in (("pretrained", 3.0), ("random-init", 0.5))
    }
    lines, differ = summarise_all(_evaluation(alone), 50)
    assert all(entry["ci_low"] is None and entry["ci_high"] is None for entry in [*lines, *differ])


def test_many_subjects_are_merged_into_blocks(monkeypatch):
    monkeypatch.setattr("omnipatch.core.downstream.bootstrap.MOST_UNITS", 40)
    rng = np.random.default_rng(7)
    evaluation = _evaluation({("prior", "linear", 0): _prediction(rng, subjects=200, items=10)})
    merged = Bootstrap(evaluation, 400).interval(("prior", "linear", 1.0), "accuracy")
    monkeypatch.setattr("omnipatch.core.downstream.bootstrap.MOST_UNITS", 2000)
    single = Bootstrap(evaluation, 400).interval(("prior", "linear", 1.0), "accuracy")
    assert (merged.high - merged.low) == pytest.approx(single.high - single.low, rel=0.35)
