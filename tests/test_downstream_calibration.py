"""One temperature: what it keeps, what it undoes, and whom it asks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from downstream_fakes import FakeStore
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from omnipatch.core.config import ProbeConfig
from omnipatch.core.downstream.baselines import Learned, hand_learners, temperature_of
from omnipatch.core.downstream.calibration import fit_temperature, softened, temperature_of_unseen
from omnipatch.core.downstream.trial import Trial
from scipy.special import expit, softmax

logits = arrays(np.float64, (6, 3), elements=st.floats(-4.0, 4.0))
temperatures = st.floats(0.3, 10.0)


@given(logits, temperatures)
def test_the_likeliest_class_stays_and_probabilities_sum_to_one(x, temperature):
    p = softmax(x, axis=1)
    q = softened(p, temperature)
    np.testing.assert_allclose(q.sum(axis=1), 1.0)
    sure = np.sort(p, axis=1)[:, -1] - np.sort(p, axis=1)[:, -2] > 1e-6
    np.testing.assert_array_equal(q.argmax(axis=1)[sure], p.argmax(axis=1)[sure])


@given(logits, temperatures, temperatures)
def test_temperatures_multiply(x, first, second):
    p = softmax(x / 4, axis=1)
    both = softened(softened(p, first), second)
    np.testing.assert_allclose(both, softened(p, first * second), atol=1e-5)


@pytest.mark.parametrize("true", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("several", [False, True])
def test_the_temperature_of_labels_drawn_at_it_is_found(true, several):
    """Labels drawn from p, answers told `true` times as surely: the fit undoes it."""
    rng = np.random.default_rng(0)
    x = 1.5 * rng.standard_normal((20_000, 3))
    if several:
        label = (rng.random(x.shape) < expit(x)).astype(np.int64)
        said = expit(x * true)
    else:
        label = (softmax(x, axis=1).cumsum(axis=1) < rng.random((len(x), 1))).sum(axis=1)
        said = softmax(x * true, axis=1)
    assert fit_temperature(said, label) == pytest.approx(true, rel=0.05)


def test_weights_count_as_copies():
    rng = np.random.default_rng(1)
    said, label = softmax(3 * rng.standard_normal((60, 3)), axis=1), rng.integers(0, 3, 60)
    copies = rng.integers(1, 4, 60)
    assert fit_temperature(said, label, copies) == pytest.approx(
        fit_temperature(said.repeat(copies, axis=0), label.repeat(copies)), rel=1e-3
    )


def trial_of(store):
    return Trial.of(store, store.split())


def test_nobody_is_asked_about_by_a_learner_that_was_fitted_to_them():
    trial = trial_of(FakeStore(windows=6))
    asked = []

    def learn(part):
        people = part.items.subject
        assert not set(people[part.learnable]) & set(people[part.test])
        assert set(part.learnable) | set(part.test) <= set(trial.learnable)
        asked.extend(part.test)
        return np.full((len(part.test), trial.classes), 1.0 / trial.classes)

    temperature_of_unseen(trial, learn, "sqrt")
    np.testing.assert_array_equal(sorted(asked), trial.learnable)


def test_a_class_that_only_one_person_has_is_not_asked_for():
    trial = trial_of(FakeStore(windows=6))
    people, label = trial.items.subject, trial.items.label.copy()
    known = trial.learnable
    label[known] = 0
    label[known[people[known] == people[known[0]]]] = 1
    trial = replace(trial, items=replace(trial.items, label=label))

    def learn(part):
        assert (trial.items.label[part.test] == 0).all()
        return np.full((len(part.test), trial.classes), 1.0 / trial.classes)

    temperature_of_unseen(trial, learn, "none")


def test_one_person_alone_says_nothing_of_others():
    trial = trial_of(FakeStore(windows=6))
    alone = replace(trial, items=replace(trial.items, subject=np.zeros_like(trial.items.subject)))

    def learn(part):
        raise AssertionError

    assert temperature_of_unseen(alone, learn, "sqrt") == 1.0


def test_a_learner_that_knows_people_by_heart_becomes_less_sure():
    """Labels of each person at random, hand features that say who it is: trees are sure, and wrong of the next one."""
    trial = trial_of(FakeStore(windows=6))
    rng = np.random.default_rng(0)
    label = rng.integers(0, trial.classes, trial.items.subject.max() + 1)[trial.items.subject]
    hand = np.eye(trial.items.subject.max() + 1, dtype=np.float32)[trial.items.subject]
    hand = np.concatenate([hand, rng.standard_normal((len(label), 1)).astype(np.float32)], axis=1)
    trial = replace(trial, items=replace(trial.items, label=label, hand=hand))
    assert temperature_of(Learned("extra trees", np.empty(0), {}), trial, ProbeConfig()) > 1.5


@pytest.mark.parametrize("learner", ["extra trees", "kernel machine", "logistic regression"])
def test_every_learner_has_a_temperature(learner):
    trial, config = trial_of(FakeStore(windows=6)), ProbeConfig(linear_c=(0.1, 1.0))
    first = hand_learners(trial, config, learner)[0]
    assert first.learner == learner
    assert 0.2 <= temperature_of(first, trial, config) <= 20.0
