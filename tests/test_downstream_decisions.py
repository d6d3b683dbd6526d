"""What a decision is about: an item, a recording or a person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from downstream_fakes import CLASSES, FakeEncoder, FakeModality, FakeStore
from hypothesis import given
from hypothesis import strategies as st
from omnipatch.core.config import EvaluateConfig, FinetuneConfig, ProbeConfig, Recipe
from omnipatch.core.data.items import Items
from omnipatch.core.downstream.evaluate import evaluate
from omnipatch.core.downstream.longer import longer_table
from omnipatch.core.downstream.records import check_decisions_agree, decision_of, per_decision
from omnipatch.core.downstream.tables import by_record
from omnipatch.core.errors import InputError

RECIPE = Recipe(
    finetune=FinetuneConfig(steps=2, batch_size=8, eval_every=1),
    probe=ProbeConfig(attentive_steps=2, linear_c=(0.01, 0.1)),
    evaluate=EvaluateConfig(models=("pretrained", "hand-features"), protocols=("linear", "finetune"), seeds=1),
)


def items(subject, record, label, unit="subject") -> Items:
    n = len(subject)
    empty = np.empty((n, 0), np.float32)
    return Items(np.arange(n), np.zeros(n, np.float32), np.asarray(label), empty, empty, np.asarray(subject),
                 np.asarray(record), unit, CLASSES)  # fmt: skip


def run(store, recipe=RECIPE):
    return evaluate(recipe, FakeModality(), store, store.split(), FakeEncoder(0), FakeEncoder)


@given(st.integers(0, 10_000))
def test_a_person_is_the_mean_over_all_windows_of_all_recordings(seed):
    rng = np.random.default_rng(seed)
    record = rng.integers(0, 8, 30)
    subject = record // 2
    known = items(subject, record, subject % 3)
    chosen, probability = np.arange(30), rng.dirichlet(np.ones(3), 30)
    label, mean, first = per_decision(known, chosen, probability)
    assert known.subject[first].tolist() == np.unique(subject).tolist()
    for code, own, said in zip(known.subject[first], mean, label, strict=True):
        np.testing.assert_allclose(own, probability[subject == code].mean(axis=0))
        assert said == code % 3
    order = rng.permutation(30)
    np.testing.assert_allclose(per_decision(known, order, probability[order])[1], mean)


def test_a_recording_of_nobody_known_is_a_person_of_its_own():
    known = items([-1, -1, -1, 2], [5, 5, 6, 0], [0, 0, 1, 1])
    assert len(np.unique(decision_of(known, np.arange(4)))) == 3


def test_one_person_has_one_label():
    check_decisions_agree(items([0, 0, 1], [0, 1, 2], [2, 2, 0]), ("anna", "bob"))
    check_decisions_agree(items([0, 0, 1], [0, 1, 2], [2, 1, 0], "record"), ("anna", "bob"))
    with pytest.raises(InputError, match=r"one person have different labels.*subject 'bob'"):
        check_decisions_agree(items([0, 1, 1], [0, 1, 2], [2, 1, 0]), ("anna", "bob"))


def test_people_are_scored_once_each():
    found = run(FakeStore(unit="subject", windows=6))
    for prediction in found.predictions.values():
        assert sorted(prediction.subject) == [0, 1, 2, 3]
        assert prediction.label.tolist() == [0, 1, 2, 0]
    table = by_record(found, ("pretrained", "linear", 1.0))
    assert [(e["record"], e["subject"], e["n"]) for e in table] == [(f"s0{i}", f"s0{i}", 1) for i in range(4)]


def test_single_decisions_about_records_are_told_person_by_person():
    found = run(FakeStore(unit="record", windows=8))
    prediction = next(iter(found.predictions.values()))
    table = by_record(found, ("pretrained", "linear", 1.0))
    assert [e["record"] for e in table] == [e["subject"] for e in table]
    assert [e["n"] for e in table] == np.unique(prediction.subject, return_counts=True)[1].tolist()


@pytest.mark.parametrize("unit", ["record", "subject", "window"])
def test_decisions_about_a_whole_are_not_repeated_for_its_stretches(unit):
    recipe = replace(RECIPE, evaluate=replace(RECIPE.evaluate, decisions_s=(10.0,), protocols=("linear",)))
    found = run(FakeStore(unit=unit, windows=8), recipe)
    assert bool(longer_table(found, resamples=5)) == (unit == "window")
    assert any(f"decides once a {unit}" in note for note in found.notes) == (unit != "window")
