"""Splits never share a group, cover everything once, and refuse what would leak."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from data_kit import Toy, list_npz, write_corpus
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.config import SplitConfig
from omnipatch.core.data.items import Items
from omnipatch.core.data.splits import Split, make_splits
from omnipatch.core.data.store import WindowStore
from omnipatch.core.errors import InputError, SplitError

SIDES = ("train", "validation", "test")


class FakeStore(SimpleNamespace):
    asked_side = None  # nothing is ranked

    def __len__(self):
        return len(self.subject_code)


def store_of(subject, label=None, sides=None, site=None, folds=None):
    """The part of a store that splitting looks at; one record a subject, one item a window."""
    subject = np.asarray(subject, np.int64)
    site = subject % 3 if site is None else np.asarray(site)
    store = FakeStore(
        subject_code=subject, record_code=np.arange(len(subject)), site_code=site,
        subjects=tuple(f"s{i}" for i in range(subject.max() + 1)),
        sites=tuple(f"site{i}" for i in range(site.max() + 1)),
        records=tuple(f"r{i}" for i in range(len(subject))), window_ids=np.arange(len(subject)) + 1000,
        fixed_split=np.array([""] * len(subject) if sides is None else sides, dtype="<U10"),
        fixed_fold=np.full(len(subject), -1) if folds is None else np.asarray(folds),
    )  # fmt: skip

    def items():
        if label is None:
            raise InputError("these recordings have no labels")
        codes = np.asarray(label)
        window = np.flatnonzero(codes >= 0 if codes.ndim == 1 else ~np.isnan(codes).any(1))
        none = np.empty((len(window), 0), np.float32)
        return Items(
            window, np.zeros(len(window)), codes[window], none, none, subject[window], window, "window", ("a", "b", "c")
        )

    store.items = items
    return store


@st.composite
def corpora(draw):
    groups = draw(st.integers(3, 12))
    sizes = draw(st.lists(st.integers(1, 6), min_size=groups, max_size=groups))
    subject = np.repeat(np.arange(groups), sizes)
    label = draw(st.lists(st.integers(-1, 2), min_size=len(subject), max_size=len(subject)))
    return store_of(subject, draw(st.sampled_from([label, None])))


def assert_partition(split: Split, store) -> None:
    windows = [split.windows(store, side) for side in SIDES]
    assert sorted(np.concatenate(windows).tolist()) == list(range(len(store))), "each window on exactly one side"
    subjects = [set(store.subject_code[w].tolist()) for w in windows]
    assert all(subjects)
    assert sum(map(len, subjects)) == len(set().union(*subjects)), "each subject on exactly one side"


@settings(deadline=None, max_examples=150)
@given(corpora(), st.floats(0.05, 0.9), st.floats(0.05, 0.9), st.integers(0, 99))
def test_holdout_is_a_partition_by_subject(store, test, validation, seed):
    config = SplitConfig(kind="holdout", test_fraction=test, validation_fraction=validation, seed=seed)
    try:
        (split,) = make_splits(store, config)
    except SplitError as error:
        if "too few training groups" in str(error):  # nothing left to set aside for validation
            return
        raise
    assert_partition(split, store)
    expected = np.clip(round(len(store.subjects) * test), 1, len(store.subjects) - 1)
    assert len(split.test) == expected
    assert make_splits(store, config) == [split], "a split is a function of its seed"


@settings(deadline=None, max_examples=150)
@given(corpora(), st.integers(2, 5), st.integers(0, 99))
def test_folds_test_every_subject_once(store, folds, seed):
    config = SplitConfig(kind="kfold", folds=folds, seed=seed)
    if len(store.subjects) < max(folds, 3):
        with pytest.raises(SplitError, match="too few groups"):
            make_splits(store, config)
        return
    try:
        splits = make_splits(store, config)
    except SplitError as error:
        if "too few training groups" in str(error):  # nothing left to set aside for validation
            return
        raise
    assert [split.fold for split in splits] == list(range(folds))
    for split in splits:
        assert_partition(split, store)
    tested = [name for split in splits for name in split.test]
    assert sorted(tested) == sorted(store.subjects)


@settings(deadline=None, max_examples=50)
@given(corpora(), st.integers(3, 8))
def test_usual_folds_are_taken_where_nothing_else_is_asked(store, usual):
    if len(store.subjects) < 5:
        return
    splits = make_splits(store, SplitConfig(), usual)
    assert len(splits) == min(usual, len(store.subjects))
    assert sorted(name for split in splits for name in split.test) == sorted(store.subjects)
    assert len(make_splits(store, SplitConfig(kind="holdout"), usual)) == 1
    assert len(make_splits(store, SplitConfig(kind="kfold", folds=3), usual)) == 3


@settings(deadline=None, max_examples=50)
@given(st.data(), st.sampled_from([0, 3, 5]))
def test_fixed_folds_are_taken_as_they_are(data, usual):
    of_subject = np.array(data.draw(st.lists(st.integers(0, 3), min_size=5, max_size=12))) * 2
    subject = np.repeat(np.arange(len(of_subject)), 2)
    store = store_of(subject, subject % 3, folds=of_subject[subject])
    splits = make_splits(store, SplitConfig(validation_fraction=0), usual)
    numbers = np.unique(of_subject)
    if len(numbers) < 2:  # everybody in one fold is no division
        assert len(splits) == (min(usual, len(of_subject)) or 1)
        return
    assert [split.kind for split in splits] == ["kfold"] * len(numbers)
    found = [{f"s{i}" for i in np.flatnonzero(of_subject == number)} for number in numbers]
    assert [split.test for split in splits] == found
    assert len(make_splits(store, SplitConfig(kind="holdout"), usual)) == 1, "a recipe that names a split wins"


def test_fixed_folds_that_are_not_whole_are_refused_or_left_alone():
    subject = np.repeat(np.arange(6), 2)
    with pytest.raises(SplitError, match=r"in two folds.*'s0'"):
        make_splits(store_of(subject, folds=[0, 1, *subject[2:] % 2]), SplitConfig())
    (split,) = make_splits(store_of(subject, folds=[-1, -1, *subject[2:] % 2]), SplitConfig())
    assert split.kind == "holdout"
    sided = store_of(subject, sides=np.where(subject < 4, "train", "test"), folds=subject % 2)
    assert [split.kind for split in make_splits(sided, SplitConfig())] == ["official"]


@settings(deadline=None, max_examples=100)
@given(st.data(), st.integers(0, 99))
def test_official_sides_are_kept(data, seed):
    groups = data.draw(st.integers(4, 10))
    drawn = data.draw(st.lists(st.sampled_from(SIDES), min_size=groups - 3, max_size=groups - 3))
    sides = np.array(["train", "train", "test", *drawn])
    subject = np.repeat(np.arange(groups), 2)
    store = store_of(subject, subject % 2, sides[subject])
    (split,) = make_splits(store, SplitConfig(seed=seed))
    assert split.kind == "official"
    assert_partition(split, store)
    assert split.test == {f"s{i}" for i in np.flatnonzero(sides == "test")}
    if "validation" in sides:
        assert split.validation == {f"s{i}" for i in np.flatnonzero(sides == "validation")}
    else:
        assert split.validation, "a validation part is cut from the training groups"


def test_unknown_subjects_are_refused_and_records_are_stamped():
    store = store_of([0, 1, 2, 3, 4])
    store.subject_code = np.array([0, 1, 2, -1, -1])
    with pytest.raises(SplitError, match=r"no subject is known for 2 of 5 records.*--split\.group record"):
        make_splits(store, SplitConfig())
    (split,) = make_splits(store, SplitConfig(group="record"))
    assert "not by subject" in split.stamp
    assert make_splits(store_of([0, 1, 2, 3]), SplitConfig())[0].stamp == ""


def test_official_split_with_a_subject_on_both_sides_is_refused():
    store = store_of([0, 0, 1, 2], sides=["train", "test", "train", "test"])
    with pytest.raises(SplitError, match=r"subject on both sides.*'s0'"):
        make_splits(store, SplitConfig())


@pytest.mark.parametrize(
    ("subjects", "config", "words"),
    [
        ([0, 1], SplitConfig(kind="holdout"), "too few groups for a holdout"),
        ([0, 1], SplitConfig(), "too few groups for a holdout split"),
        ([0, 1, 2], SplitConfig(kind="kfold", folds=5), "too few groups for a kfold.*3 subjects"),
        ([0, 1, 2], SplitConfig(kind="official"), "no official split"),
        ([0, 1, 2], SplitConfig(kind="holdout", test_fraction=1.5), "between 0 and 1"),
        ([0, 1, 2], SplitConfig(kind="holdout", test_fraction=0.7), "too few training groups"),
        ([0, 1, 2], SplitConfig(kind="kfold", folds=1), "needs folds"),
    ],
)
def test_impossible_splits_are_one_sentence(subjects, config, words):
    with pytest.raises(SplitError, match=words):
        make_splits(store_of(subjects), config)


def test_a_share_that_official_sides_would_silently_overrule_is_refused():
    store = store_of([0, 1, 2, 3], sides=["train", "train", "train", "test"])
    with pytest.raises(SplitError, match=r"no effect.*auto, which is official here.*add --split\.kind holdout"):
        make_splits(store, SplitConfig(test_fraction=0.5))
    (split,) = make_splits(store, SplitConfig(kind="holdout", test_fraction=0.5))
    assert len(split.test) == 2


def test_test_groups_are_pretrained_on_only_by_name():
    sides = ["", "", "", "", "", "pretrain", "pretrain"]
    store = store_of([0, 1, 2, 3, 4, 5, -1], sides=sides)
    store.sites, store.site_code = (), np.full(7, -1)
    (split,) = make_splits(store, SplitConfig(kind="holdout"))
    everyone = {*split.train, *split.validation, *split.test}
    assert everyone == {f"s{i}" for i in range(5)}, "additions without labels are on no side"
    pretrain = set(split.windows(store, "pretrain").tolist())
    assert pretrain == set(range(7)) - set(split.windows(store, "test").tolist())
    assert not any(set(split.windows(store, side).tolist()) & {5, 6} for side in SIDES)

    (asked,) = make_splits(store, SplitConfig(kind="holdout", pretrain_on_test=True))
    assert set(asked.windows(store, "pretrain").tolist()) == set(range(7))
    assert "pretrained on the signals of the test side" in asked.stamp


def test_holdout_balances_labels():
    """One rare class in few subjects: both sides get some of it."""
    subject = np.repeat(np.arange(20), 10)
    label = np.where((subject % 5 == 0) & (np.arange(200) % 10 < 3), 1, 0)
    for seed in range(20):
        store = store_of(subject, label)
        (split,) = make_splits(store, SplitConfig(kind="holdout", seed=seed))
        share = [label[split.windows(store, side)].sum() / label.sum() for side in ("train", "test")]
        assert min(share) > 0


def test_multilabel_and_sites():
    rng = np.random.default_rng(0)
    label = (rng.random((60, 3)) < [0.5, 0.3, 0.05]).astype(np.float32)
    label[:5] = np.nan
    store = store_of(np.repeat(np.arange(12), 5), label)
    for split in make_splits(store, SplitConfig(kind="kfold", folds=3)):
        assert_partition(split, store)
        items = store.items()
        chosen = [split.items(items, store, side) for side in SIDES]
        assert sum(map(len, chosen)) == len(items)
        assert set(items.window[chosen[2]]) <= set(split.windows(store, "test"))
    store = store_of(np.arange(12), site=np.arange(12) // 3)
    (split,) = make_splits(store, SplitConfig(group="site", kind="holdout"))
    assert len(split.test) == 1
    assert split.stamp == ""


def test_a_leaking_split_cannot_be_built():
    with pytest.raises(SplitError, match="two sides"):
        Split(frozenset("ab"), frozenset("b"), frozenset("c"), "holdout", "subject")


def test_on_a_real_store_and_as_json(tmp_path):
    sources = write_corpus(tmp_path / "corpus", 8)
    (tmp_path / "corpus" / "test.txt").write_text("r1 r5")
    assert len(sources) == 8
    store = WindowStore.prepare(Toy(), list_npz(tmp_path / "corpus"), "beats", tmp_path / "cache")
    (split,) = make_splits(store, SplitConfig())
    assert split.test == {"s1", "s5"}
    assert_partition(split, store)
    plain = split.to_json()
    assert plain["test"] == ["s1", "s5"]
    assert plain["kind"] == "official"
    assert make_splits(store, SplitConfig(), 3) == [split], "official sides come before usual folds"
    assert len(make_splits(store, SplitConfig(kind="kfold", folds=4))) == 4
    with pytest.raises(InputError, match="did you mean 'test'"):
        split.windows(store, "tests")
