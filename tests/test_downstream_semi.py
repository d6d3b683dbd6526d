"""Learning from unlabelled items: what is believed of one's own decisions, which items are asked, that it pays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from downstream_fakes import FakeEncoder, FakeModality, FakeStore
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.config import EvaluateConfig, FinetuneConfig, ProbeConfig, Recipe, SemiConfig
from omnipatch.core.downstream.evaluate import evaluate
from omnipatch.core.downstream.few_labels import draw_labels
from omnipatch.core.downstream.finetune import train_classifier
from omnipatch.core.downstream.pseudo_labels import MOMENTUM, POLICIES, FixMatch, FreeMatch, SoftMatch
from omnipatch.core.downstream.semi import Unlabelled
from omnipatch.core.downstream.trial import Trial, hide_labels

STORE = FakeStore(subjects=10, windows=8)
SHORT = FinetuneConfig(steps=6, batch_size=8, eval_every=0)


def make_trial(store=STORE, per_class=2, seed=0):
    items, split = store.items(), store.split()
    train, validation, test = (split.items(items, store, side) for side in ("train", "validation", "test"))
    labelled = np.concatenate([train, validation])
    drawn = draw_labels(items, labelled, per_class, seed)
    return Trial(hide_labels(items, test), drawn, drawn[:0], test, seed, np.setdiff1d(labelled, drawn))


def run(trial, config=SHORT, semi=None, store=STORE, **options):
    return train_classifier(
        trial, FakeModality(), store, FakeEncoder(), config, semi=semi or SemiConfig(**options)
    ).probability


def drawn_probability(rows, classes, seed):
    return torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed)).mul(3).softmax(dim=1)


@pytest.mark.parametrize("name", POLICIES)
@given(st.integers(1, 20), st.integers(2, 6), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_what_is_believed_lies_between_nothing_and_all_and_grows_with_confidence(name, rows, classes, seed):
    policy = POLICIES[name](classes, 0.95)
    for step in range(3):
        weight = policy(drawn_probability(rows, classes, seed + step))
        assert weight.shape == (rows,)
        assert ((weight >= 0) & (weight <= 1)).all()
    certain = torch.eye(classes)
    assert (policy(certain) == 1).all()  # nobody can be surer


def test_fixmatch_is_a_fixed_threshold():
    policy = FixMatch(2, 0.9)
    assert policy(torch.tensor([[0.95, 0.05], [0.1, 0.9], [0.5, 0.5]])).tolist() == [1, 1, 0]


def test_freematch_is_its_published_equations():
    """Running mean confidence, times the running share of a class over the largest share."""
    policy, confidence, share = FreeMatch(3, 1.0), 1 / 3, np.full(3, 1 / 3)
    for step in range(5):
        p = drawn_probability(8, 3, step)
        weight, p = policy(p), p.double().numpy()
        confidence = MOMENTUM * confidence + (1 - MOMENTUM) * p.max(axis=1).mean()
        share = MOMENTUM * share + (1 - MOMENTUM) * p.mean(axis=0)
        expected = [float(row.max() >= confidence * share[row.argmax()] / share.max()) for row in p]
        assert weight.tolist() == expected


def test_softmatch_is_its_published_equations():
    policy, mean, variance = SoftMatch(3, 1.0), 1 / 3, 1.0
    for step in range(5):
        p = drawn_probability(8, 3, step)
        weight, sure = policy(p), p.double().numpy().max(axis=1)
        mean = MOMENTUM * mean + (1 - MOMENTUM) * sure.mean()
        variance = MOMENTUM * variance + (1 - MOMENTUM) * sure.var()
        expected = np.where(sure < mean, np.exp(-((sure - mean) ** 2) / (2 * variance / 4)), 1.0)
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-5)


def test_a_seldom_class_needs_less_confidence():
    often, seldom = [0.9, 0.1], [0.35, 0.65]
    policy = FreeMatch(2, 0.95)
    for _ in range(60):
        weight = policy(torch.tensor([often] * 9 + [seldom]))
    assert policy.confidence > 0.8
    assert weight[-1] == 1  # below what is usual, and yet


def test_the_weight_rises_to_its_full_size():
    options = {"batch_size": 4, "steps": 10, "precision": "auto"}
    term = Unlabelled(make_trial(), FakeModality(), STORE, SemiConfig(rise=0.5, weight=2.0), **options)
    weights = [term._weight(step) for step in range(10)]
    assert weights[0] < 0.02
    assert weights == sorted(weights)
    assert weights[5:] == [2.0] * 5
    assert Unlabelled(make_trial(), FakeModality(), STORE, SemiConfig(rise=0.0), **options)._weight(0) == 1.0


def test_neither_labels_of_the_pool_nor_anything_of_the_test_side_are_learned_from():
    trial = make_trial()
    label = trial.items.label.copy()
    label[trial.pool] = 2 - label[trial.pool]
    told_otherwise = replace(trial, items=replace(trial.items, label=label))
    first = run(trial, rise=0.0)
    assert np.array_equal(first, run(told_otherwise, rise=0.0))
    fewer = replace(trial, pool=trial.pool[::2])
    assert not np.array_equal(first, run(fewer, rise=0.0))
    assert not np.intersect1d(trial.items.subject[trial.unlabelled], trial.items.subject[trial.test]).size


def test_the_same_seed_gives_the_same_predictions():
    assert np.array_equal(run(make_trial()), run(make_trial()))


def test_where_all_labels_are_told_the_same_items_are_asked_without():
    trial = replace(make_trial(), pool=np.zeros(0, np.int64))
    assert np.array_equal(trial.unlabelled, trial.learnable)
    assert not np.array_equal(run(trial, rise=0.0), run(trial, rise=0.0, weight=0.0))


def test_unlabelled_items_help():
    """Two labels a class and forty windows without: mean over draws of what is told right."""
    store = FakeStore(subjects=12, windows=10, unit="window", signal=1.5)
    config = replace(SHORT, steps=150, lr=3e-3, batch_size=8)
    right = {weight: [] for weight in (0.0, 1.0)}
    for seed in range(4):
        trial = make_trial(store, per_class=2, seed=seed)
        truth = store.items().label[trial.test]
        for weight, found in right.items():
            told = run(trial, config, store=store, weight=weight, ratio=4.0)
            found.append((told.argmax(axis=1) == truth).mean())
    assert np.mean(right[1.0]) > np.mean(right[0.0]) + 0.02


RECIPE = Recipe(
    finetune=FinetuneConfig(steps=2, batch_size=8, eval_every=0),
    probe=ProbeConfig(linear_c=(0.1,), token_scale=(0.3,)),
    evaluate=EvaluateConfig(seeds=1, label_draws=1, labels_per_class=(2,), protocols=("finetune", "semi")),
)


def evaluated(store, recipe=RECIPE):
    return evaluate(recipe, FakeModality(), store, store.split(), FakeEncoder(0), lambda seed: FakeEncoder(seed + 1))


def test_the_protocol_has_rows_of_the_pretrained_encoder_and_from_scratch():
    found = evaluated(FakeStore(windows=6, unit="window"))
    for evaluation in (found, found.few[2]):
        of_semi = {row.model for row in evaluation.rows if row.protocol == "semi"}
        assert of_semi == {"pretrained", "scratch"}
    assert any("semi-supervised rows also learn" in note for note in found.notes)


def test_numbers_and_several_classes_have_no_such_rows():
    store = FakeStore(windows=6, unit="window")
    items = store.items()
    for label in (items.label.astype(np.float32), np.eye(3, dtype=np.float32)[items.label]):
        store.items = lambda label=label: replace(items, label=label)
        found = evaluated(store, replace(RECIPE, evaluate=replace(RECIPE.evaluate, labels_per_class=())))
        assert not [row for row in found.rows if row.protocol == "semi"]
        assert any("no semi-supervised rows" in note for note in found.notes)
