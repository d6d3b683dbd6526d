"""What a protocol may see: label subsets, hidden test labels, thinning, the layout of items beside windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from downstream_fakes import FakeStore
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.downstream.layout import ItemLayout
from omnipatch.core.downstream.records import per_decision
from omnipatch.core.downstream.targets import class_counts, class_weights
from omnipatch.core.downstream.trial import hide_labels, label_subset, subjects_kept, thin

STORE = FakeStore(subjects=20, windows=4)
ITEMS = STORE.items()
EVERY = np.arange(len(ITEMS))


def people(items, chosen):
    return set(np.unique(items.subject[chosen]).tolist())


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    small=st.floats(0.01, 1.0),
    large=st.floats(0.01, 1.0),
    judges=st.integers(0, 19),
)
def test_label_subsets_are_whole_subjects_and_nested(seed, small, large, judges):
    small, large = sorted((small, large))
    train, validation = (EVERY[ITEMS.subject >= judges], EVERY[ITEMS.subject < judges])
    few, many = (label_subset(ITEMS, train, validation, f, seed) for f in (small, large))
    for (learned, judged), fraction in ((few, small), (many, large)):
        assert set(learned) <= set(train)
        assert set(judged) <= set(validation)
        kept = people(ITEMS, learned) | people(ITEMS, judged)
        assert len(kept) == subjects_kept(20, fraction) == max(1, int(fraction * 20 + 0.5))
        assert len(learned)
        assert len(learned) + len(judged) == np.isin(ITEMS.subject, list(kept)).sum()
    assert set(few[0]) <= set(many[0])
    assert set(few[1]) <= set(many[1])


def test_a_tenth_of_five_people_is_one_of_them_though_one_is_for_validation():
    side = ITEMS.subject < 4
    train, validation = label_subset(ITEMS, EVERY[side], EVERY[ITEMS.subject == 4], 0.1, seed=0)
    assert len(people(ITEMS, train)) == 1
    assert not len(validation)


def test_a_subject_on_both_sides_is_one_and_stays_on_both():
    """A split by record or window puts everybody on both."""
    train, validation = label_subset(ITEMS, EVERY[::2], EVERY[1::2], 0.1, seed=0)
    assert people(ITEMS, train) == people(ITEMS, validation)
    assert len(people(ITEMS, train)) == 2


def test_different_seeds_pick_different_subjects():
    picks = {tuple(people(ITEMS, label_subset(ITEMS, EVERY, EVERY[:0], 0.2, seed)[0])) for seed in range(5)}
    assert len(picks) > 1


def test_few_subjects_hold_as_many_classes_as_possible():
    label = np.zeros(len(ITEMS), np.int64)
    label[np.flatnonzero(ITEMS.subject == 7)[0]] = 1
    label[np.flatnonzero(ITEMS.subject == 11)[0]] = 2
    rare = replace(ITEMS, label=label)
    for seed in range(5):
        chosen, _ = label_subset(rare, EVERY, EVERY[:0], 0.1, seed)
        assert {7, 11} == people(rare, chosen)


def test_hidden_labels_are_gone_in_the_copy_only():
    before = ITEMS.label.copy()
    hidden = hide_labels(ITEMS, np.array([0, 5]))
    assert (hidden.label[[0, 5]] == -1).all()
    assert (np.delete(hidden.label, [0, 5]) == np.delete(before, [0, 5])).all()
    assert (ITEMS.label == before).all()


@pytest.mark.parametrize("most", [10, 60, 10_000])
def test_thinned_items_stand_for_all_items(most):
    kept, stands_for = thin(ITEMS, EVERY, most, seed=0)
    assert len(np.unique(kept)) == len(kept)
    assert set(ITEMS.subject[kept]) == set(ITEMS.subject)
    for c in range(3):
        assert stands_for[ITEMS.label[kept] == c].sum() == pytest.approx((ITEMS.label == c).sum())
        assert (ITEMS.label[kept] == c).sum() <= max(most, 0) + 20  # at least one item a subject is kept


def test_class_weights_balance_what_they_say():
    label = np.array([0] * 90 + [1] * 9 + [-1] * 5)
    balanced, root = class_weights(label, 2, "balanced"), class_weights(label, 2, "sqrt")
    assert 90 * balanced[0] == pytest.approx(9 * balanced[1])
    assert root[1] / root[0] == pytest.approx(np.sqrt(10))
    assert (90 * root[0] + 9 * root[1]) / 99 == pytest.approx(1.0)
    assert (class_weights(label, 2, "none") == 1).all()
    assert class_counts(label, 3).tolist() == [90, 9, 0]


def test_a_vanishing_class_has_a_bounded_weight():
    weights = class_weights(np.array([0] * 100_000 + [1]), 3, "balanced")
    assert weights[1] / weights[0] == pytest.approx(1000, rel=0.01)
    assert np.isfinite(weights).all()


def test_every_chosen_item_is_laid_out_once_beside_its_window():
    chosen = np.random.default_rng(0).permutation(EVERY)[:137]
    layout = ItemLayout(ITEMS, chosen)
    seen = []
    for laid in layout.batches(STORE, 7):
        known = laid.item >= 0
        assert (known == laid.batch.events.valid).all()
        assert (laid.batch.events.label[~known] == -1).all()
        item = laid.item[known].numpy()
        np.testing.assert_array_equal(laid.batch.events.at[known], ITEMS.at[item])
        np.testing.assert_array_equal(laid.batch.events.features[known], ITEMS.features[item])
        window = laid.batch.window[known.nonzero()[:, 0]].numpy()
        np.testing.assert_array_equal(window, STORE.window_ids[ITEMS.window[item]])
        seen.append(item)
    assert sorted(np.concatenate(seen)) == sorted(chosen)


def test_training_batches_visit_every_window_each_epoch_in_an_order_of_its_own():
    layout = ItemLayout(ITEMS, EVERY)
    epochs = [np.concatenate([layout.random_rows(16, 3, e * 5 + s) for s in range(5)]) for e in range(2)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(80))
    assert (epochs[0] != epochs[1]).any()
    assert (layout.random_rows(16, 3, 7) == layout.random_rows(16, 3, 7)).all()


def test_scores_of_a_record_are_averaged():
    store = FakeStore(unit="record", subjects=3, windows=6)
    items = store.items()
    probability = np.random.default_rng(0).dirichlet(np.ones(3), len(items))
    label, mean, item = per_decision(items, np.arange(len(items)), probability)
    assert len(mean) == 6
    for row, first in enumerate(item):
        of_record = items.record == items.record[first]
        np.testing.assert_allclose(mean[row], probability[of_record].mean(0))
        assert label[row] == items.label[first]
