"""Spectral positions: against exact decompositions, and what they may not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omnipatch import InputError
from omnipatch.core.blocks.propagation import normalised
from omnipatch.modalities.recommender.side_graphs import from_triples
from omnipatch.modalities.recommender.spectral import decompose, side_positions, spectrum_of
from recommender_kit import blocks_of_taste, graphs, random_interactions


class TestNormalised:
    @given(graphs())
    def test_entries_as_defined(self, found):
        dense = found.matrix.toarray()
        rows, columns = np.maximum(dense.sum(1), 1), np.maximum(dense.sum(0), 1)
        expected = dense / np.sqrt(rows[:, None] * columns)
        np.testing.assert_allclose(normalised(found.matrix).toarray(), expected, rtol=1e-5)

    @given(graphs())
    def test_its_norm_is_one(self, found):
        assert np.linalg.norm(normalised(found.matrix).toarray(), 2) == pytest.approx(1, abs=1e-5)


class TestSpectrum:
    def test_as_an_exact_decomposition(self):
        found = random_interactions(0, users=80, items=60, share=0.2)
        exact = np.linalg.svd(normalised(found.matrix).toarray())
        spectrum = spectrum_of(found, 10)
        np.testing.assert_allclose(spectrum.values, exact.S[:10], rtol=1e-3)
        projected = spectrum.items @ spectrum.items.T
        np.testing.assert_allclose(projected, exact.Vh[:10].T @ exact.Vh[:10], atol=0.02)
        np.testing.assert_allclose(spectrum.users @ np.diag(spectrum.values) @ spectrum.items.T,
                                   exact.U[:, :10] @ np.diag(exact.S[:10]) @ exact.Vh[:10], atol=5e-3)  # fmt: skip

    def test_signs_are_settled(self):
        found = random_interactions(1, users=80, items=60, share=0.2)
        one, two = (decompose(normalised(found.matrix), 5, seed=seed) for seed in (0, 1))
        np.testing.assert_allclose(one.items, two.items, atol=0.02)
        assert (one.items[np.abs(one.items).argmax(axis=0), np.arange(5)] > 0).all()

    @given(graphs(), st.integers(1, 12))
    def test_width_is_that_asked_for(self, found, rank):
        spectrum = spectrum_of(found, rank)
        assert spectrum.item_positions.shape == (found.n_items, rank)
        assert spectrum.user_positions.shape == (found.n_users, rank)
        assert np.isfinite(spectrum.items).all()
        assert (spectrum.values[min(found.n_users, found.n_items) :] == 0).all()

    def test_scale_does_not_depend_on_size(self):
        for items in (40, 90):
            positions = spectrum_of(random_interactions(2, users=50, items=items), 6).item_positions
            np.testing.assert_allclose((positions**2).mean(axis=0), 1, rtol=1e-3)

    def test_blocks_of_taste_lie_apart(self):
        found, of_user, of_item = blocks_of_taste()
        spectrum = spectrum_of(found, 4)
        for positions, block in ((spectrum.item_positions, of_item), (spectrum.user_positions, of_user)):
            gap = np.linalg.norm(positions[:, None, 1:] - positions[None, :, 1:], axis=2)
            nearest = (gap + 1e9 * np.eye(len(gap))).argmin(axis=1)
            assert (block[nearest] == block).mean() > 0.9

    def test_no_rank(self):
        with pytest.raises(InputError, match="no directions"):
            spectrum_of(random_interactions(0), 0)

    def test_kept_by_the_name_of_the_graph(self):
        shelf, made = {}, []

        def kept(kind, key, make):
            if (kind, key) not in shelf:
                made.append(key)
                shelf[kind, key] = make()
            return shelf[kind, key]

        found = random_interactions(3)
        one = spectrum_of(found, 4, kept=kept)
        again = spectrum_of(random_interactions(3), 4, kept=kept)
        assert one.items is again.items
        spectrum_of(random_interactions(4), 4, kept=kept)
        spectrum_of(found, 5, kept=kept)
        assert len(made) == 3
        assert all(key.startswith((found.fingerprint, random_interactions(4).fingerprint)) for key in made)


class TestSides:
    def graph(self, small=0):
        """Items 0 to 19 of one genre, 20 to 39 of another, 40 of none; `small` pairs of items share a person."""
        triples = [(str(i), "genre", "drama" if i < 20 else "comedy") for i in range(40)]
        triples += [(str(i), "actor", f"someone{j}") for j in range(small) for i in (2 * j, 2 * j + 1)]
        return from_triples(triples, np.arange(41).astype(str))

    def test_what_shares_facts_lies_together(self):
        found = side_positions(self.graph(), 2)
        assert found.shape == (41, 2)
        inside = np.linalg.norm(found[:20] - found[:20].mean(axis=0), axis=1).max()
        between = np.linalg.norm(found[:20].mean(axis=0) - found[20:40].mean(axis=0))
        assert between > 10 * inside

    def test_without_facts_there_is_no_place(self):
        assert not side_positions(self.graph(), 2)[40].any()

    def test_small_components_claim_no_direction(self):
        """Many pairs that are linked to nothing else, beside two large groups: the groups come first."""
        rng = np.random.default_rng(0)
        triples = [(str(i), "r", f"big{int(i >= 50)}-{rng.integers(0, 8)}") for i in range(100) for _ in range(4)]
        triples += [(str(100 + i), "r", f"small{i // 2}") for i in range(60)]
        found = side_positions(from_triples(triples, np.arange(160).astype(str)), 2)
        assert np.abs(found[:100]).mean() > 3 * np.abs(found[100:]).mean()
