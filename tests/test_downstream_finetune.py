"""Gradient training: repeatable, the given encoder untouched, a rate a layer, choices on validation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from downstream_fakes import FakeEncoder, FakeModality, FakeStore
from omnipatch.core.batching import length_groups
from omnipatch.core.config import FinetuneConfig
from omnipatch.core.downstream import classifier
from omnipatch.core.downstream.classifier import ItemClassifier, predict
from omnipatch.core.downstream.finetune import parameter_groups, train_classifier
from omnipatch.core.downstream.heads import ItemHead
from omnipatch.core.downstream.layout import ItemLayout
from omnipatch.core.downstream.readout import Readout
from omnipatch.core.downstream.scaling import Standardizer
from omnipatch.core.downstream.trial import Trial, hide_labels
from omnipatch.core.rng import RowRandom
from omnipatch.core.train.model_io import fresh_encoder
from torch import nn

STORE = FakeStore(subjects=10, windows=8)
SHORT = FinetuneConfig(steps=6, batch_size=8, eval_every=3)


def make_trial(store=STORE, seed=0):
    items, split = store.items(), store.split()
    train, validation, test = (split.items(items, store, side) for side in ("train", "validation", "test"))
    return Trial(hide_labels(items, test), train, validation, test, seed), items.label[test]


def run(config=SHORT, trial=None, encoder=None, **options):
    trial = trial or make_trial()[0]
    return train_classifier(trial, FakeModality(), STORE, encoder or FakeEncoder(), config, **options)


def _same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_the_same_seed_gives_the_same_predictions_and_another_seed_others():
    first = run()
    torch.rand(7)  # global randomness has no part in it
    assert np.array_equal(first.probability, run().probability)
    assert not np.array_equal(first.probability, run(trial=make_trial(seed=1)[0]).probability)


def test_the_encoder_given_is_untouched_and_trains_only_when_not_frozen():
    encoder = FakeEncoder()
    state = torch.random.get_rng_state()
    frozen, free = run(encoder=encoder, frozen=True), run(encoder=encoder)
    assert torch.equal(state, torch.random.get_rng_state())
    assert _same(encoder, FakeEncoder())
    assert all(p.requires_grad for p in encoder.parameters())
    assert _same(frozen.model.encoder, encoder)
    assert not _same(free.model.encoder, encoder)


def test_training_learns():
    trial, truth = make_trial()
    trained = run(replace(SHORT, steps=150, lr=3e-3, eval_every=50), trial, frozen=True)
    assert (trained.probability.argmax(1) == truth).mean() > 0.8
    np.testing.assert_allclose(trained.probability.sum(axis=1), 1.0, rtol=1e-5)


def test_the_best_step_on_validation_is_kept():
    trial, _ = make_trial()
    trained = run(replace(SHORT, steps=30, eval_every=5))
    scores = dict(trained.history)
    assert list(scores) == [5, 10, 15, 20, 25, 30]
    assert scores[trained.step] == max(scores.values())
    layout = ItemLayout(trial.items, trial.validation)  # the weights of that very step: they give the same score again
    again = predict(trained.model, STORE, layout, trial.validation, multilabel=False, batch_size=64)
    assert trial.score(again) == pytest.approx(max(scores.values()))


def test_without_checks_validation_subjects_train_too():
    trial, _ = make_trial()
    config = replace(SHORT, eval_every=0)
    trained = run(config, trial)
    assert trained.step == 6
    assert trained.history == []
    joined = replace(trial, train=trial.learnable, validation=trial.validation[:0])
    assert np.array_equal(trained.probability, run(config, joined).probability)


def test_layers_near_the_input_move_slower_and_norms_do_not_decay():
    encoder = FakeEncoder()
    side = Standardizer(np.zeros(2, np.float32), np.ones(2, np.float32))
    head = ItemHead(encoder.width, Readout((0.0,)), 0.3, side, 3, 0.0)
    model = ItemClassifier(encoder, head, frozen=False)
    config = FinetuneConfig(lr=1.0, encoder_rate=0.5, layer_decay=0.8, weight_decay=0.1)
    rate, decay = {}, {}
    for group in parameter_groups(model, config, layerwise=True):
        for p in group["params"]:
            rate[id(p)], decay[id(p)] = group["peak"], group["weight_decay"]
    assert len(rate) == len(list(model.parameters()))
    assert rate[id(head.out.weight)] == 1.0
    assert rate[id(encoder.mix.weight)] == 0.5
    assert rate[id(encoder.embed.weight)] == pytest.approx(0.4)
    assert decay[id(encoder.embed.weight)] == 0.1
    assert decay[id(encoder.embed.bias)] == decay[id(head.norm.weight)] == 0.0
    assert {g["peak"] for g in parameter_groups(model, config, layerwise=False)} == {1.0}


def test_whole_windows_and_records_train_on_the_same_path():
    for unit in ("window", "record"):
        store = FakeStore(subjects=16, windows=8, unit=unit, signal=4.0)
        trial, truth = make_trial(store)
        trained = train_classifier(trial, FakeModality(), store, FakeEncoder(), replace(SHORT, steps=80, lr=3e-3))
        assert (trained.probability.argmax(1) == truth).mean() > 0.75


def test_multilabel_tasks_get_a_probability_a_class():
    store = FakeStore(subjects=10, windows=6, unit="window")
    items = store.items()
    label = np.eye(3, dtype=np.float32)[items.label]
    label[:, 0] = 1.0
    trial, _ = make_trial(store)
    trial = replace(trial, items=hide_labels(replace(items, label=label), trial.test))
    trained = train_classifier(trial, FakeModality(), store, FakeEncoder(), replace(SHORT, steps=120, lr=3e-3))
    assert (trained.probability[:, 0] > 0.5).all()
    assert ((trained.probability > 0.5) == (label[trial.test] > 0)).mean() > 0.9


def test_a_decision_is_the_mean_over_views_of_a_window():
    trial, _ = make_trial()
    plain, seen = run(trial=trial), run(replace(SHORT, test_views=4), trial)
    assert _same(plain.model, seen.model)  # views are of what is decided, not of what is learned
    asked = ItemLayout(trial.items, trial.test)

    def view(number):
        return lambda batch: FakeModality().augment(batch, RowRandom(0, number, batch.window, "test views"))

    each = [
        predict(plain.model, STORE, asked, trial.test, multilabel=False, batch_size=64, views=chosen)
        for chosen in ([], *([view(number)] for number in (1, 2, 3)))
    ]
    np.testing.assert_allclose(each[0], plain.probability, rtol=1e-6)
    # [plain, view] is their mean, so that twice it less the plain one is the view alone
    alone = [2 * both - each[0] for both in each[1:]]
    assert all(np.abs(seen_alone - each[0]).max() > 1e-4 for seen_alone in alone)
    np.testing.assert_allclose(seen.probability, np.mean([each[0], *alone], axis=0), atol=1e-6)


def test_views_do_not_depend_on_the_batch_a_window_is_in():
    config = replace(SHORT, test_views=3)
    np.testing.assert_allclose(run(config, batch_size=64).probability, run(config, batch_size=5).probability, atol=1e-6)


def test_rows_of_like_length_computed_together_give_the_same_logits_and_gradients(monkeypatch):
    torch.manual_seed(0)
    chosen = STORE.split().items(STORE.items(), STORE, "train")
    batch = ItemLayout(STORE.items(), chosen).batch(STORE, np.arange(32)).batch
    lengths = torch.randperm(32) + 3
    batch = batch.replace(valid=torch.arange(batch.n_patches) < lengths.unsqueeze(1))
    encoder = fresh_encoder({"name": "transformer", "width": 32, "depth": 2, "heads": 4}, STORE.spec, 0)
    side = Standardizer(np.zeros(2, np.float32), np.ones(2, np.float32))
    model = ItemClassifier(encoder, ItemHead(32, Readout((0.0,)), 0.3, side, 3, 0.0), frozen=False)
    nn.init.normal_(model.head.out.weight)
    found = {}
    for name, groups in (("alone", lambda lengths: [torch.arange(len(lengths))]), ("grouped", length_groups)):
        monkeypatch.setattr(classifier, "length_groups", groups)
        model.zero_grad()
        logits = model(batch, RowRandom(0, 0, batch.window))
        logits.square().sum().backward()
        found[name] = [logits.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]
    assert len(length_groups(batch.lengths)) == 4
    for one, two in zip(*found.values(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4 * float(two.abs().max()))
