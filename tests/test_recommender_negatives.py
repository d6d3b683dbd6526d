"""Drawn pairs against the interactions they come from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omnipatch import InputError
from omnipatch.modalities.recommender.interactions import Interactions
from omnipatch.modalities.recommender.negatives import draw_negatives, draw_pairs
from recommender_kit import graphs, random_interactions


class TestDraws:
    @given(graphs(), st.integers(0, 9))
    def test_pairs_are_interactions(self, found, seed):
        user, item = draw_pairs(found, 50, np.random.default_rng(seed))
        assert set(zip(user, item, strict=True)) <= set(zip(found.user, found.indices, strict=True))

    @given(graphs(), st.integers(0, 9))
    def test_negatives_are_none(self, found, seed):
        users = np.flatnonzero((found.user_degree > 0) & (found.user_degree < found.n_items)).repeat(9)
        items = draw_negatives(found, users, np.random.default_rng(seed))
        taken = set(zip(found.user, found.indices, strict=True))
        assert not taken & set(zip(users, items, strict=True))

    def test_all_that_was_not_taken_is_as_likely(self):
        found = random_interactions(1, users=3, items=20, share=0.5)
        items = draw_negatives(found, np.zeros(20_000, int), np.random.default_rng(0))
        counts = np.bincount(items, minlength=20)
        free = found.matrix.toarray()[0] == 0
        assert (counts[~free] == 0).all()
        assert np.abs(counts[free] / (20_000 / free.sum()) - 1).max() < 0.15

    def test_every_user_is_as_likely(self):
        found = random_interactions(2, users=5, items=40, share=0.4)
        user, _ = draw_pairs(found, 20_000, np.random.default_rng(0))
        assert np.abs(np.bincount(user) / 4000 - 1).max() < 0.1

    def test_who_took_everything(self):
        found = Interactions.from_arrays(["ann", "ann", "bob"], [1, 2, 1])
        with pytest.raises(InputError, match=r"took every item.*got ann"):
            draw_negatives(found, np.array([1, 0]), np.random.default_rng(0))
