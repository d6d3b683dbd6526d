"""The demo market has what it says: taste, popularity, time, friends alike, an attribute that goes with taste."""

from __future__ import annotations

import numpy as np
import pytest
from omnipatch import InputError
from omnipatch.modalities.recommender.demo import AGE_GROUPS, YEAR_S, make_market
from omnipatch.modalities.recommender.evaluation import evaluate
from omnipatch.modalities.recommender.priors import GfCf, Popularity
from omnipatch.modalities.recommender.spectral import side_positions
from omnipatch.modalities.recommender.splits import split_interactions


@pytest.fixture(scope="module")
def market():
    return make_market(np.random.default_rng(0))


def main_taste(market):
    return market.taste.argmax(axis=1)


def test_a_pure_function(market):
    again = make_market(np.random.default_rng(0))
    assert again.interactions.fingerprint == market.interactions.fingerprint
    assert (again.social.tail == market.social.tail).all()
    assert make_market(np.random.default_rng(1)).interactions.fingerprint != market.interactions.fingerprint


def test_sizes(market):
    found = market.interactions
    assert (found.n_users, found.n_items) == (300, 200)
    assert found.user_degree.min() >= 1
    assert 15 < len(found) / 300 < 26
    assert found.user_degree.max() > 4 * np.median(found.user_degree)


def test_taste_is_in_the_histories(market):
    found = market.interactions
    own = market.item_taste[found.indices] == main_taste(market)[found.user]
    assert own.mean() > 0.6
    split = split_interactions(found)
    known = split.everything_but_test
    recall = [evaluate(p.fit(known), known, split.test, ks=(20,))["recall@20"] for p in (GfCf(rank=16), Popularity())]
    assert recall[0] > 1.3 * recall[1]


def test_popularity_has_a_heavy_tail(market):
    degree = np.sort(market.interactions.item_degree)[::-1]
    assert degree[:40].sum() > 0.45 * degree.sum()


def test_time_runs_and_things_fade(market):
    found = market.interactions
    assert 0 <= found.time.min() < found.time.max() <= YEAR_S
    early = found.time < np.median(found.time)
    counts = [np.bincount(found.indices[part], minlength=found.n_items) for part in (early, ~early)]
    assert np.corrcoef(*counts)[0, 1] < 0.5
    split_interactions(found, "time")


def test_friends_are_alike(market):
    taste = main_taste(market)
    assert (taste[market.social.head] == taste[market.social.tail]).mean() > 0.6
    assert not (market.social.head == market.social.tail).any()
    assert side_positions(market.social, 4).any(axis=1).all()


def test_facts_of_items(market):
    assert market.genre.linked.all()
    assert market.genre.nodes == 204


def test_age_goes_with_taste_but_is_not_sure(market):
    older = market.age_group == AGE_GROUPS[1]
    leaning = main_taste(market) % 2 == 1
    assert 0.75 < (older == leaning).mean() < 0.98


def test_refused():
    with pytest.raises(InputError, match="got 1 users"):
        make_market(np.random.default_rng(0), users=1)
    with pytest.raises(InputError, match="1 to 6 tastes"):
        make_market(np.random.default_rng(0), tastes=9)
