"""Tasks whose answer is a number: metrics, resamples, every protocol and control, and the report."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from downstream_fakes import FakeEncoder, FakeModality, FakeStore
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch import InputError, Task
from omnipatch.core.config import EvaluateConfig, FinetuneConfig, ProbeConfig, Recipe
from omnipatch.core.downstream.by_given import by_given_table
from omnipatch.core.downstream.evaluate import evaluate
from omnipatch.core.downstream.linear import linear_probe
from omnipatch.core.downstream.longer import longer_decisions
from omnipatch.core.downstream.metrics import regression_metrics
from omnipatch.core.downstream.mistakes import mistakes
from omnipatch.core.downstream.pooled import pooled_table
from omnipatch.core.downstream.ranks import resampled_numbers
from omnipatch.core.downstream.rows import Prediction, merge
from omnipatch.core.downstream.summary import summarise_all
from omnipatch.core.downstream.tables import by_record, confusion, without_largest
from omnipatch.core.downstream.trial import Trial
from omnipatch.core.report import words
from omnipatch.core.report.figures import agreement
from sklearn.linear_model import Ridge

RECIPE = Recipe(
    finetune=FinetuneConfig(steps=60, batch_size=16, lr=3e-3, eval_every=30, augment=False, offset=True),
    probe=ProbeConfig(attentive_steps=60, attentive_lr=3e-3, linear_c=(0.1, 1.0), token_scale=(0.3,)),
    evaluate=EvaluateConfig(
        protocols=("knn", "linear", "layers", "attentive", "finetune"),
        seeds=1,
        labels_per_class=(2,),
        decisions_s=(10,),
    ),
)


class Scored(FakeStore):
    """A score far from zero that the look of a window tells; of two exercises it is told on different scales."""

    def __init__(self, names=()):
        super().__init__(subjects=10, windows=10, patches=8, unit="window")
        items = self._items
        code = np.arange(len(items)) % len(names) if names else np.zeros(len(items), np.int64)
        rng = np.random.default_rng(2)
        score = 30 + 10 * items.label * (1 - 2 * code) + rng.normal(size=len(items))
        nothing = np.empty((len(items), 0), np.float32)
        self._items = replace(
            items, label=score.astype(np.float32), classes=(), given=code, given_names=tuple(names), features=nothing
        )


def run(store, recipe=RECIPE):
    return evaluate(recipe, FakeModality(), store, store.split(3), FakeEncoder(0), lambda seed: FakeEncoder(seed + 1))


@pytest.fixture(scope="module")
def evaluation():
    return run(Scored())


def test_every_model_says_a_number_in_the_unit_of_the_labels(evaluation):
    lines = evaluation.lines()
    assert len(lines) == 12
    for line in lines:
        (row,) = evaluation.runs(*line)
        assert set(row.metrics) == {"mae", "spearman"}
        assert evaluation.predictions[row.key].probability.shape[1] == 1
        assert 25 < evaluation.predictions[row.key].probability.mean() < 50
    errors = {line[:2]: evaluation.runs(*line)[0].metrics["mae"] for line in lines}
    assert errors.pop("prior", None) is None
    prior = errors.pop(("prior", "linear"))
    assert all(error < 0.7 * prior for error in errors.values()), (errors, prior)
    assert "no table of few labels a class: what is predicted is a number" in evaluation.notes
    assert not evaluation.occlusion
    learners = {evaluation.choices[("hand-features", "linear", 1.0, 0, 0)]["learner"], *(n for n, _ in evaluation.also)}
    assert learners == {"ridge regression", "gradient boosting"}


def test_the_prior_is_the_median_and_ranks_nobody(evaluation):
    (row,) = evaluation.runs("prior", "linear", 1.0)
    store = Scored()
    trial = Trial.of(store, store.split(3))
    expected = np.median(store.items().label[trial.learnable])
    np.testing.assert_allclose(evaluation.predictions[row.key].probability, expected, rtol=1e-5)
    assert row.metrics["spearman"] == 0


def test_tables_of_numbers(evaluation):
    lines, differences = summarise_all(evaluation, 100)
    json.dumps(lines + differences, allow_nan=False)
    entry = next(e for e in lines if e["metric"] == "mae" and e["model"] == "hand-features")
    assert entry["ci_low"] < entry["mean"] < entry["ci_high"]
    line = ("pretrained", "linear", 1.0)
    assert "mae" in by_record(evaluation, line)[0]["metrics"]
    assert without_largest(evaluation, line) == []
    assert confusion(evaluation, line).size == 0
    results = {"rows": [row.to_json() for row in evaluation.rows], "summary": lines}
    assert words.primary_metric(results) == "mae"
    assert words.headline(results, differences).verdict in ("helped", "mixed", "unclear", "hurt")
    prediction = evaluation.predictions[evaluation.rows[0].key]
    assert "predicted" in agreement({line: (prediction.label, prediction.probability)})
    with pytest.raises(InputError, match="right or wrong"):
        mistakes(Scored().items(), np.arange(3), np.zeros((3, 1)))


def test_folds_are_ranked_together_too(evaluation):
    shifted = {(*key[:4], 1): value for key, value in evaluation.predictions.items()}
    rows = [replace(row, fold=1) for row in evaluation.rows]
    again = replace(evaluation, rows=rows, predictions=shifted, choices={})
    assert {e["metric"] for e in pooled_table(merge([evaluation, again]), 20)} == {"spearman"}


def test_lower_errors_are_better_in_words():
    head = {"protocol": "finetune", "control": "scratch", "label_fraction": 1.0, "metric": "mae"}
    summary = [{"model": "pretrained", "protocol": "finetune", "label_fraction": 1.0, "metric": "mae", "mean": 1.0,
                "ci_low": 0.9, "ci_high": 1.1, "n": 1}]  # fmt: skip
    results = {"rows": [1], "summary": summary}
    assert words.headline(results, [{**head, "mean": -2.0, "ci_low": -3.0, "ci_high": -1.0}]).verdict == "helped"
    assert words.headline(results, [{**head, "mean": 2.0, "ci_low": 1.0, "ci_high": 3.0}]).verdict == "hurt"


def test_numbers_under_what_is_given_have_models_and_scales_of_their_own():
    recipe = replace(RECIPE, evaluate=EvaluateConfig(protocols=("knn", "linear", "finetune"), seeds=1))
    apart = run(Scored(("squat", "lunge")), recipe)
    store = Scored(("squat", "lunge"))
    store._items = replace(store.items(), given_names=(), given=np.zeros(len(store.items()), np.int64))
    together = run(store, recipe)
    for line in apart.lines():
        mine, other = (e.runs(*line)[0].metrics["mae"] for e in (apart, together))
        if line[0] not in ("prior", "hand-features"):
            assert mine < 0.75 * other, line
    assert {e["metric"] for e in by_given_table(apart, 20)} == {"mae", "spearman"}


def test_the_linear_probe_of_numbers_is_ridge_regression():
    rng = np.random.default_rng(0)
    store = Scored()
    trial = Trial.of(store, store.split(3, 0)).standardised()
    features = rng.normal(size=(len(trial.items), 5)).astype(np.float32)
    found, _ = linear_probe(trial, features, ProbeConfig(linear_c=(0.1,)))
    x = features[trial.learnable]
    scaled = (features - x.mean(axis=0)) / x.std(axis=0)
    ridge = Ridge(alpha=10.0).fit(scaled[trial.learnable], trial.items.label[trial.learnable])
    np.testing.assert_allclose(found[:, 0], ridge.predict(scaled[trial.test]), atol=1e-3)


def test_a_standardised_trial_gives_back_what_it_was_made_of():
    store = Scored(("squat", "lunge"))
    trial = Trial.of(store, store.split(3))
    plain = trial.standardised()
    for code in range(2):
        own = plain.items.label[plain.learnable][plain.items.given[plain.learnable] == code]
        np.testing.assert_allclose([own.mean(), own.std()], [0, 1], atol=1e-4)
    assert np.isnan(plain.items.label[plain.test]).all()
    truth = store.items().label[trial.test]
    given = trial.items.given[trial.test]
    said = ((truth - plain.centre[given]) / plain.spread[given])[:, None]
    np.testing.assert_allclose(plain.restored(said)[:, 0], truth, rtol=1e-4)
    np.testing.assert_array_equal(trial.restored(said), said)
    flat = replace(trial, items=replace(trial.items, label=np.full(len(trial.items), 7, np.float32)))
    assert np.isfinite(flat.standardised().items.label).all()


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 12), st.integers(0, 999), st.booleans())
def test_resamples_are_scored_as_repeated_items_are(n, seed, ties):
    rng = np.random.default_rng(seed)
    target, prediction = (rng.integers(0, 3, n).astype(float) if ties else rng.normal(size=n) for _ in range(2))
    times = rng.integers(0, 3, (5, n))
    found = resampled_numbers(target, prediction, times)
    for i, counts in enumerate(times):
        again = np.repeat(np.arange(n), counts)
        if len(again) < 2:
            continue
        expected = regression_metrics(target[again], prediction[again])
        assert expected["mae"] == pytest.approx(found["mae"][i])
        assert expected["spearman"] == pytest.approx(found["spearman"][i], abs=1e-9)
    np.testing.assert_allclose(resampled_numbers(target, prediction, np.ones((1, n)))["mae"][0],
                               np.abs(target - prediction).mean())  # fmt: skip


def test_longer_decisions_are_means():
    n = np.zeros(4, np.int64)
    p = Prediction(np.array([1, 3, 10, 20], np.float32), np.array([[2.0], [4.0], [5.0], [7.0]]), n, n, np.arange(4))
    longer = longer_decisions(p, np.array([0.0, 5.0, 10.0, 15.0]), 10.0)
    np.testing.assert_allclose(longer.label, [2, 15])
    np.testing.assert_allclose(longer.probability[:, 0], [3, 6])


@pytest.mark.parametrize(
    ("options", "why"),
    [({"scale": "ratio"}, "unknown scale"), ({"scale": "interval"}, "has none"),
     ({"scale": "ordinal", "classes": ()}, "has classes"), ({"scale": "ordinal", "unit": "event"}, "one for each"),
     ({"scale": "ordinal", "multilabel": True}, "one for each")],
)  # fmt: skip
def test_tasks_that_cannot_be_are_refused(options, why):
    with pytest.raises(InputError, match=why):
        Task(**{"name": "t", "unit": "record", "classes": ("mild", "severe"), **options})


def test_a_fake_tensor_of_numbers_is_told_from_classes():
    from omnipatch.core.data.numbers import is_number

    assert is_number(torch.zeros(3))
    assert is_number(np.zeros(3, np.float32))
    assert not is_number(torch.zeros(3, dtype=torch.long))
    assert not is_number(np.zeros((3, 2), np.float32))
