"""Offsets of a trained head: what they balance, and that they change no order."""

from __future__ import annotations

import numpy as np
import pytest
from downstream_fakes import FakeEncoder, FakeModality, FakeStore
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.config import FinetuneConfig
from omnipatch.core.downstream.classifier import predict
from omnipatch.core.downstream.finetune import train_classifier
from omnipatch.core.downstream.layout import ItemLayout
from omnipatch.core.downstream.operating_point import balanced_offsets, moved
from omnipatch.core.downstream.trial import Trial
from sklearn.metrics import balanced_accuracy_score, roc_auc_score


def scores(seed=0, items=4000, gap=2.0, shift=-3.0):
    """Probabilities of a model whose scores are right in their order and stand `shift` too low for class 1."""
    rng = np.random.default_rng(seed)
    label = (rng.random(items) < 0.25).astype(int)
    logit = gap * (2 * label - 1) + rng.normal(size=items) * np.sqrt(gap) + shift
    p = 1 / (1 + np.exp(-logit))
    return np.stack([1 - p, p], axis=1), label


def test_the_shift_is_found_and_errors_balance():
    p, label = scores()
    offsets = balanced_offsets(p, label)
    assert offsets[1] - offsets[0] == pytest.approx(3.0, abs=0.15)
    after = moved(*[scores(1)[0]], offsets, several=False)
    before = scores(1)
    assert balanced_accuracy_score(before[1], before[0].argmax(1)) < 0.75
    assert balanced_accuracy_score(before[1], after.argmax(1)) > 0.9
    assert roc_auc_score(before[1], after[:, 1]) == pytest.approx(roc_auc_score(before[1], before[0][:, 1]))


def test_several_labels_are_moved_one_by_one():
    parts = [scores(2, shift=-3.0), scores(3, shift=1.0)]
    p, label = (np.stack([part[i][:, 1] if i == 0 else part[i] for part in parts], axis=1) for i in (0, 1))
    offsets = balanced_offsets(p, label.astype(np.float32))
    np.testing.assert_allclose(offsets, [3.0, -1.0], atol=0.15)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), classes=st.integers(2, 5))
def test_no_offset_leaves_everything_and_all_give_probabilities(seed, classes):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(classes), 50)
    np.testing.assert_allclose(moved(p, np.zeros(classes), several=False), p, atol=1e-5)
    np.testing.assert_allclose(moved(p, rng.normal(size=classes) * 5, several=False).sum(axis=1), 1.0)


def test_a_class_that_nobody_has_keeps_its_place():
    p, label = scores()
    three = np.concatenate([p * 0.9, np.full((len(p), 1), 0.1)], axis=1)
    assert balanced_offsets(three, label)[2] == 0.0
    assert not balanced_offsets(p, np.zeros(len(p), int)).any()


def test_validation_subjects_do_not_train_when_they_set_the_offset():
    store = FakeStore(subjects=8, windows=6)
    trial = Trial.of(store, store.split())
    config = FinetuneConfig(steps=3, batch_size=8, eval_every=0, offset=True)
    base = train_classifier(trial, FakeModality(), store, FakeEncoder(), config)
    # other labels of the validation side move the decision, never the weights: now class 0 needs a high score
    layout = ItemLayout(trial.items, trial.validation)
    score = predict(base.model, store, layout, trial.validation, multilabel=False, batch_size=64)[:, 0]
    trial.items.label[trial.validation] = np.where(score > np.quantile(score, 0.9), 0, 1 + (score > np.median(score)))
    other = train_classifier(trial, FakeModality(), store, FakeEncoder(), config)
    for a, b in zip(base.model.parameters(), other.model.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach(), b.detach())
    assert np.abs(base.probability - other.probability).max() > 1e-3
