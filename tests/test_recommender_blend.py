"""Late blends: their scale, their weight and on what it is chosen."""

from __future__ import annotations

import numpy as np
import pytest
from omnipatch import InputError
from omnipatch.modalities.recommender.blend import Blend, choose_blend, standardised
from omnipatch.modalities.recommender.evaluation import evaluate
from omnipatch.modalities.recommender.priors import LowPass, Popularity
from omnipatch.modalities.recommender.splits import split_interactions
from recommender_kit import blocks_of_taste


@pytest.fixture(scope="module")
def split():
    return split_interactions(blocks_of_taste(users=200)[0])


def noise(users):
    return np.random.default_rng(7).normal(size=(200, 50)).astype(np.float32)[users]


def test_scale_of_scores_plays_no_part(split):
    taste, popular = LowPass(rank=4).fit(split.train), Popularity().fit(split.train)
    users = np.arange(20)
    plain = Blend(taste, popular, 0.3)(users)
    scaled = Blend(lambda u: 100 * taste(u) - 5, popular, 0.3)(users)
    np.testing.assert_allclose(plain, scaled, atol=1e-3)


def test_ends_are_the_scorers_themselves(split):
    taste, popular = LowPass(rank=4).fit(split.train), Popularity().fit(split.train)
    for weight, alone in ((0.0, taste), (1.0, popular)):
        mixed = evaluate(Blend(taste, popular, weight), split.train, split.validation, ks=(10,))
        assert mixed["recall@10"] == pytest.approx(
            evaluate(alone, split.train, split.validation, ks=(10,))["recall@10"], abs=0.01
        )


def test_rows_of_equal_scores():
    assert (standardised(np.full((2, 3), 7.0, np.float32)) == 0).all()
    found = standardised(np.array([[1.0, 2.0, 3.0]], np.float32))
    assert found.mean() == pytest.approx(0, abs=1e-6)
    assert found.std() == pytest.approx(1)


def test_noise_gets_no_weight_and_taste_gets_some(split):
    taste, popular = LowPass(rank=4).fit(split.train), Popularity().fit(split.train)
    assert choose_blend(taste, noise, split.train, split.validation).blend.weight <= 0.1
    assert choose_blend(popular, taste, split.train, split.validation).blend.weight >= 0.5


def test_trials_are_what_evaluation_says(split):
    taste, popular = LowPass(rank=4).fit(split.train), Popularity().fit(split.train)
    chosen = choose_blend(popular, taste, split.train, split.validation, weights=(0.0, 0.4, 1.0), metric="recall@5")
    for weight, value in chosen.trials.items():
        found = evaluate(Blend(popular, taste, weight), split.train, split.validation, ks=(5,))
        assert found["recall@5"] == pytest.approx(value)
    assert chosen.trials[chosen.blend.weight] == max(chosen.trials.values())


def test_of_equal_weights_the_smallest(split):
    taste = LowPass(rank=4).fit(split.train)
    assert choose_blend(taste, taste, split.train, split.validation).blend.weight == 0.0


def test_a_weight_is_a_share():
    with pytest.raises(InputError, match=r"got 1.5"):
        Blend(noise, noise, 1.5)
