"""Windows read in part: what a step takes of a long history."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from data_kit import Toy, write_corpus
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch import InputError
from omnipatch.core.data.loader import StepLoader
from omnipatch.core.data.partial import PartialWindows
from omnipatch.core.data.store import WindowStore
from omnipatch.modalities.recommender import Recommender


class Lists:
    """A store of lists of ids. kinds: of each window's patches, 0 = of the row itself."""

    has_more_than_patches = False

    def __init__(self, kinds):
        self._kinds = [np.asarray(own) for own in kinds]
        self.lengths = np.array([len(own) for own in kinds])
        self.spec = type("Spec", (), {"vocabulary": (9, 9), "kind_columns": (0, 1)})

    def __len__(self):
        return len(self.lengths)

    def kinds(self):
        return np.concatenate(self._kinds)


windows = st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=12), min_size=1, max_size=6)


@settings(deadline=None, max_examples=200)
@given(windows, st.integers(1, 6), st.integers(0, 20))
def test_some_content_and_everything_else_in_order(kinds, most, step):
    part = PartialWindows(Lists(kinds), most, 0)
    drawn = part.positions(np.arange(len(kinds)), step)
    for own, row, length in zip(kinds, drawn, part.lengths(), strict=True):
        taken = row[row >= 0]
        content = [p for p in taken if own[p] == 0]
        assert len(taken) == len(set(taken)) == length
        assert len(content) == min(most, own.count(0))
        assert content == sorted(content)
        assert {p for p in taken if own[p]} == {i for i, kind in enumerate(own) if kind}


@pytest.mark.parametrize(("length", "most"), [(5, 2), (7, 3), (12, 8), (9, 9), (3, 8)])
def test_every_patch_has_the_same_odds(length, most):
    part, steps = PartialWindows(Lists([[1], [0] * length]), most, 0), 6000
    seen = np.zeros(length)
    for step in range(steps):
        row = part.positions(np.array([1]), step)[0]
        seen[row[row >= 0]] += 1
    assert seen / steps == pytest.approx(min(most, length) / length, abs=0.03)


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    modality = Recommender()
    sources = modality.demo(seed=0)
    modality = modality.fitted(sources)
    return WindowStore.prepare(modality, sources, "items", tmp_path_factory.mktemp("market"))


def loader(store, **options):
    return StepLoader(store, np.arange(len(store)), 16, 0, length_buckets=1, most_patches=4, **options)


def ids_of(batch):
    return [sorted(row[valid].tolist()) for row, valid in zip(batch.ids[..., 0], batch.content, strict=True)]


def test_a_step_reads_parts_of_the_windows_it_would_have_read_whole(market):
    whole = StepLoader(market, np.arange(len(market)), 16, 0, length_buckets=1)
    for part, all_of_it in itertools.islice(zip(loader(market), whole, strict=False), 5):
        assert torch.equal(part.window, all_of_it.window)
        for some, every in zip(ids_of(part), ids_of(all_of_it), strict=True):
            assert len(some) == min(4, len(every))
            assert set(some) <= set(every)


def test_resumed_and_shared_by_ranks_alike(market):
    unbroken = list(itertools.islice(loader(market), 6))
    resumed = next(iter(loader(market, start_step=5)))
    ranks = [next(iter(loader(market, start_step=5, rank=rank, world_size=2))) for rank in (0, 1)]
    assert ids_of(unbroken[5]) == ids_of(resumed) == ids_of(ranks[0]) + ids_of(ranks[1])
    assert ids_of(unbroken[5]) != ids_of(unbroken[4])


def test_the_same_window_shows_another_part_in_another_step(market):
    part = PartialWindows(market, 2, 0)
    longest = np.array([int(np.argmax(market.lengths))])
    assert len({tuple(part.positions(longest, step)[0].tolist()) for step in range(10)}) > 1


def test_windows_of_values_are_read_whole(tmp_path):
    modality, sources = Toy(), write_corpus(tmp_path / "corpus")
    store = WindowStore.prepare(modality, sources, None, tmp_path / "cache")
    with pytest.raises(InputError, match=r"trainer\.most_patches"):
        StepLoader(store, np.arange(len(store)), 2, 0, most_patches=3)
