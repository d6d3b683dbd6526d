"""Rankings among drawn items: who is drawn, what they score by a slow reference, and that they say what they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omnipatch.core.ranking import Lists
from omnipatch.modalities.recommender.evaluation import evaluate
from omnipatch.modalities.recommender.field import ItemRanking
from omnipatch.modalities.recommender.sampled import among_drawn
from recommender_kit import blocks_of_taste, graphs


def parts(found, seed):
    """(shown, asked): each interaction on one side, at least one asked."""
    out = np.random.default_rng(seed).random(len(found)) < 0.5
    out[-1] = True
    return found.keep(~out), found.keep(out)


@given(graphs(), st.integers(0, 99), st.integers(1, 12))
def test_candidates_are_what_is_asked_and_some_that_nobody_saw(found, seed, negatives):
    shown, asked = parts(found, seed)
    rows = np.arange(found.n_users)
    drawn = among_drawn(lambda rows: np.ones((len(rows), found.n_items), np.float32), shown.matrix, asked.matrix,
                        negatives, seed)  # fmt: skip
    for user, scores in enumerate(drawn(rows)):
        candidates, wanted = set(np.flatnonzero(scores > -np.inf).tolist()), set(asked.history(user).tolist())
        free = set(range(found.n_items)) - wanted - set(shown.history(user).tolist())
        assert wanted <= candidates <= wanted | free
        assert len(candidates - wanted) == min(negatives, len(free))
    assert np.array_equal(drawn(rows)[::-1], drawn(rows[::-1]))


def test_every_free_item_is_drawn_alike():
    found, _, _ = blocks_of_taste(users=1, items=12)
    shown, asked = parts(found, 0)
    counts = np.zeros(12)
    for seed in range(600):
        flat = lambda rows: np.zeros((len(rows), 12), np.float32)  # noqa: E731
        counts += among_drawn(flat, shown.matrix, asked.matrix, 2, seed)(np.array([0]))[0] > -np.inf
    free = np.setdiff1d(np.arange(12), found.indices)
    expected = 600 * 2 / len(free)
    assert np.abs(counts[free] - expected).max() < 5 * np.sqrt(expected)


class TestJudged:
    def scores(self, found):
        table = np.random.default_rng(0).random((found.n_users, found.n_items)).astype(np.float32)
        return lambda rows: table[rows].copy()

    def test_by_a_slow_reference(self):
        found, _, _ = blocks_of_taste()
        shown, asked = parts(found, 1)
        score = self.scores(found)
        judged = ItemRanking().judge(score, shown.matrix, asked.matrix, Lists((5,), negatives=10))
        drawn = among_drawn(score, shown.matrix, asked.matrix, 10)
        users = np.flatnonzero(asked.user_degree)
        for user, recall in zip(users, judged.per_row["recall@5"], strict=True):
            own = drawn(np.array([user]))[0]
            best = [i for i in np.argsort(-own)[:5] if own[i] > -np.inf]
            wanted = asked.history(user)
            assert recall == pytest.approx(len(set(best) & set(wanted.tolist())) / len(wanted))

    def test_it_flatters_and_says_nothing_of_exposure(self):
        found, _, _ = blocks_of_taste()
        shown, asked = parts(found, 1)
        field, score = ItemRanking(), self.scores(found)
        full, few = (field.judge(score, shown.matrix, asked.matrix, Lists((5,), n)) for n in (0, 10))
        assert np.nanmean(few.per_row["recall@5"]) > np.nanmean(full.per_row["recall@5"])
        assert "coverage@5" in full.overall
        assert not few.overall

    def test_all_items_as_negatives_are_a_full_ranking(self):
        found, _, _ = blocks_of_taste()
        shown, asked = parts(found, 1)
        field, score = ItemRanking(), self.scores(found)
        full, few = (field.judge(score, shown.matrix, asked.matrix, Lists((), n)) for n in (0, 10**6))
        assert all(np.array_equal(full.per_row[m], few.per_row[m], equal_nan=True) for m in full.per_row)


def test_every_length_that_is_asked_for_is_scored_and_the_one_that_chooses():
    found, _, _ = blocks_of_taste()
    shown, asked = parts(found, 1)
    judged = ItemRanking().judge(TestJudged().scores(found), shown.matrix, asked.matrix, Lists((3, 50)))
    for k in (3, 20, 50):
        names = ("recall", "ndcg", "precision", "mrr", "map", "hit_rate", "head_recall", "tail_recall", "cold_recall")
        assert {f"{name}@{k}" for name in names} <= set(judged.per_row)
        assert {f"{name}@{k}" for name in ("coverage", "gini", "novelty")} <= set(judged.overall)
    alone = evaluate(TestJudged().scores(found), shown, asked, (3,))
    assert all(np.array_equal(alone.per_user[m], judged.per_row[m], equal_nan=True) for m in alone.per_user)
