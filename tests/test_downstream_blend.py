"""Pooled opinions: their algebra, and what `evaluate.blend` changes in a table and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from downstream_fakes import FakeEncoder, FakeModality, FakeStore
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from omnipatch.core.config import EvaluateConfig, FinetuneConfig, ProbeConfig, Recipe
from omnipatch.core.downstream.blend import pool_opinions
from omnipatch.core.downstream.calibration import softened
from omnipatch.core.downstream.evaluate import evaluate

RECIPE = Recipe(
    finetune=FinetuneConfig(steps=4, batch_size=8, eval_every=2),
    probe=ProbeConfig(attentive_steps=4, linear_c=(0.1,), token_scale=(0.3,)),
    evaluate=EvaluateConfig(seeds=1, bootstrap=0),
)
scores = arrays(np.float64, (5, 3), elements=st.floats(0.01, 1.0))
shares = st.floats(0.0, 1.0)


def normal(x):
    return x / x.sum(axis=1, keepdims=True)


def run(blend, **wanted):
    store = FakeStore(windows=6)
    recipe = replace(RECIPE, evaluate=replace(RECIPE.evaluate, blend=blend, **wanted))
    return evaluate(recipe, FakeModality(), store, store.split(), FakeEncoder(0), lambda seed: FakeEncoder(seed + 1))


@given(scores, scores, shares)
def test_pooled_probabilities_stay_probabilities_between_the_two(x, y, share):
    first, second = normal(x), normal(y)
    pooled = pool_opinions(first, second, share)
    np.testing.assert_allclose(pooled.sum(axis=1), 1.0, rtol=1e-5)
    assert (pooled >= np.minimum(first, second) - 1e-6).all()
    assert (pooled <= np.maximum(first, second) + 1e-6).all()


@given(scores, shares)
def test_an_opinion_pooled_with_itself_stays(x, share):
    np.testing.assert_allclose(pool_opinions(x, x, share), x, rtol=1e-5)


def test_neither_model_can_veto():
    """Ranking by a model that sees something survives one that is sure of the opposite for every item."""
    seen = np.array([[0.2, 0.8], [0.8, 0.2]])
    blind = np.array([[1.0, 0.0], [1.0, 0.0]])
    pooled = pool_opinions(seen, blind, 0.5)
    assert pooled[0, 1] > pooled[1, 1] > 0


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_ends_are_the_two_models(share):
    first, second = np.array([[0.2, 0.7, 0.1]]), np.array([[0.5, 0.1, 0.4]])
    pooled = pool_opinions(first, second, share)
    np.testing.assert_allclose(pooled, second if share else first, rtol=1e-6)


def test_trained_heads_are_pooled_and_nothing_else():
    plain, pooled = run(0.0), run(0.5)
    hand = pooled.predictions["hand-features", "linear", 1.0, 0, 0].probability
    assert any("pooled with the hand features" in note for note in pooled.notes)
    assert not any("pooled" in note for note in plain.notes)
    for row in plain.rows:
        before, after = plain.predictions[row.key].probability, pooled.predictions[row.key].probability
        if row.protocol in ("attentive", "finetune"):
            np.testing.assert_allclose(after, pool_opinions(before, hand, 0.5), rtol=1e-4)
        else:
            np.testing.assert_array_equal(after, before)
    alone = {row.key: row.metrics for name, row in pooled.also if name == "encoder alone"}
    assert alone == {row.key: row.metrics for row in plain.rows if row.key in alone}
    assert {key[:2] for key in alone} == {
        ("pretrained", "attentive"), ("pretrained", "finetune"), ("random-init", "attentive"), ("scratch", "finetune"),
    }  # fmt: skip


def test_a_calibrated_opinion_is_softened_in_the_pool_and_stays_in_its_own_row():
    plain, calibrated = run(0.5), run(0.5, blend_calibrated=True)
    assert any("calibrated" in note for note in calibrated.notes)
    for row in plain.rows:
        key = row.key
        before, after = plain.predictions[key].probability, calibrated.predictions[key].probability
        if row.protocol not in ("attentive", "finetune"):
            np.testing.assert_array_equal(after, before)
            continue
        hand = plain.predictions["hand-features", "linear", 1.0, 0, 0].probability
        temperature = calibrated.choices[key]["hand_temperature"]
        assert temperature != 1.0
        np.testing.assert_allclose(after, before + 0.5 * (softened(hand, temperature) - hand), atol=1e-5)


def test_the_temperature_is_fitted_once_for_the_same_people(monkeypatch):
    from omnipatch.core.downstream import hand_opinion as module

    calls = []
    monkeypatch.setattr(module, "temperature_of", lambda *given: calls.append(given) or 2.0)
    found = run(0.5, blend_calibrated=True, seeds=3)
    assert len(calls) == 1
    assert {chosen["hand_temperature"] for chosen in found.choices.values() if "hand_temperature" in chosen} == {2.0}


def test_the_hand_learner_of_all_rows_and_seeds_is_trained_once(monkeypatch):
    from omnipatch.core.downstream import hand_opinion as module

    calls, learners = [], module.hand_learners
    monkeypatch.setattr(
        module, "hand_learners", lambda trial, *rest: calls.append(trial.seed) or learners(trial, *rest)
    )
    run(0.5, seeds=2)
    assert calls == [0]


def test_without_hand_features_nothing_is_pooled():
    store = FakeStore(windows=6)
    items = store.items()
    store._items = replace(items, hand=np.zeros((len(items), 0), np.float32))
    recipe = replace(
        RECIPE, evaluate=EvaluateConfig(models=("pretrained",), protocols=("finetune",), seeds=1, blend=0.5)
    )
    found = evaluate(recipe, FakeModality(), store, store.split(), FakeEncoder(0), lambda seed: FakeEncoder(seed + 1))
    assert not found.also
    assert any("no hand-made features" in note for note in found.notes)
