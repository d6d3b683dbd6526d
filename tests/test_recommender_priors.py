"""Priors against their formulas on small dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omnipatch import InputError
from omnipatch.modalities.recommender.evaluation import evaluate
from omnipatch.modalities.recommender.priors import (
    PRIORS,
    Bspm,
    Ease,
    GfCf,
    ItemKnn,
    LowPass,
    Popularity,
    item_graph,
)
from omnipatch.modalities.recommender.splits import split_interactions
from recommender_kit import blocks_of_taste, graphs, random_interactions
from scipy import sparse


def everybody(found):
    return np.arange(found.n_users)


def with_history(found):
    return found.user_degree > 0


class TestFormulas:
    """Each on every graph, empty users and items included."""

    @given(graphs())
    def test_popularity(self, found):
        scores = Popularity().fit(found)(everybody(found))
        assert (scores == found.item_degree).all()

    @given(graphs(), st.integers(1, 12), st.sampled_from([0.0, 5.0]))
    def test_item_knn(self, found, neighbours, shrink):
        dense = found.matrix.toarray().astype(np.float64)
        together, degree = dense.T @ dense, dense.sum(axis=0)
        scale = np.sqrt(np.outer(degree, degree)) + shrink
        similar = np.divide(together, scale, out=np.zeros_like(together), where=scale > 0)
        np.fill_diagonal(similar, 0)
        if neighbours < found.n_items:  # ties at the edge may fall either way
            least = -np.sort(-similar, axis=1)[:, neighbours - 1 : neighbours + 1]
            if (np.diff(least, axis=1) == 0).any():
                return
            similar[similar < least[:, :1]] = 0
        scores = ItemKnn(neighbours, shrink).fit(found)(everybody(found))
        np.testing.assert_allclose(scores[with_history(found)], (dense @ similar.T)[with_history(found)], atol=1e-5)

    @given(graphs(), st.sampled_from([0.0, 0.5]))
    def test_low_pass_of_all_directions_is_the_history(self, found, popularity):
        scores = LowPass(rank=9, popularity=popularity).fit(found)(everybody(found))
        degree = np.maximum(found.item_degree, 1).astype(np.float64)
        expected = found.matrix.toarray() * degree ** (popularity - 0.5)
        np.testing.assert_allclose(scores[with_history(found)], expected[with_history(found)], atol=1e-3)

    @given(graphs(), st.sampled_from([0.0, 0.3]))
    def test_gf_cf(self, found, weight):
        dense = found.matrix.toarray().astype(np.float64)
        operator = dense / np.sqrt(np.maximum(dense.sum(1), 1)[:, None] * np.maximum(dense.sum(0), 1))
        expected = dense @ (operator.T @ operator) + weight * dense
        scores = GfCf(rank=9, weight=weight).fit(found)(everybody(found))
        np.testing.assert_allclose(scores[with_history(found)], expected[with_history(found)], atol=1e-3)

    @given(graphs(), st.sampled_from([0.0, 0.7]))
    def test_bspm_is_gf_cf_against_its_own_blur(self, found, step):
        dense = found.matrix.toarray().astype(np.float64)
        operator = dense / np.sqrt(np.maximum(dense.sum(1), 1)[:, None] * np.maximum(dense.sum(0), 1))
        blurred = GfCf(rank=9, weight=0.3).fit(found)(everybody(found)).astype(np.float64)
        scores = Bspm(rank=9, weight=0.3, sharpening=step).fit(found)(everybody(found))
        expected = blurred - step * blurred @ (operator.T @ operator)
        np.testing.assert_allclose(scores[with_history(found)], expected[with_history(found)], atol=1e-3)

    @given(graphs(), st.sampled_from([0.5, 100.0]))
    def test_ease_is_a_ridge_regression_of_each_item_on_the_others(self, found, penalty):
        dense = found.matrix.toarray().astype(np.float64)
        scores = Ease(penalty).fit(found)(everybody(found))
        for item in range(found.n_items):
            others = np.delete(dense, item, axis=1)
            gram = others.T @ others + penalty * np.eye(others.shape[1])
            weights = np.linalg.solve(gram, others.T @ dense[:, item])
            kept = with_history(found)
            np.testing.assert_allclose(scores[kept, item], (others @ weights)[kept], atol=1e-4)

    @given(graphs(), st.sampled_from(sorted(PRIORS)))
    def test_without_a_history_the_most_popular(self, found, name):
        scores = PRIORS[name]().fit(found).of_histories(sparse.csr_matrix((2, found.n_items), dtype=np.float32))
        assert (scores == found.item_degree).all()

    def test_all_forms_of_an_item_graph(self, monkeypatch):
        found = random_interactions(0, users=40, items=30, share=0.1)
        rows = found.matrix[:7]
        expected = rows.toarray() @ (found.matrix.T @ found.matrix).toarray()
        for most, dense in ((2**30, 0.0), (2**30, 2.0), (0, 0.0)):
            monkeypatch.setattr(item_graph, "_MOST_BYTES", most)
            monkeypatch.setattr(item_graph, "_DENSE", dense)
            graph = item_graph.ItemGraph(found.matrix)
            np.testing.assert_allclose(graph.of(rows), expected, rtol=1e-6)
            np.testing.assert_allclose(graph.of_scores(rows.toarray()), expected, rtol=1e-6)


class TestUse:
    def test_somebody_new_is_served_like_somebody_known(self):
        found, *_ = blocks_of_taste()
        for kind in PRIORS.values():
            scorer = kind().fit(found)
            np.testing.assert_allclose(scorer.of_histories(found.matrix[3:5]), scorer(np.array([3, 4])), rtol=1e-5)

    def test_taste_beats_popularity(self):
        split = split_interactions(blocks_of_taste(users=200)[0])
        known = split.everything_but_test
        recall = {}
        for name, kind in PRIORS.items():
            options = {"rank": 4} if name in ("svd-low-pass", "gf-cf", "bspm") else {}
            recall[name] = evaluate(kind(**options).fit(known), known, split.test, ks=(10,))["recall@10"]
        assert min(value for name, value in recall.items() if name != "popularity") > 1.5 * recall["popularity"]

    @pytest.mark.parametrize(
        ("make", "says"),
        [
            (lambda: ItemKnn(0), "neighbours >= 1"),
            (lambda: Ease(0.0), "needs a penalty"),
            (lambda: LowPass(rank=8, computed=4), "fewer directions"),
            (lambda: Ease(most_items=3).fit(random_interactions(0)), "too many items for ease, got 15"),
        ],
    )
    def test_refused(self, make, says):
        with pytest.raises(InputError, match=says):
            make()


class TestGrids:
    @pytest.mark.parametrize("kind", PRIORS.values(), ids=list(PRIORS))
    def test_every_grid_is_of_options_there_are(self, kind):
        for options in kind.grid:
            kind(**options)
