"""kNN and linear probes against scikit-learn, and choices made on validation subjects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from downstream_fakes import FakeStore
from omnipatch import InputError, Task
from omnipatch.core.config import ProbeConfig
from omnipatch.core.downstream import baselines, kernel
from omnipatch.core.downstream.baselines import hand_learners, prior
from omnipatch.core.downstream.knn import knn_probe, knn_vote
from omnipatch.core.downstream.linear import linear_probe
from omnipatch.core.downstream.logistic import fit_logistic
from omnipatch.core.downstream.scaling import Blocks, Standardizer
from omnipatch.core.downstream.trial import Trial, hide_labels
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from torch.nn import functional as F


def make_trial(seed=0, **options) -> tuple[Trial, np.ndarray]:
    """A trial on the fake store, and the true labels of its test items."""
    store = FakeStore(**options)
    items, split = store.items(), store.split()
    train, validation, test = (split.items(items, store, side) for side in ("train", "validation", "test"))
    return Trial(hide_labels(items, test), train, validation, test, seed), items.label[test]


def informative(trial: Trial, truth: np.ndarray, seed=0, size=6) -> np.ndarray:
    label = trial.items.label.copy()
    label[trial.test] = truth
    noise = np.random.default_rng(seed).normal(size=(len(label), size))
    return (noise + 2.0 * np.eye(3)[label] @ np.ones((3, 1)) * label[:, None]).astype(np.float16)


def test_votes_equal_sklearns_weighted_neighbours():
    rng = np.random.default_rng(0)
    bank, query = rng.normal(size=(200, 5)), rng.normal(size=(40, 5))
    label = rng.integers(0, 3, 200)
    slow = KNeighborsClassifier(15, metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / 0.1))
    expected = slow.fit(bank, label).predict_proba(query)
    got = knn_vote(
        F.normalize(torch.tensor(bank), dim=1), torch.eye(3).double()[label], torch.ones(200).double(),
        F.normalize(torch.tensor(query), dim=1), 15, 0.1, precision="32-true",
    )  # fmt: skip
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)


def test_a_vote_of_weight_two_is_two_votes():
    bank = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.1]]), dim=1)
    query = F.normalize(torch.tensor([[1.0, 0.05]]), dim=1)
    share = knn_vote(bank, torch.eye(2), torch.tensor([2.0, 1.0]), query, 2, 1e6, precision="32-true")
    torch.testing.assert_close(share, torch.tensor([[2 / 3, 1 / 3]]))


def test_thinning_the_bank_hardly_changes_the_probe():
    trial, truth = make_trial(subjects=16)
    features = informative(trial, truth)
    whole = knn_probe(trial, features, ProbeConfig())
    thinned = knn_probe(trial, features, ProbeConfig(most_items=150))
    assert (whole.argmax(1) == truth).mean() > 0.8
    assert (whole.argmax(1) == thinned.argmax(1)).mean() > 0.9


@pytest.mark.parametrize("c", [0.01, 1.0])
def test_logistic_equals_sklearn(c):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 7)).astype(np.float32)
    label = (x[:, 0] + rng.normal(size=300) > 0).astype(int) + (x[:, 1] > 1)
    weight = rng.uniform(0.5, 2.0, 300).astype(np.float32)
    slow = LogisticRegression(C=c, tol=1e-8, max_iter=2000).fit(x, label, sample_weight=weight)
    got = fit_logistic(torch.from_numpy(x), torch.from_numpy(label), 3, torch.from_numpy(weight), c)
    np.testing.assert_allclose(got(torch.from_numpy(x)).softmax(1), slow.predict_proba(x), atol=2e-3)


def test_multilabel_logistic_equals_one_fit_a_class():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 4)).astype(np.float32)
    label = (x[:, :2] + rng.normal(size=(200, 2)) > 0).astype(np.float32)
    got = fit_logistic(torch.from_numpy(x), torch.from_numpy(label), 2, torch.ones(200, 2), 0.5)
    for c in range(2):
        slow = LogisticRegression(C=0.5, tol=1e-8).fit(x, label[:, c])
        np.testing.assert_allclose(got(torch.from_numpy(x))[:, c].sigmoid(), slow.predict_proba(x)[:, 1], atol=2e-3)


def test_a_path_of_strengths_ends_where_a_fresh_fit_does():
    rng = np.random.default_rng(3)
    x, label = torch.from_numpy(rng.normal(size=(150, 5)).astype(np.float32)), torch.from_numpy(rng.integers(0, 2, 150))
    first = fit_logistic(x, label, 2, torch.ones(150), 0.001)
    path = fit_logistic(x, label, 2, torch.ones(150), 1.0, start=first)
    torch.testing.assert_close(path.weight, fit_logistic(x, label, 2, torch.ones(150), 1.0).weight, atol=5e-3, rtol=0)


def test_the_linear_probe_keeps_useful_features_and_shrinks_noise():
    trial, truth = make_trial(subjects=16)
    config = ProbeConfig(token_scale=(0.001, 0.3))
    _, useful = linear_probe(trial, informative(trial, truth), config)
    noise = np.random.default_rng(0).normal(size=(len(trial.items), 300)).astype(np.float16)
    _, useless = linear_probe(trial, noise, config)
    assert useful["token_scale"] == 0.3
    assert useless["token_scale"] == 0.001


def test_no_validation_subjects_means_the_middle_setting():
    trial, truth = make_trial()
    config = ProbeConfig(linear_c=(0.1, 0.2, 0.3), token_scale=(0.5,))
    _, chosen = linear_probe(replace(trial, validation=trial.validation[:0]), informative(trial, truth), config)
    assert chosen == {"c": 0.2, "token_scale": 0.5}


def test_the_number_of_labelled_items_decides_which_hand_learner_is_the_row(monkeypatch):
    trial, _ = make_trial(subjects=16)
    monkeypatch.setattr(baselines, "LEAST_BOOSTED", len(trial.learnable))
    names = [one.learner for one in hand_learners(trial, ProbeConfig())]
    assert names == ["gradient boosting", "logistic regression"]
    monkeypatch.setattr(baselines, "LEAST_BOOSTED", len(trial.learnable) + 1)
    learned = hand_learners(trial, ProbeConfig())
    assert [one.learner for one in learned] == names[::-1]
    assert all(one.probability.shape == (len(trial.test), 3) for one in learned)


def test_boosting_learns_what_only_a_product_of_features_tells():
    trial, truth = make_trial(subjects=24)
    label = trial.items.label.copy()
    label[trial.test] = truth
    hand = np.random.default_rng(0).normal(size=(len(label), 2))
    hand[:, 0] = np.abs(hand[:, 0]) * np.sign(hand[:, 1]) * np.where(label == 1, 1, -1)
    learned = hand_learners(replace(trial, items=replace(trial.items, hand=hand.astype(np.float32))), ProbeConfig())
    right = {one.learner: ((one.probability.argmax(1) == 1) == (truth == 1)).mean() for one in learned}
    assert right["gradient boosting"] > 0.9 > right["logistic regression"]


def test_hand_learners_live_with_missing_values_and_a_class_that_is_not_there():
    trial, _ = make_trial(subjects=10)
    hand = trial.items.hand.copy()
    hand[::3, 0] = np.nan
    label = trial.items.label.copy()
    label[label == 2] = 1
    for learned in hand_learners(replace(trial, items=replace(trial.items, hand=hand, label=label)), ProbeConfig()):
        assert np.isfinite(learned.probability).all()
        assert (learned.probability.argmax(1) < 2).all()


def test_the_prior_is_the_class_share_of_the_labelled_side():
    trial, _ = make_trial()
    counts = np.bincount(trial.items.label[trial.learnable], minlength=3)
    np.testing.assert_allclose(prior(trial)[0], counts / counts.sum(), rtol=1e-5)


def test_multilabel_protocols_run():
    trial, _ = make_trial(subjects=10)
    label = np.random.default_rng(0).integers(0, 2, (len(trial.items), 3)).astype(np.float32)
    trial = replace(trial, items=hide_labels(replace(trial.items, label=label), trial.test))
    features = np.concatenate([label, label], axis=1).astype(np.float16)
    for probability in (
        knn_probe(trial, features, ProbeConfig()),
        linear_probe(trial, features, ProbeConfig())[0],
        hand_learners(trial, ProbeConfig())[0].probability,
    ):
        assert probability.shape == (len(trial.test), 3)
        assert ((probability >= 0) & (probability <= 1 + 1e-6)).all()
    assert ((knn_probe(trial, features, ProbeConfig()) > 0.5) == label[trial.test]).mean() > 0.95


def test_scales_come_from_fitted_items_only_and_ignore_missing_values():
    x = np.array([[1.0, np.nan, 4.0], [3.0, 2.0, 4.0], [1e6, 1e6, 1e6]], np.float32)
    scale = Standardizer.fit(x[:2])
    np.testing.assert_allclose(scale(x[:2]), [[-1, 0, 0], [1, 0, 0]])
    blocks = Blocks.fit(x, np.empty((3, 0), np.float32), np.array([0, 1]))
    assert len(blocks.parts(np.array([2]))) == 1


@pytest.mark.parametrize("field", ["extra trees", "kernel machine"])
@pytest.mark.parametrize("several", [False, True])
def test_the_learner_of_the_field_makes_the_row(several, field):
    store = FakeStore(subjects=8)
    trial = Trial.of(store, store.split())
    if several:
        label = np.eye(3, dtype=np.float32)[store.items().label]
        label[trial.test] = np.nan
        trial = replace(trial, items=replace(trial.items, label=label))
    learned = hand_learners(trial, ProbeConfig(), field)
    assert [one.learner for one in learned] == [field, "logistic regression", "gradient boosting"]
    truth = store.items().label[trial.test]
    assert np.mean(learned[0].probability.argmax(axis=1) == truth) > 0.6
    again = hand_learners(trial, ProbeConfig(), field)[0]
    np.testing.assert_array_equal(learned[0].probability, again.probability)
    first = hand_learners(trial, ProbeConfig(), "gradient boosting")[0].learner
    assert first == "gradient boosting"


@pytest.mark.parametrize("field", ["extra trees", "kernel machine"])
def test_more_features_than_items_and_missing_ones(field):
    store = FakeStore(subjects=6, windows=2, unit="window")
    trial = Trial.of(store, store.split(2, 1))
    rng = np.random.default_rng(0)
    hand = rng.normal(size=(len(trial.items), 60)).astype(np.float32)
    hand[:, 0], hand[::3, 1] = np.nan, np.nan
    found = hand_learners(replace(trial, items=replace(trial.items, hand=hand)), ProbeConfig(), field)
    assert [one.learner for one in found] == [field, "logistic regression"], "boosting is not tried"
    np.testing.assert_allclose(found[0].probability.sum(axis=1), 1, rtol=1e-5)


def test_a_kernel_machine_tells_near_from_far():
    trial, truth = make_trial(subjects=24)
    label = trial.items.label.copy()
    label[trial.test] = truth
    hand = np.random.default_rng(0).normal(size=(len(label), 4))
    hand *= np.where(label == 1, 3, 1)[:, None]  # the mean of both is the same
    found = hand_learners(
        replace(trial, items=replace(trial.items, hand=hand.astype(np.float32))), ProbeConfig(), "kernel machine"
    )
    right = {one.learner: balanced_accuracy_score(truth == 1, one.probability.argmax(1) == 1) for one in found}
    assert right["kernel machine"] > 0.8
    assert right["logistic regression"] < 0.6


@pytest.mark.parametrize("landmarks", [1000, 30])
def test_a_kernel_machine_predicts_numbers_and_thins_its_landmarks(landmarks, monkeypatch):
    monkeypatch.setattr(kernel, "LANDMARKS", landmarks)
    trial, _ = make_trial(subjects=24)
    assert len(trial.learnable) > 30
    hand = np.random.default_rng(0).normal(size=(len(trial.items), 3)).astype(np.float32)
    label = np.square(hand[:, 0]) + hand[:, 1]
    numbers = replace(trial, items=replace(trial.items, hand=hand, label=label, classes=("score",)))
    found = kernel.kernel_machine(numbers, ProbeConfig())
    assert np.corrcoef(found[:, 0], label[trial.test])[0, 1] > 0.8
    assert kernel.kernel_machine(trial, ProbeConfig()).shape == (len(trial.test), 3)


def test_an_unknown_learner_is_refused():
    with pytest.raises(InputError, match="extra trees"):
        Task("t", "record", ("a", "b"), hand_learner="forest")
