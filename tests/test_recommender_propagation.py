"""Propagation against dense products, and drawn pairs against the interactions they come from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omnipatch import InputError
from omnipatch.modalities.recommender.interactions import Interactions
from omnipatch.modalities.recommender.negatives import draw_negatives, draw_pairs
from omnipatch.modalities.recommender.propagation import Propagation
from omnipatch.modalities.recommender.spectral import normalised
from recommender_kit import graphs, random_interactions


def dense_propagation(found, users, items, layers):
    """One symmetric matrix of users and items, mean over its powers."""
    half = torch.from_numpy(normalised(found.matrix).toarray())
    n, m = half.shape
    whole = torch.zeros(n + m, n + m)
    whole[:n, n:], whole[n:, :n] = half, half.T
    x = torch.cat([users, items])
    powers = [x]
    for _ in range(layers):
        powers.append(whole @ powers[-1])
    mean = torch.stack(powers).mean(dim=0)
    return mean[:n], mean[n:]


class TestPropagation:
    @given(graphs(), st.integers(0, 3))
    def test_as_with_one_dense_matrix(self, found, layers):
        generator = torch.Generator().manual_seed(0)
        users, items = (torch.randn(n, 4, generator=generator, requires_grad=True) for n in found.matrix.shape)
        ours, expected = Propagation(found, layers)(users, items), dense_propagation(found, users, items, layers)
        for one, other in zip(ours, expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
        weight = [torch.randn(x.shape, generator=generator) for x in ours]
        for made in (ours, expected):
            sum((x * w).sum() for x, w in zip(made, weight, strict=True)).backward()
        gradients = [x.grad.clone() for x in (users, items)]
        users.grad = items.grad = None
        ours = Propagation(found, layers)(users, items)
        sum((x * w).sum() for x, w in zip(ours, weight, strict=True)).backward()
        for both, one in zip(gradients, (users, items), strict=True):
            torch.testing.assert_close(both, 2 * one.grad, atol=1e-5, rtol=1e-4)

    def test_the_graph_is_no_weight(self):
        module = Propagation(random_interactions(0))
        assert not list(module.parameters())
        assert not module.state_dict()


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
