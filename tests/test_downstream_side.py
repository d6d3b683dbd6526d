"""Side-tuning: a fresh network beside a frozen encoder, the same network for every model of a trial."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from downstream_fakes import FakeEncoder, FakeModality, FakeStore
from omnipatch.core.config import EvaluateConfig, FinetuneConfig, ProbeConfig, Recipe
from omnipatch.core.downstream import session
from omnipatch.core.downstream.evaluate import evaluate
from omnipatch.core.downstream.summary import differences

RECIPE = Recipe(
    finetune=FinetuneConfig(steps=2, batch_size=8, eval_every=0),
    probe=ProbeConfig(linear_c=(0.1,), token_scale=(0.3,)),
    evaluate=EvaluateConfig(seeds=2, labels_per_class=(2,), label_draws=1, protocols=("linear", "finetune", "side")),
)


def evaluated(store=None, **options):
    store = store or FakeStore(windows=6, unit="window")
    recipe = replace(RECIPE, evaluate=replace(RECIPE.evaluate, **options))
    return evaluate(recipe, FakeModality(), store, store.split(), FakeEncoder(0), lambda seed: FakeEncoder(seed + 1))


def probability(found, model, protocol, seed=0):
    return found.predictions[model, protocol, 1.0, seed, 0].probability


def test_rows_are_the_mean_of_a_fresh_network_and_the_linear_probe_of_each_encoder():
    whole = evaluated(side_share=0.25)
    for found in (whole, whole.few[2]):
        for seed in (0, 1) if found is whole else (0,):
            fresh = probability(found, "scratch", "side", seed)
            np.testing.assert_array_equal(fresh, probability(found, "scratch", "finetune", seed))
            for model in ("pretrained", "random-init"):
                expected = 0.75 * fresh + 0.25 * probability(found, model, "linear", seed)
                np.testing.assert_allclose(probability(found, model, "side", seed), expected, atol=1e-6)
    assert not np.array_equal(probability(whole, "pretrained", "side"), probability(whole, "random-init", "side"))


def test_the_fresh_network_is_trained_once_a_trial(monkeypatch):
    plain, trained = session.train_classifier, []
    monkeypatch.setattr(
        session, "train_classifier", lambda trial, *rest, **more: trained.append(trial) or plain(trial, *rest, **more)
    )
    evaluated(protocols=("side",), labels_per_class=())
    assert len(trained) == len(set(map(id, trained))) == 2  # two seeds, three models


def test_its_control_is_the_network_alone_trained_as_long():
    """Also where training from scratch otherwise has the steps of pretraining too."""
    found = evaluated(scratch_total_steps=True, seeds=1)
    assert not np.array_equal(probability(found, "scratch", "side"), probability(found, "scratch", "finetune"))
    told = {d["control"] for d in differences(found, resamples=20) if d["protocol"] == "side"}
    assert told == {"scratch"}


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_of_one_is_that_one(share):
    found = evaluated(side_share=share, seeds=1, labels_per_class=())
    other = ("scratch", "side") if share == 0 else ("pretrained", "linear")
    np.testing.assert_allclose(probability(found, "pretrained", "side"), probability(found, *other), atol=1e-6)


def test_rows_are_pooled_with_hand_features_like_any_trained_head():
    alone, pooled = evaluated(seeds=1, labels_per_class=()), evaluated(seeds=1, labels_per_class=(), blend=0.5)
    hand = probability(pooled, "hand-features", "linear")
    expected = 0.5 * probability(alone, "pretrained", "side") + 0.5 * hand
    np.testing.assert_allclose(probability(pooled, "pretrained", "side"), expected, atol=1e-6)
