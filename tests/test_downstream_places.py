"""Reading windows place by place: which places, and that it finds what a mean over places forgets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from downstream_fakes import FakeEncoder, FakeModality, FakeStore
from omnipatch.core.config import EvaluateConfig, ProbeConfig, Recipe
from omnipatch.core.downstream.anchors import anchor_places
from omnipatch.core.downstream.evaluate import evaluate


def on_a_scalp(store: FakeStore, places: np.ndarray, own: list[list[int]]) -> FakeStore:
    """The store with places for its two leads, others in each record: own[record] are two rows of `places`."""
    batch = store.batch

    def moved(indices):
        made = batch(indices)
        coords = made.coords.clone()
        for row, index in enumerate(np.asarray(indices)):
            half = coords.shape[1] // 2
            for lead, place in enumerate(own[store.record_code[index] % len(own)]):
                coords[row, lead * half : (lead + 1) * half, 1] = float(places[place])
        return made.replace(coords=coords)

    store.batch = moved
    return store


def test_the_places_are_those_of_the_windows_asked_for():
    store = on_a_scalp(FakeStore(subjects=2, windows=4, unit="window"), np.array([0.0, 1.0, 5.0]), [[0, 1], [1, 2]])
    assert anchor_places(store, np.arange(len(store)))[:, 0].tolist() == [0.0, 1.0, 5.0]
    assert anchor_places(store, np.flatnonzero(store.record_code == 0))[:, 0].tolist() == [0.0, 1.0]


def test_of_many_places_those_far_apart_are_kept():
    places = np.concatenate([np.linspace(0, 0.9, 10), [20.0, 40.0]])
    own = [[i, (i + 1) % 12] for i in range(12)]
    store = on_a_scalp(FakeStore(subjects=6, windows=4, unit="window"), places, own)
    kept = anchor_places(store, np.arange(len(store)), most=3)[:, 0]
    assert len(kept) == 3
    assert {20.0, 40.0} < set(kept.tolist())


@pytest.fixture(scope="module")
def opposite():
    """Two classes: a bump on one lead or on the other. Their mean over leads is the same."""
    store = FakeStore(subjects=10, windows=8, unit="window", noise=0.2)
    rng = np.random.default_rng(0)
    items = store.items()
    label = rng.integers(0, 2, len(items))
    half = store.values.shape[1] // 2
    store.values = torch.from_numpy(rng.normal(size=store.values.shape).astype(np.float32) * 0.3)
    bump = torch.from_numpy(rng.normal(size=8).astype(np.float32))
    for window, c in zip(items.window, label, strict=True):
        store.values[window, c * half : (c + 1) * half] += bump
    store._items = replace(items, label=label, classes=("left", "right"), features=items.features[:, :0])
    store.task = replace(store.task, classes=("left", "right"))
    return store


@pytest.mark.parametrize(("pool", "low", "high"), [("mean", 0.2, 0.8), ("place", 0.95, 1.0)])
def test_only_places_tell_classes_apart_that_differ_in_where(opposite, pool, low, high):
    recipe = Recipe(
        probe=ProbeConfig(pool=pool, linear_c=(0.01, 0.1)),
        evaluate=EvaluateConfig(models=("pretrained",), protocols=("linear",), seeds=1),
    )
    found = evaluate(recipe, FakeModality(), opposite, opposite.split(), FakeEncoder(0), FakeEncoder)
    assert low <= found.rows[0].metrics["auroc"] <= high


def test_a_trained_head_reads_places_too(opposite):
    recipe = Recipe(
        probe=ProbeConfig(pool="place", attentive_steps=40, attentive_lr=3e-3),
        evaluate=EvaluateConfig(models=("pretrained",), protocols=("attentive",), seeds=1),
    )
    found = evaluate(recipe, FakeModality(), opposite, opposite.split(), FakeEncoder(0), FakeEncoder)
    assert found.rows[0].metrics["auroc"] > 0.9
