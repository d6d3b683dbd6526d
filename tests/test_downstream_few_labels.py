"""Few labels: which items are drawn, and that nothing else is learned from."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from downstream_fakes import FakeEncoder, FakeModality, FakeStore
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.config import EvaluateConfig, FinetuneConfig, ProbeConfig, Recipe
from omnipatch.core.downstream import plan
from omnipatch.core.downstream.evaluate import evaluate
from omnipatch.core.downstream.few_labels import draw_labels, few_labels_lines, few_labels_table
from omnipatch.core.downstream.records import decision_of
from omnipatch.core.downstream.rows import merge
from omnipatch.core.report.tables import few_labels_table as few_labels_html

RECIPE = Recipe(
    finetune=FinetuneConfig(steps=3, batch_size=8, eval_every=2),
    probe=ProbeConfig(linear_c=(0.01, 0.1), token_scale=(0.3,), attentive_steps=2),
    evaluate=EvaluateConfig(seeds=1, labels_per_class=(2, 1), label_draws=2, protocols=("linear", "finetune")),
)


def run(store, recipe=RECIPE):
    return evaluate(recipe, FakeModality(), store, store.split(), FakeEncoder(0), lambda seed: FakeEncoder(seed + 1))


@given(st.sampled_from(["event", "record", "subject"]), st.integers(1, 4), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_so_many_decisions_of_each_class_are_drawn_nested(unit, per_class, seed):
    store = FakeStore(unit=unit, windows=4, patches=6)
    items = store.items()
    labelled = store.split().items(items, store, "train")
    few, more = (draw_labels(items, labelled, n, seed) for n in (per_class, per_class + 1))
    assert set(few) <= set(more) <= set(labelled)
    owner, drawn = decision_of(items, labelled), decision_of(items, few)
    for c in range(3):
        there = len(np.unique(owner[items.label[labelled] == c]))
        if unit == "event":  # every event is a decision of its own
            assert (items.label[few] == c).sum() == min(per_class, there)
        else:
            assert len(np.unique(drawn[items.label[few] == c])) == min(per_class, there)
    if unit != "event":  # a decision comes with all its windows
        assert set(few) == set(labelled[np.isin(owner, drawn)])
    assert draw_labels(items, labelled, per_class, seed).tolist() == few.tolist()


def test_a_decision_of_several_classes_counts_for_each():
    items = FakeStore(windows=2).items()
    label = np.zeros((len(items), 3), np.float32)
    label[[4, 9], 0] = label[[9, 11], 1] = label[9, 2] = 1
    drawn = draw_labels(replace(items, label=label), np.arange(len(items)), 2, 0)
    assert drawn.tolist() == [4, 9, 11]


@pytest.fixture(scope="module")
def evaluation():
    return run(FakeStore(windows=6, unit="record"))


def test_every_row_is_there_for_every_draw(evaluation):
    assert list(evaluation.few) == [1, 2]
    for found in evaluation.few.values():
        assert found.lines() == evaluation.lines()
        for line in found.lines():
            assert [row.seed for row in found.runs(*line)] == [0, 1]
    assert {row.seed for row in evaluation.rows} == {0}  # the table of all labels is as it was


def test_nothing_but_the_drawn_labels_is_learned_from(evaluation, monkeypatch):
    store = FakeStore(windows=6, unit="record")
    items, split = store.items(), store.split()
    labelled = np.concatenate([split.items(items, store, side) for side in ("train", "validation")])
    drawn = {(n, seed): draw_labels(items, labelled, n, seed) for n in (1, 2) for seed in (0, 1)}
    label = items.label.copy()
    others = np.setdiff1d(labelled, np.concatenate(list(drawn.values())))
    label[others] = (label[others] + 1) % 3
    store._items = replace(items, label=label)
    monkeypatch.setattr(plan, "draw_labels", lambda _items, _chosen, n, seed: drawn[n, seed])
    changed = run(store)
    for n, found in evaluation.few.items():
        for key, prediction in found.predictions.items():
            np.testing.assert_array_equal(changed.few[n].predictions[key].probability, prediction.probability)


def test_the_table_says_means_and_what_pretraining_added(evaluation):
    table = few_labels_table(evaluation, resamples=20)
    json.dumps(table, allow_nan=False)
    linear = next(e for e in table if (e["model"], e["protocol"], e["metric"]) == ("pretrained", "linear", "accuracy"))
    rows = evaluation.few[1].runs("pretrained", "linear", 1.0)
    assert linear["labels_per_class"] == 1
    assert linear["mean"] == pytest.approx(np.mean([row.metrics["accuracy"] for row in rows]))
    assert linear["n"] == 2
    controls = {(e["protocol"], e["control"]) for e in table if "control" in e}
    assert controls == {("linear", "random-init"), ("finetune", "scratch")}
    head, lines = few_labels_lines(table, "accuracy")
    assert head[2:] == ["1 label a class", "2 labels a class"]
    assert len(lines) == len(evaluation.lines())
    assert "2 labels a class" in few_labels_html(table, "accuracy")


def test_folds_are_joined(evaluation):
    other = replace(evaluation, few={n: _fold_one(found) for n, found in evaluation.few.items()})
    both = merge([evaluation, other])
    assert {e["n"] for e in few_labels_table(both, resamples=10)} == {4}


def _fold_one(found):
    return replace(
        found,
        rows=[replace(row, fold=1) for row in found.rows],
        predictions={(*key[:4], 1): value for key, value in found.predictions.items()},
    )
