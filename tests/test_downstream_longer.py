"""Longer decisions: what is joined, how, and what is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from downstream_fakes import FakeEncoder, FakeModality, FakeStore
from omnipatch.core.config import EvaluateConfig, ProbeConfig, Recipe
from omnipatch.core.downstream.evaluate import evaluate
from omnipatch.core.downstream.longer import check_decisions, decisions_table, longer_decisions, longer_table
from omnipatch.core.downstream.rows import Prediction
from omnipatch.core.errors import InputError


def prediction(label, probability, record) -> Prediction:
    probability = np.asarray(probability, float)
    if probability.ndim == 1:
        probability = np.stack([1 - probability, probability], axis=1)
    n = np.arange(len(record))
    return Prediction(np.asarray(label), probability, np.asarray(record), np.asarray(record), n)


def test_windows_of_a_stretch_of_one_record_are_one_decision():
    found = longer_decisions(
        prediction([1, 1, 1, 0, 0, 0], [0.9, 0.6, 0.3, 0.2, 0.4, 0.4], [0, 0, 0, 0, 7, 7]),
        np.array([0.0, 5.0, 30.0, 35.0, 0.0, 5.0]), 30.0,
    )  # fmt: skip
    assert found.record.tolist() == [0, 7]
    assert found.item.tolist() == [0, 4]
    odds = np.sqrt([9 * 1.5, 4 / 9])
    np.testing.assert_allclose(found.probability[:, 1], odds / (1 + odds))
    assert found.label.tolist() == [1, 0]


def test_a_stretch_in_which_the_state_changes_is_no_decision():
    """Half rest and half work is neither; called the first class, every stretch was, and the prior was always right."""
    start = np.tile(np.arange(0.0, 20.0, 5.0), 2)
    changing = longer_decisions(prediction([0, 0, 1, 1] * 2, np.full(8, 0.5), [0] * 4 + [1] * 4), start, 30.0)
    assert len(changing.label) == len(changing.subject) == 0
    mostly = longer_decisions(prediction([0, 1, 1, 1] * 2, np.full(8, 0.5), [0] * 4 + [1] * 4), start, 30.0)
    assert mostly.label.tolist() == [1, 1]
    store = FakeStore(subjects=12, windows=24, unit="record")
    items = store.items()
    store._items = replace(items, unit="window", label=np.arange(len(items.label)) % 3)
    recipe = Recipe(evaluate=EvaluateConfig(models=("prior",), protocols=("linear",), seeds=1, decisions_s=(1e6,)))
    found = evaluate(recipe, FakeModality(), store, store.split(), FakeEncoder(0), FakeEncoder)
    assert longer_table(found, resamples=5) == []


def test_the_end_of_a_record_is_no_decision():
    start = np.arange(0, 65, 5.0)
    found = longer_decisions(prediction(np.ones(13, int), np.full(13, 0.8), np.zeros(13, int)), start, 30.0)
    assert len(found.label) == 2


def test_several_labels_are_judged_one_by_one():
    label = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    found = longer_decisions(prediction(label, [[0.9, 0.5], [0.9, 0.5], [0.9, 0.2]], [0, 0, 0]), np.arange(3.0), 30.0)
    assert found.label.tolist() == [[1.0, 0.0]]
    np.testing.assert_allclose(found.probability[0], [0.9, 0.25 ** (1 / 3) / (1 + 0.25 ** (1 / 3))])


def test_decisions_grow_surer_with_their_length():
    store = FakeStore(subjects=12, windows=24, unit="record", noise=2.0, signal=0.4)
    store._items = replace(store.items(), unit="window")
    recipe = Recipe(
        probe=ProbeConfig(linear_c=(0.01,)),
        evaluate=EvaluateConfig(models=("pretrained",), protocols=("linear",), seeds=1, decisions_s=(10.0, 60.0)),
    )
    found = evaluate(recipe, FakeModality(), store, store.split(), FakeEncoder(0), FakeEncoder)
    table = longer_table(found, resamples=20)
    auroc = {entry["seconds"]: entry["mean"] for entry in table if entry["metric"] == "auroc"}
    assert found.rows[0].metrics["auroc"] < auroc[10.0] < auroc[60.0]
    head, lines = decisions_table(table, "auroc")
    assert head[-2:] == ["10 s", "60 s"]
    assert lines[0][:2] == ["pretrained", "linear"]
    assert lines[0][-1].startswith(f"{auroc[60.0]:.3f}")


def test_a_length_must_be_positive():
    with pytest.raises(InputError, match=r"evaluate\.decisions_s"):
        check_decisions(Recipe(evaluate=EvaluateConfig(decisions_s=(30.0, 0.0))))
