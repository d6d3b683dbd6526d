"""The probe of all layers: it finds the layer that knows, says which, and is the linear probe where there is one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from downstream_fakes import FakeEncoder, FakeModality, FakeStore
from omnipatch.core.config import EvaluateConfig, ProbeConfig, Recipe
from omnipatch.core.downstream.evaluate import evaluate
from omnipatch.core.downstream.features import frozen_features, layer_features
from omnipatch.core.downstream.layers import layer_probe, layer_table
from omnipatch.core.downstream.linear import linear_probe
from omnipatch.core.downstream.readout import Readout
from omnipatch.core.downstream.trial import Trial
from omnipatch.core.report.words import layer_weights

CONFIG = ProbeConfig(linear_c=(0.01, 0.1, 1.0), token_scale=(0.3,))


@pytest.fixture(scope="module")
def store():
    return FakeStore(windows=6, unit="window")


@pytest.fixture(scope="module")
def trial(store):
    return Trial.of(store, store.split())


class TestFeatures:
    def test_every_layer_stands_by_itself(self, store):
        items, readout = store.items(), Readout.of(store.task, "mean_std")
        encoder = FakeEncoder(0)
        found = layer_features(encoder, store, items, np.arange(len(items)), readout)
        assert found.shape == (len(items), 2, 32)  # the patch embedding and one layer
        assert found.dtype == np.float16
        alone = frozen_features(encoder, store, items, np.arange(len(items)), replace(readout, normed=False))
        plain = layer_features(encoder, store, items, np.arange(len(items)), replace(readout, normed=False))
        np.testing.assert_allclose(plain[:, 1], alone, atol=1e-3)
        assert np.abs(found[:, 1].astype(float) - plain[:, 1]).max() > 0.1

    def test_what_is_not_chosen_stays_zero(self, store):
        items = store.items()
        found = layer_features(FakeEncoder(0), store, items, np.array([3]), Readout.of(store.task))
        assert np.flatnonzero(found.any(axis=(1, 2))).tolist() == [3]


class TestProbe:
    def test_weights_go_to_the_layer_that_knows(self, store, trial):
        rng, items = np.random.default_rng(0), store.items()
        features = rng.normal(size=(len(items), 4, 6)).astype(np.float16)
        features[:, 2, :3] += 3 * np.eye(3, dtype=np.float16)[items.label]
        silent = replace(trial, items=replace(trial.items, features=trial.items.features[:, :0]))
        probability, chosen = layer_probe(silent, features, CONFIG)
        weights = np.array(chosen["layer_weights"])
        assert weights.sum() == pytest.approx(1.0, abs=1e-3)
        assert weights.argmax() == 2
        assert weights[2] > 0.6
        last, _ = linear_probe(silent, features[:, -1], CONFIG)
        truth = items.label[trial.test]
        assert (probability.argmax(axis=1) == truth).mean() > 0.9 > (last.argmax(axis=1) == truth).mean()

    def test_of_one_layer_it_is_the_linear_probe(self, store, trial):
        features = layer_features(FakeEncoder(0), store, store.items(), np.arange(len(store.items())),
                                  Readout.of(store.task))[:, -1:]  # fmt: skip
        mine, chosen = layer_probe(trial, features, CONFIG)
        linear, settings = linear_probe(trial, features[:, 0], CONFIG)
        assert chosen["layer_weights"] == [1.0]
        assert (chosen["c"], chosen["token_scale"]) == (settings["c"], settings["token_scale"])
        np.testing.assert_allclose(mine, linear, atol=0.02)

    def test_several_labels_at_once(self, store, trial):
        label = np.eye(3, dtype=np.float32)[np.maximum(trial.items.label, 0)]
        label[trial.test] = np.nan
        several = replace(trial, items=replace(trial.items, label=label))
        features = np.random.default_rng(1).normal(size=(len(label), 2, 4)).astype(np.float16)
        probability, _ = layer_probe(several, features, CONFIG)
        assert probability.shape == (len(trial.test), 3)
        assert np.isfinite(probability).all()

    def test_global_random_state_is_untouched(self, trial):
        before = torch.get_rng_state()
        layer_probe(trial, np.ones((len(trial.items), 2, 4), np.float16), CONFIG)
        assert torch.equal(before, torch.get_rng_state())


def test_it_is_a_protocol_of_frozen_encoders(store):
    recipe = Recipe(probe=CONFIG, evaluate=EvaluateConfig(protocols=("layers",), seeds=2))
    found = evaluate(recipe, FakeModality(), store, store.split(), FakeEncoder(0), lambda seed: FakeEncoder(seed + 1))
    assert {row.model for row in found.rows if row.protocol == "layers"} == {"pretrained", "random-init"}
    table = layer_table(found)
    assert [entry["model"] for entry in table] == ["pretrained", "random-init"]
    assert all(len(entry["weights"]) == 2 and sum(entry["weights"]) == pytest.approx(1.0) for entry in table)
    assert layer_weights({"layer_weights": table}).startswith(
        "Weights of the layers, patch embedding first: pretrained "
    )
