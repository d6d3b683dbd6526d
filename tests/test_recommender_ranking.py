"""Ranking and its metrics against slow references that loop over users and items."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omnipatch import InputError
from omnipatch.core.errors import NonFiniteError
from omnipatch.modalities.recommender import ranking
from omnipatch.modalities.recommender.evaluation import evaluate, head_items
from omnipatch.modalities.recommender.interactions import Interactions
from omnipatch.modalities.recommender.ranking_metrics import gini
from recommender_kit import graphs


def slow_lists(scores, known, users, k):
    lists = []
    for user in users:
        seen = set(known.history(user).tolist())
        fresh = [item for item in range(known.n_items) if item not in seen]
        lists.append(sorted(fresh, key=lambda item: -scores[user, item])[:k])
    return lists


def slow_metrics(lists, held, users, k):
    """Mean of each metric as its definition reads."""
    rows = []
    for user, shown in zip(users, lists, strict=True):
        wanted = set(held.history(user).tolist())
        hits = [item in wanted for item in shown[:k]]
        places = [place for place, hit in enumerate(hits, 1) if hit]
        most = min(k, len(wanted))
        rows.append({
            "recall": len(places) / len(wanted),
            "precision": len(places) / k,
            "hit_rate": float(bool(places)),
            "mrr": 1 / places[0] if places else 0.0,
            "ndcg": sum(1 / math.log2(p + 1) for p in places) / sum(1 / math.log2(p + 1) for p in range(1, most + 1)),
            "map": sum(sum(hits[:p]) / p for p in places) / most,
        })  # fmt: skip
    return {f"{name}@{k}": np.mean([row[name] for row in rows]) for name in rows[0]}


def held_out(found, seed):
    """(known, held): each interaction on one side, at least one held out."""
    out = np.random.default_rng(seed).random(len(found)) < 0.5
    out[-1] = True
    return found.keep(~out), found.keep(out)


class TestParity:
    @given(graphs(), st.integers(0, 99), st.integers(1, 12))
    def test_lists_and_metrics(self, found, seed, k):
        known, held = held_out(found, seed)
        scores = np.random.default_rng(seed).permutation(found.n_users * found.n_items).astype(np.float32)
        scores = scores.reshape(found.n_users, found.n_items)
        result = evaluate(lambda users: scores[users], known, held, ks=(1, k))
        lists = slow_lists(scores, known, result.users, k)
        padded = [shown + [ranking.NO_ITEM] * (k - len(shown)) for shown in lists]
        assert result.best.tolist() == padded
        for cut in (1, k):
            for name, value in slow_metrics(lists, held, result.users, cut).items():
                assert result[name] == pytest.approx(value), name

    @given(graphs(), st.integers(0, 99), st.integers(1, 12))
    def test_slices_and_exposure(self, found, seed, k):
        known, held = held_out(found, seed)
        scores = np.random.default_rng(seed).normal(size=(found.n_users, found.n_items)).astype(np.float32)
        result = evaluate(lambda users: scores[users], known, held, ks=(k,))
        head = head_items(known.item_degree)
        for name, chosen in (("head", head), ("tail", ~head)):
            values = []
            for user, shown in zip(result.users, result.best, strict=True):
                wanted = [item for item in held.history(user) if chosen[item]]
                if wanted:
                    values.append(len(set(wanted) & set(shown.tolist())) / len(wanted))
            assert result[f"{name}_recall@{k}"] == pytest.approx(np.mean(values) if values else np.nan, nan_ok=True)
        shown = result.best[result.best != ranking.NO_ITEM]
        assert result.exposure[f"coverage@{k}"] == len(set(shown.tolist())) / found.n_items
        if len(shown):
            taken = np.maximum(known.item_degree, 1)
            novelty = np.mean([math.log2(found.n_users / taken[item]) for item in shown])
            assert result.exposure[f"novelty@{k}"] == pytest.approx(novelty)

    @given(graphs(), st.integers(0, 99))
    def test_blocks_make_no_difference(self, found, seed):
        known, _ = held_out(found, seed)
        scores = np.random.default_rng(seed).normal(size=(found.n_users, found.n_items)).astype(np.float32)
        users = np.arange(found.n_users)
        whole, pieces = (ranking.rank(lambda part: scores[part], users, known.matrix, 4, size) for size in (2**20, 1))
        assert whole.tolist() == pieces.tolist()

    @given(st.lists(st.integers(0, 9), min_size=1, max_size=9))
    def test_gini_is_the_mean_gap(self, counts):
        x = np.array(counts)
        expected = np.abs(x[:, None] - x).mean() / (2 * x.mean()) if x.any() else 0.0
        assert gini(x) == pytest.approx(expected)


class TestMemory:
    def test_blocks_hold_what_they_may(self):
        users = np.arange(1000)
        parts = ranking.blocks(users, n_items=500, block_bytes=10 * 4 * 500)
        assert {len(part) for part in parts} == {10}
        assert np.concatenate(parts).tolist() == users.tolist()
        assert [len(part) for part in ranking.blocks(users[:3], n_items=10**9)] == [1, 1, 1]

    def test_no_user_at_all(self):
        known = Interactions.from_arrays([0], [0])
        assert ranking.rank(lambda users: np.ones((len(users), 1)), np.array([], int), known.matrix, 3).shape == (0, 3)


class TestRefused:
    def test_scores_that_are_not_numbers(self):
        known = Interactions.from_codes(np.array([0, 1]), np.array([0, 1]), users=2, items=4)
        held = Interactions.from_codes(np.array([0, 1]), np.array([1, 2]), users=2, items=4)
        scores = np.ones((2, 4), np.float32)
        scores[1, 3] = np.nan
        with pytest.raises(NonFiniteError, match="user 1 are not numbers"):
            evaluate(lambda users: scores[users], known, held, ks=(2,))

    def test_nan_of_a_seen_item_is_nobodys_business(self):
        known = Interactions.from_codes(np.array([0]), np.array([0]), users=1, items=3)
        held = Interactions.from_codes(np.array([0]), np.array([1]), users=1, items=3)
        scores = np.array([[np.nan, 1.0, 0.0]], np.float32)
        assert evaluate(lambda users: scores[users], known, held, ks=(1,))["recall@1"] == 1.0

    def test_users_without_anything_held_out(self):
        known = Interactions.from_codes(np.array([0, 1]), np.array([0, 1]), users=2, items=4)
        held = Interactions.from_codes(np.array([0]), np.array([1]), users=2, items=4)
        with pytest.raises(InputError, match="nothing held out"):
            evaluate(lambda users: np.ones((len(users), 4), np.float32), known, held, users=np.array([0, 1]))
