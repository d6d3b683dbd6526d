"""The attentive head: fast form against a slow reference, locality, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from downstream_fakes import FakeEncoder, FakeModality, FakeStore
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.config import FinetuneConfig, ProbeConfig
from omnipatch.core.downstream.classifier import ItemClassifier, predict
from omnipatch.core.downstream.features import frozen_features
from omnipatch.core.downstream.finetune import train_classifier
from omnipatch.core.downstream.head_start import start_head
from omnipatch.core.downstream.heads import AttentivePool, ItemHead, neighbourhood
from omnipatch.core.downstream.layout import ItemLayout
from omnipatch.core.downstream.linear import linear_probe
from omnipatch.core.downstream.readout import Readout
from omnipatch.core.downstream.scaling import Standardizer
from omnipatch.core.downstream.trial import Trial
from omnipatch.core.modality import Task
from omnipatch.core.sequence import SequenceSpec

WIDTH = 8


def _inputs(seed=0, rows=2, patches=12, events=3):
    g = torch.Generator().manual_seed(seed)
    tokens = torch.randn(rows, patches, WIDTH, generator=g)
    valid = torch.rand(rows, patches, generator=g) < 0.8
    coords = torch.linspace(0, 1, patches).view(1, -1, 1).expand(rows, -1, -1)
    return tokens, valid, coords, torch.rand(rows, events, generator=g)


def _pool(radius: float | None):
    torch.manual_seed(0)
    return AttentivePool(WIDTH, radius).eval()


def test_events_are_read_as_if_each_neighbourhood_were_copied_out():
    pool = _pool(0.25)
    tokens, valid, coords, at = _inputs()
    fast = pool(tokens, valid, coords, at)
    for row in range(len(tokens)):
        for event in range(at.shape[1]):
            distance = (coords[row, :, 0] - at[row, event]) / 0.25
            distance, own = distance[valid[row]], tokens[row, valid[row]]
            z = pool.norm(own) + pool.place(pool._waves(distance))  # token and relative time, joined
            fall = 50 * (distance.abs() - 1).clamp(min=0)
            share = torch.softmax(pool.query @ pool.key(z).T * WIDTH**-0.5 - fall, dim=-1)
            torch.testing.assert_close(fast[row, event].view(4, WIDTH), share @ pool.value(z))


def test_far_tokens_have_no_say_and_a_lone_event_reads_its_nearest_token():
    pool = _pool(0.1)
    tokens, valid, coords, at = _inputs()
    valid[:] = True
    at[:] = 0.0
    changed = tokens.clone()
    changed[:, 6:] *= -1
    torch.testing.assert_close(pool(changed, valid, coords, at), pool(tokens, valid, coords, at))
    valid[:, :6] = False
    assert not torch.allclose(pool(changed, valid, coords, at), pool(tokens, valid, coords, at), atol=0.1)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), radius=st.sampled_from([None, 0.3]))
def test_padding_and_order_do_not_matter(seed, radius):
    pool = _pool(radius)
    tokens, valid, coords, at = _inputs(seed)
    valid[:, 0] = True
    reference = pool(tokens, valid, coords, at)
    order = torch.randperm(tokens.shape[1], generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(pool(tokens[:, order], valid[:, order], coords[:, order], at), reference)
    padded = pool(
        torch.cat([tokens, torch.full((2, 3, WIDTH), float("nan"))], dim=1),
        torch.cat([valid, torch.zeros(2, 3, dtype=torch.bool)], dim=1),
        torch.cat([coords, torch.zeros(2, 3, 1)], dim=1),
        at,
    )
    torch.testing.assert_close(padded, reference)


def test_a_row_without_valid_tokens_stays_finite():
    tokens, valid, coords, at = _inputs()
    valid[0] = False
    for radius in (None, 0.2):
        assert torch.isfinite(_pool(radius)(tokens, valid, coords, at)).all()


@pytest.mark.parametrize("sides", [0, 3])
def test_every_parameter_of_the_head_learns(sides):
    side = Standardizer.fit(np.random.default_rng(0).normal(size=(20, sides)).astype(np.float32))
    head = ItemHead(WIDTH, Readout((0.0,)), 0.3, side, classes=4, dropout=0.0)
    tokens, valid, coords, at = _inputs()
    logits = head(tokens, valid, coords, at, head.standardize(torch.randn(2, 3, sides)))
    assert logits.shape == (2, 3, 4)
    logits.square().sum().backward()
    assert all(p.grad is not None for p in head.parameters())


def test_side_features_are_scaled_clipped_and_filled():
    side = Standardizer(np.array([1.0, 0.0], np.float32), np.array([2.0, 1.0], np.float32))
    head = ItemHead(WIDTH, Readout((0.0,)), 0.3, side, classes=2, dropout=0.0)
    out = head.standardize(torch.tensor([[[3.0, float("nan")], [1.0, 99.0]]]))
    torch.testing.assert_close(out, torch.tensor([[[1.0, 0.0], [0.0, 5.0]]]))


def test_the_neighbourhood_covers_the_offsets_and_windows_have_none():
    spec = SequenceSpec(axes=("time_s",), patch_shape=(4,), axis_scales=(0.1,))
    assert neighbourhood(Task("b", "event", ("a",), offsets=(-0.2, 0.4)), spec) == pytest.approx(0.5)
    assert neighbourhood(Task("b", "event", ("a",)), spec) == pytest.approx(0.3)
    assert neighbourhood(Task("w", "window", ("a",)), spec) is None


# ---- head first ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normed", [True, False])
def test_a_head_begins_as_the_linear_probe(normed):
    """Before the first step, logits are those of the penalised logistic regression on what the readout reads."""
    store = FakeStore(subjects=8, windows=6)
    trial, encoder = Trial.of(store, store.split()), FakeEncoder()
    readout = Readout(store.task.offsets, normed=normed)
    side = Standardizer.fit(trial.items.features[trial.learnable])
    head = ItemHead(encoder.width, readout, 0.3, side, trial.classes, dropout=0.0).eval()
    torch.nn.init.zeros_(head.out.weight)
    start_head(head, encoder, trial, store, trial.learnable, c=0.01, class_weight="sqrt")
    config = ProbeConfig(linear_c=(0.01,), token_scale=(1.0,))
    features = frozen_features(encoder, store, trial.items, np.arange(len(trial.items)), readout)
    expected, _ = linear_probe(trial, features, config)
    layout = ItemLayout(trial.items, trial.test)
    model = ItemClassifier(encoder, head, frozen=True)
    found = predict(model, store, layout, trial.test, multilabel=False, batch_size=16)
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_features_that_are_known_are_not_computed_again():
    store = FakeStore(subjects=8, windows=6)
    trial, every = Trial.of(store, store.split()), np.arange(len(store.items()))
    known = frozen_features(FakeEncoder(), store, trial.items, every, Readout.of(store.task))
    config = FinetuneConfig(steps=1, batch_size=8, eval_every=0, head_start=0.01)
    given, own, wrong = (
        train_classifier(trial, FakeModality(), store, FakeEncoder(), config, features=features)
        for features in (known, None, known[::-1])
    )
    np.testing.assert_array_equal(given.probability, own.probability)
    assert np.abs(given.probability - wrong.probability).max() > 1e-3


def test_from_its_start_a_head_trains_on():
    store = FakeStore(subjects=8, windows=6)
    config = FinetuneConfig(steps=3, batch_size=8, eval_every=0, head_start=0.01)
    trained = train_classifier(Trial.of(store, store.split()), FakeModality(), store, FakeEncoder(), config)
    assert trained.model.head.linear is not None
    assert trained.model.head.linear.weight.abs().max() > 0
