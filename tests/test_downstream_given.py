"""Something known beforehand: a model for each of it, means over it, and nothing else changed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from downstream_fakes import CLASSES, FakeEncoder, FakeModality, FakeStore
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.config import EvaluateConfig, FinetuneConfig, ProbeConfig, Recipe
from omnipatch.core.downstream.bootstrap import Bootstrap
from omnipatch.core.downstream.by_given import by_given_lines, by_given_table, of_given
from omnipatch.core.downstream.evaluate import evaluate
from omnipatch.core.downstream.few_labels import draw_labels
from omnipatch.core.downstream.heads import ItemHead
from omnipatch.core.downstream.longer import longer_decisions
from omnipatch.core.downstream.readout import Readout
from omnipatch.core.downstream.records import per_decision
from omnipatch.core.downstream.rows import Prediction, merge
from omnipatch.core.downstream.scaling import Standardizer
from omnipatch.core.downstream.scoring import row_metrics
from omnipatch.core.downstream.summary import summarise
from omnipatch.core.downstream.targets import loss
from omnipatch.core.downstream.trial import Trial
from omnipatch.core.report.tables import given_table

NAMES = ("squat", "lunge", "reach")
FROZEN = Recipe(
    probe=ProbeConfig(linear_c=(0.1,), token_scale=(0.3,)),
    evaluate=EvaluateConfig(protocols=("knn", "linear", "layers"), seeds=1, bootstrap=50, subject_leak=False),
)


class Given(FakeStore):
    """The same look is another class under each of `names`: only a model of its own can tell."""

    def __init__(self, names=NAMES, windows=12):
        super().__init__(subjects=10, windows=windows, patches=8, unit="window")
        items = self._items
        code = np.arange(len(items)) % len(names) if names else np.zeros(len(items), np.int64)
        label = (items.label + code) % 3
        nothing = np.empty((len(items), 0), np.float32)
        hand = np.random.default_rng(1).normal(size=(len(items), 3)).astype(np.float32) + 2 * np.eye(3)[items.label]
        self._items = replace(
            items, label=label, given=code, given_names=tuple(names), features=nothing, hand=hand.astype(np.float32)
        )


def run(store, recipe=FROZEN):
    return evaluate(recipe, FakeModality(), store, store.split(3), FakeEncoder(0), lambda seed: FakeEncoder(seed + 1))


def without(store):
    """The same items, of which nothing is known."""
    items = store.items()
    store._items = replace(items, given_names=(), given=np.zeros(len(items), np.int64))
    return store


def renamed(store, order):
    """The same things given, under other codes."""
    items = store.items()
    codes = np.argsort(order)[items.given]
    store._items = replace(items, given=codes, given_names=tuple(np.array(items.given_names)[order].tolist()))
    return store


EVERYTHING = replace(
    FROZEN,
    finetune=FinetuneConfig(steps=3, batch_size=8, eval_every=2, offset=True, head_start=0.1, label_smoothing=0.1),
    probe=replace(FROZEN.probe, attentive_steps=3),
    evaluate=EvaluateConfig(
        models=("pretrained", "scratch", "hand-features", "prior"), labels_per_class=(2,), label_draws=1, blend=0.3,
        protocols=("knn", "linear", "layers", "attentive", "finetune"), seeds=1,
    ),
)  # fmt: skip


def test_one_thing_given_is_nothing_given():
    one, none = run(Given(("squat",), 6), EVERYTHING), run(without(Given(("squat",), 6)), EVERYTHING)
    assert [row.to_json() for row in one.rows] == [row.to_json() for row in none.rows]
    assert one.choices == none.choices
    assert one.leak == none.leak
    for key, prediction in none.predictions.items():
        np.testing.assert_array_equal(one.predictions[key].probability, prediction.probability)
    assert summarise(one, 30) == summarise(none, 30)
    (table,) = {e["given"] for e in by_given_table(one, 30)}
    assert table == "squat"
    assert by_given_table(none, 30) == []


def test_the_order_of_what_is_given_changes_nothing():
    recipe = replace(FROZEN, evaluate=replace(FROZEN.evaluate, models=("pretrained", "hand-features", "prior")))
    evaluation = run(Given(windows=6), recipe)
    again = run(renamed(Given(windows=6), [2, 0, 1]), recipe)
    for row, other in zip(evaluation.rows, again.rows, strict=True):
        assert row.metrics == pytest.approx(other.metrics, abs=1e-6)
    table, turned = ({(e["model"], e["given"], e["metric"], e["protocol"]): e["mean"] for e in by_given_table(found)}
                     for found in (evaluation, again))  # fmt: skip
    assert table == pytest.approx(turned, abs=1e-6)


@pytest.fixture(scope="module")
def turned():
    recipe = replace(
        FROZEN,
        finetune=FinetuneConfig(steps=50, batch_size=16, lr=3e-3, eval_every=50, augment=False),
        evaluate=replace(
            FROZEN.evaluate, models=EVERYTHING.evaluate.models, protocols=("knn", "linear", "layers", "finetune")
        ),
    )
    return run(Given(), recipe), run(without(Given()), recipe)


def test_models_of_their_own_tell_what_one_model_cannot(turned):
    apart, together = turned
    for line in apart.lines():
        score, other = (e.runs(*line)[0].metrics["balanced_accuracy"] for e in (apart, together))
        if line[0] == "prior":
            continue
        assert other < 0.62, line
        assert score > (0.7 if line[0] == "hand-features" else 0.8), line


def test_scores_are_means_over_what_is_given(turned):
    apart, _ = turned
    table = by_given_table(apart, 50)
    json.dumps(table, allow_nan=False)
    for line in apart.lines():
        own = [e["mean"] for e in table if (e["model"], e["protocol"]) == line[:2] and e["metric"] == "auroc"]
        assert len(own) == 3
        assert np.mean(own) == pytest.approx(apart.runs(*line)[0].metrics["auroc"])
    lines = {(e["model"], e["protocol"], e["metric"]): e for e in summarise(apart, 200)}
    entry = lines["hand-features", "linear", "auroc"]
    assert entry["ci_low"] - 1e-9 <= entry["mean"] <= entry["ci_high"] + 1e-9
    assert entry["ci_low"] < entry["ci_high"]
    assert "lunge" in given_table(table, "auroc")
    head, rows = by_given_lines(table, "auroc")
    assert [row[0] for row in rows] == list(NAMES)
    assert len(head) == 1 + len(apart.lines()) == len(rows[0])
    assert any("means over 3 things given" in note for note in apart.notes)


def test_a_resample_is_scored_as_its_repeated_subjects_would_be(turned):
    apart, _ = turned
    row = apart.rows[0]
    samples = Bootstrap(apart, 20, 3)
    prediction, column = apart.predictions[row.key], samples._column[row.fold]
    from omnipatch.core.downstream.bootstrap import resample_folds

    units, holds = samples._units(prediction, 3)
    (drawn,), _ = resample_folds([holds], 20, 3)
    assert column == 0
    for times, found in zip(drawn, samples._by_row[row.key]["balanced_accuracy"], strict=True):
        repeated = np.repeat(np.arange(len(prediction.label)), times[units[prediction.subject + 1]])
        names = ("label", "probability", "subject", "record", "item", "given")
        again = Prediction(**{name: getattr(prediction, name)[repeated] for name in names})
        assert row_metrics(again, CLASSES)["balanced_accuracy"] == pytest.approx(found)


def test_each_thing_given_alone_is_an_evaluation_of_its_own(turned):
    apart, _ = turned
    alone = of_given(merge([apart]), 1)
    assert {len(p.label) for p in alone.predictions.values()} == {12}
    assert alone.given == ()
    assert of_given(apart, 7).rows == []


def test_few_labels_are_counted_under_each_thing_given():
    items = Given().items()
    drawn = draw_labels(items, np.arange(len(items)), 2, 0)
    counts = np.zeros((3, 3), int)
    np.add.at(counts, (items.given[drawn], items.label[drawn]), 1)
    assert (counts == 2).all()


def test_a_person_is_decided_once_for_each_thing_given():
    items = replace(Given().items(), unit="subject")
    asked = np.flatnonzero(items.subject < 2)
    _, probability, item = per_decision(items, asked, np.eye(3)[items.label[asked]])
    found = sorted(zip(items.subject[item].tolist(), items.given[item].tolist(), strict=True))
    assert found == [(s, g) for s in range(2) for g in range(3)]
    np.testing.assert_allclose(probability.sum(axis=1), 1)


def test_longer_decisions_do_not_mix_what_is_given():
    n = np.arange(6)
    p = Prediction(n % 2, np.full((6, 2), 0.5), n * 0, n * 0, n, given=np.array([0, 1, 0, 1, 0, 1]))
    longer = longer_decisions(p, np.zeros(6), 10.0)
    assert (longer.label.tolist(), longer.given.tolist()) == ([0, 1], [0, 1])


def test_nobody_fitted_for_what_is_given_is_answered_by_the_shares_of_all():
    store = Given()
    items = store.items()
    kept = list(range(3, 10))  # nobody of the training side has done the first
    items = replace(items, given=np.where(np.isin(items.subject, kept) & (items.given == 0), 1, items.given))
    store._items = items
    trial = Trial.of(store, store.split(3))
    from omnipatch.core.downstream.knn import knn_probe

    found = knn_probe(trial, np.random.default_rng(0).normal(size=(len(items), 4)), FROZEN.probe)
    blind = items.given[trial.test] == 0
    shares = np.bincount(items.label[trial.learnable]) / len(trial.learnable)
    np.testing.assert_allclose(found[blind], np.tile(shares, (blind.sum(), 1)), rtol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 4), st.integers(0, 99))
def test_rows_of_a_head_are_those_of_what_is_given(models, seed):
    torch.manual_seed(seed)
    side = Standardizer(np.zeros(2, np.float32), np.ones(2, np.float32))
    head = ItemHead(8, Readout((0.0,)), 0.3, side, 3, 0.0, models).eval()
    head.begin(torch.randn(8, 3 * models), torch.randn(3 * models), torch.randn(2, 3 * models))
    tokens, valid = torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
    coords, at, side_of = torch.rand(2, 5, 2), torch.rand(2, 4), torch.randn(2, 4, 2)
    given = torch.randint(models, (2, 4))
    each = torch.stack([head(tokens, valid, coords, at, side_of, torch.full_like(given, c)) for c in range(models)])
    found = head(tokens, valid, coords, at, side_of, given)
    for row in range(2):
        for event in range(4):
            torch.testing.assert_close(found[row, event], each[given[row, event], row, event])
    assert not torch.allclose(each[0], each[1])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 99), st.floats(0, 0.5))
def test_weights_of_each_item_are_those_of_its_class(seed, smoothing):
    rng = torch.Generator().manual_seed(seed)
    logits, label = torch.randn(7, 3, generator=rng), torch.randint(3, (7,), generator=rng)
    weights = torch.rand(3, generator=rng) + 0.1
    own = weights.expand(7, 3)
    torch.testing.assert_close(loss(logits, label, weights, smoothing), loss(logits, label, own, smoothing))
