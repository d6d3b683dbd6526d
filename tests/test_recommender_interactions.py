"""Interactions: names and codes, repeated pairs, order, filters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omnipatch import InputError
from omnipatch.modalities.recommender.filters import at_least, compact, k_core
from omnipatch.modalities.recommender.interactions import Interactions
from omnipatch.modalities.recommender.names import sorted_names
from recommender_kit import graphs, random_interactions


def pairs(interactions):
    return set(zip(interactions.users[interactions.user], interactions.items[interactions.indices], strict=True))


class TestFromArrays:
    def test_names_and_numbers_are_the_same_thing(self):
        by_name = Interactions.from_arrays(["7", "10", "7"], ["b", "a", "a"])
        by_number = Interactions.from_arrays([7, 10, 7], np.array(["b", "a", "a"]))
        assert by_name.users.tolist() == by_number.users.tolist() == ["7", "10"]
        assert by_name.fingerprint == by_number.fingerprint
        assert pairs(by_name) == {("7", "b"), ("10", "a"), ("7", "a")}

    @given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=30), st.randoms())
    def test_the_order_of_rows_means_nothing(self, rows, random):
        shuffled = rows.copy()
        random.shuffle(shuffled)
        one, two = (Interactions.from_arrays(*zip(*r, strict=True)) for r in (rows, shuffled))
        assert one.fingerprint == two.fingerprint
        assert one.users.tolist() == two.users.tolist()
        assert len(one) + one.merged == len(rows)

    def test_the_last_of_a_repeated_pair_is_kept(self):
        found = Interactions.from_arrays([1, 1, 1], [5, 5, 6], rating=[3, 1, 2], time=[10, 20, 5])
        assert len(found) == 2
        assert found.merged == 1
        assert found.rating.tolist() == [1, 2]
        assert found.time.tolist() == [20, 5]
        assert found.items[found.history(0)].tolist() == ["6", "5"]

    def test_without_times_the_last_row_is_the_last(self):
        assert Interactions.from_arrays([1, 1], [5, 5], rating=[3, 1]).rating.tolist() == [1]

    @pytest.mark.parametrize(
        ("columns", "says"),
        [
            ({"users": [], "items": []}, "no interactions"),
            ({"users": [1, -2], "items": [1, 1]}, "negative user id.*got -2"),
            ({"users": [1.5, 2.0], "items": [1, 1]}, "not whole numbers"),
            ({"users": [1, 2], "items": [1]}, "differ in number"),
            ({"users": [1, 2], "items": [1, 1], "time": [0.0, np.nan]}, r"time is not a finite number.*time\[1\]"),
            ({"users": [1, 2], "items": [1, 1], "rating": [np.inf, 1]}, r"rating\[0\]"),
            ({"users": [1, 2], "items": [1, 1], "rating": [1]}, "field rating"),
        ],
    )
    def test_bad_input(self, columns, says):
        with pytest.raises(InputError, match=says):
            Interactions.from_arrays(**columns)

    def test_a_code_outside_its_table(self):
        with pytest.raises(InputError, match=r"unknown item id.*got 3.*0 to 2"):
            Interactions.from_codes(np.array([0]), np.array([3]), users=1, items=3)


class TestShape:
    @given(graphs())
    def test_matrix_and_degrees_agree(self, found):
        dense = found.matrix.toarray()
        assert dense.sum() == len(found)
        assert dense.sum(axis=1).tolist() == found.user_degree.tolist()
        assert dense.sum(axis=0).tolist() == found.item_degree.tolist()
        assert (np.diff(found.keys) > 0).all()

    def test_a_graph_of_one_user(self):
        found = Interactions.from_arrays(["me"], ["it"])
        assert found.matrix.shape == (1, 1)
        assert found.history(0).tolist() == [0]

    def test_history_needs_no_order_but_chronology_does(self):
        with pytest.raises(InputError, match="no order"):
            random_interactions(0).chronological()

    @given(graphs(time=True))
    def test_chronology_is_every_history_in_turn(self, found):
        whole = found.indices[found.chronological()].tolist()
        assert whole == [item for user in range(found.n_users) for item in found.history(user).tolist()]

    @given(graphs(time=True), st.randoms())
    def test_parts_add_up(self, found, random):
        chosen = np.array([random.random() < 0.5 for _ in range(len(found))])
        one, two = found.keep(chosen), found.keep(~chosen)
        assert len(one) == chosen.sum()
        if len(one) and len(two):
            both = one.add(two)
            assert both.fingerprint == found.fingerprint
            assert both.time.tolist() == found.time.tolist()


class TestNames:
    @given(st.lists(st.text("0123abc", min_size=1, max_size=4), min_size=1, unique=True))
    def test_codes_follow_names(self, names):
        table, new = sorted_names(np.array(names))
        assert sorted(table.tolist()) == sorted(names)
        assert [table[code] for code in new] == names

    def test_numbers_by_size_others_by_letter(self):
        assert sorted_names(np.array(["10", "9"]))[0].tolist() == ["9", "10"]
        assert sorted_names(np.array(["10", "9", "a"]))[0].tolist() == ["10", "9", "a"]
        assert sorted_names(np.array(["010", "9"]))[0].tolist() == ["010", "9"]


class TestFilters:
    @given(graphs(), st.integers(1, 3), st.integers(1, 3))
    def test_a_core_is_dense_enough_and_the_largest(self, found, users, items):
        try:
            core = k_core(found, users, items)
        except InputError:
            core = None
        # slow reference: throw out one at a time
        left = pairs(found)
        while True:
            weak = {
                (u, i) for u, i in left if sum(u == v for v, _ in left) < users or sum(i == j for _, j in left) < items
            }
            if not weak:
                break
            left -= weak
        assert (pairs(core) if core else set()) == left

    def test_threshold(self):
        found = Interactions.from_arrays([1, 1, 2], [1, 2, 1], rating=[5, 2, 4])
        good = at_least(found, 4)
        assert len(good) == 2
        assert good.rating is None
        assert good.n_items == found.n_items
        assert compact(good).items.tolist() == ["1"]
        with pytest.raises(InputError, match="at most 5"):
            at_least(found, 6)
        with pytest.raises(InputError, match="no ratings"):
            at_least(random_interactions(0), 3)
