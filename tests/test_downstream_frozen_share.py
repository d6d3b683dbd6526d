"""A fine-tuned encoder pooled with the head on the encoder before: what is averaged, with whom, how often trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from downstream_fakes import FakeEncoder, FakeModality, FakeStore
from omnipatch.core.config import EvaluateConfig, FinetuneConfig, ProbeConfig, Recipe
from omnipatch.core.downstream import session
from omnipatch.core.downstream.evaluate import evaluate

RECIPE = Recipe(
    finetune=FinetuneConfig(steps=3, batch_size=8, eval_every=0),
    probe=ProbeConfig(attentive_steps=3, linear_c=(0.1,), token_scale=(0.3,)),
    evaluate=EvaluateConfig(seeds=2, bootstrap=0, protocols=("attentive", "finetune")),
)


def evaluated(**options):
    store = FakeStore(windows=6, unit="window")
    recipe = replace(RECIPE, evaluate=replace(RECIPE.evaluate, **options))
    return evaluate(recipe, FakeModality(), store, store.split(), FakeEncoder(0), lambda seed: FakeEncoder(seed + 1))


def probability(found, model, protocol, seed=0):
    return found.predictions[model, protocol, 1.0, seed, 0].probability


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("model", "untouched"), [("pretrained", "pretrained"), ("scratch", "random-init")])
def test_a_share_of_a_fine_tuned_row_is_the_head_on_the_encoder_before(model, untouched, seed):
    plain, pooled = evaluated(), evaluated(frozen_share=0.25)
    expected = 0.75 * probability(plain, model, "finetune", seed) + 0.25 * probability(
        plain, untouched, "attentive", seed
    )
    np.testing.assert_allclose(probability(pooled, model, "finetune", seed), expected, atol=1e-6)
    np.testing.assert_array_equal(
        probability(pooled, untouched, "attentive", seed), probability(plain, untouched, "attentive", seed)
    )


def test_the_head_needs_no_row_of_its_own():
    whole, alone = evaluated(frozen_share=0.5), evaluated(frozen_share=0.5, protocols=("finetune",))
    for model in ("pretrained", "scratch"):
        np.testing.assert_array_equal(probability(alone, model, "finetune"), probability(whole, model, "finetune"))
    assert {key[:2] for key in alone.histories} == {("pretrained", "finetune"), ("scratch", "finetune")}


@pytest.mark.parametrize("protocols", [("attentive", "finetune"), ("finetune",)])
def test_each_head_is_trained_once_a_trial(monkeypatch, protocols):
    plain, trained = session.train_classifier, []

    def counted(trial, *rest, frozen=False, **more):
        trained.append(frozen)
        return plain(trial, *rest, frozen=frozen, **more)

    monkeypatch.setattr(session, "train_classifier", counted)
    evaluated(protocols=protocols, frozen_share=0.5)
    assert sum(trained) == 2 * 2  # two encoders, two seeds
    assert len(trained) - sum(trained) == 2 * 2


def test_hand_features_join_what_both_say():
    alone, pooled = evaluated(frozen_share=0.5), evaluated(frozen_share=0.5, blend=0.4)
    hand = probability(pooled, "hand-features", "linear")
    expected = 0.6 * probability(alone, "pretrained", "finetune") + 0.4 * hand
    np.testing.assert_allclose(probability(pooled, "pretrained", "finetune"), expected, atol=1e-6)


def test_the_result_says_so_and_what_fine_tuning_alone_reaches():
    plain, pooled = evaluated(), evaluated(frozen_share=0.5)
    assert not any("as it was before" in note for note in plain.notes)
    assert any("as it was before (its share: 50%)" in note for note in pooled.notes)
    told = {row.key: row.metrics for name, row in pooled.also if name == "fine-tuned alone"}
    assert told == {row.key: row.metrics for row in plain.rows if row.protocol == "finetune"}
    frozen_only = evaluated(frozen_share=0.5, protocols=("attentive",))
    assert not any("as it was before" in note for note in frozen_only.notes)
