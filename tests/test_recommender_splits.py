"""Splits of interactions, and what they let slip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from omnipatch import InputError
from omnipatch.modalities.recommender.interactions import Interactions
from omnipatch.modalities.recommender.leaks import leak_report
from omnipatch.modalities.recommender.splits import (
    InteractionSplit,
    given_split,
    hold_out_random,
    split_interactions,
    without_overlap,
)
from recommender_kit import graphs, random_interactions


def parts(split):
    return split.train, split.validation, split.test


class TestEveryKind:
    @given(graphs(time=True), st.sampled_from(["random", "leave-one-out", "time"]), st.integers(0, 3))
    def test_parts_are_disjoint_and_nothing_is_lost(self, found, kind, seed):
        try:
            split = split_interactions(found, kind, test=0.3, validation=0.2, seed=seed)
        except InputError as error:
            assume("no interaction is left" not in str(error))
            raise
        keys = np.concatenate([part.keys for part in parts(split)])
        assert sorted(keys) == found.keys.tolist()
        assert split.everything_but_test.fingerprint == split.train.add(split.validation).fingerprint

    def test_unknown_kind(self):
        with pytest.raises(InputError, match="did you mean 'random'"):
            split_interactions(random_interactions(0), "randon")

    def test_shares_that_leave_nothing(self):
        with pytest.raises(InputError, match="nothing to learn"):
            split_interactions(random_interactions(0), test=0.6, validation=0.4)

    def test_a_single_user_with_one_item(self):
        with pytest.raises(InputError, match="no interaction is left"):
            split_interactions(Interactions.from_arrays([1], [1]))


class TestRandom:
    def test_shares_of_each_user(self):
        found = random_interactions(1, users=30, items=100, share=0.4)
        kept, out = hold_out_random(found, 0.25, seed=3)
        assert np.abs(out.user_degree - 0.25 * found.user_degree).max() <= 0.5
        assert kept.user_degree.min() >= 1
        assert hold_out_random(found, 0.25, seed=3)[1].fingerprint == out.fingerprint
        assert hold_out_random(found, 0.25, seed=4)[1].fingerprint != out.fingerprint

    @given(graphs(), st.floats(0.01, 0.99))
    def test_somebody_with_items_keeps_one(self, found, share):
        kept, _ = hold_out_random(found, share, seed=0)
        assert ((kept.user_degree > 0) == (found.user_degree > 0)).all()


class TestInTime:
    def test_leave_one_out_takes_the_last(self):
        found = Interactions.from_arrays([1] * 4 + [2] * 2, [5, 6, 7, 8, 5, 6], time=[4, 3, 2, 1, 1, 2])
        split = split_interactions(found, "leave-one-out")
        assert split.test.items[split.test.indices].tolist() == ["5", "6"]
        assert split.validation.items[split.validation.indices].tolist() == ["6"]  # the second user has no third
        assert split.train.user_degree.tolist() == [2, 1]

    def test_places_are_an_order_too(self):
        found = Interactions.from_arrays([1] * 3, [5, 6, 7], place=[2, 0, 1])
        split = split_interactions(found, "leave-one-out")
        assert split.test.items[split.test.indices].tolist() == ["5"]
        with pytest.raises(InputError, match="one date for all needs times"):
            split_interactions(found, "time")

    def test_one_date_for_all(self):
        found = random_interactions(2, users=40, items=40, time=True)
        split = split_interactions(found, "time", test=0.2, validation=0.2)
        assert split.train.time.max() < split.validation.time.min()
        assert split.validation.time.max() < split.test.time.min()
        assert 0.1 < len(split.test) / len(found) <= 0.2


class TestGiven:
    def test_validation_is_cut_from_train(self):
        whole = random_interactions(3, users=30, items=60)
        train, test = hold_out_random(whole, 0.2, seed=0)
        split = given_split(train, test)
        assert split.test is test
        assert "cut from train" in split.note
        assert split.everything_but_test.fingerprint == train.fingerprint

    def test_the_authors_validation_is_taken(self):
        train, test = hold_out_random(random_interactions(3), 0.3, seed=0)
        train, validation = hold_out_random(train, 0.3, seed=0)
        assert given_split(train, test, validation).validation is validation

    def test_an_overlap_is_refused_and_can_be_removed(self):
        whole = random_interactions(4)
        train, test = hold_out_random(whole, 0.3, seed=0)
        with pytest.raises(InputError, match=f"got {len(test)} pairs.*drop_overlap"):
            given_split(whole, test)
        again = without_overlap(train, whole)[0]
        assert again.fingerprint == test.fingerprint

    def test_other_tables_of_names(self):
        with pytest.raises(InputError, match="read them together"):
            given_split(random_interactions(0, users=5), random_interactions(0, users=6))


class TestLeaks:
    def test_a_cut_in_time_has_none(self):
        found = random_interactions(5, users=60, items=20, share=0.6, time=True)
        report = leak_report(split_interactions(found, "time"))
        assert (report.overlap, report.later, report.late_users) == (0, 0.0, 0.0)

    def test_a_random_one_knows_the_future(self):
        found = random_interactions(5, users=60, items=20, share=0.6, time=True)
        report = leak_report(split_interactions(found, "random"))
        assert 0.4 < report.later < 0.6
        assert report.late_users > 0.9
        assert any("later" in sentence for sentence in report.sentences())

    def test_numbers_by_hand(self):
        def made(user, item, time):
            return Interactions.from_codes(np.array(user), np.array(item), users=4, items=5, time=time)

        split = InteractionSplit(
            train=made([0, 0, 1], [0, 1, 0], [1, 9, 2]), validation=made([1], [1], [3]),
            test=made([0, 2], [4, 0], [5, 6]), kind="given",
        )  # fmt: skip
        report = leak_report(split)
        assert report.later == pytest.approx(1 / 4)
        assert report.late_users == 0.5
        assert (report.cold_users, report.cold_items, report.cold_pairs) == (1, 1, 0.5)
        assert len(report.sentences()) == 4

    def test_overlap_and_repeats_are_counted(self):
        whole = Interactions.from_arrays([0, 0, 0, 1], [0, 0, 1, 1])
        report = leak_report(InteractionSplit(whole, whole, whole, "given"))
        assert report.overlap == 6
        assert report.merged == 3
        assert report.later is None
