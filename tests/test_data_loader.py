"""StepLoader: step n is step n, whoever asks, whenever, on however many ranks."""

from __future__ import annotations

import itertools
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from data_kit import Toy, write_corpus
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch import InputError
from omnipatch.core.data.loader import StepLoader
from omnipatch.core.data.store import WindowStore


class Index:
    """A store whose batches are the indices asked for."""

    def __init__(self, lengths):
        self.lengths = np.asarray(lengths)

    def batch(self, indices):
        return np.asarray(indices).tolist()


def take(loader, count):
    return list(itertools.islice(loader, count))


corpora = st.lists(st.integers(1, 40), min_size=1, max_size=60)


@settings(deadline=None, max_examples=100)
@given(corpora, st.integers(1, 12), st.integers(0, 50), st.integers(0, 40))
def test_resuming_at_any_step_gives_the_same_stream(lengths, batch, seed, start):
    store, windows = Index(lengths), np.arange(len(lengths))
    unbroken = take(StepLoader(store, windows, batch, seed, prefetch=0), start + 5)
    resumed = take(StepLoader(store, windows, batch, seed, start_step=start, prefetch=0), 5)
    assert resumed == unbroken[start:]


@settings(deadline=None, max_examples=100)
@given(corpora, st.integers(1, 12), st.integers(0, 50))
def test_an_epoch_visits_every_window_at_most_once(lengths, batch, seed):
    loader = StepLoader(Index(lengths), np.arange(len(lengths)), batch, seed, prefetch=0)
    for epoch in range(3):
        steps = [loader.indices(epoch * loader.steps_per_epoch + i) for i in range(loader.steps_per_epoch)]
        seen = np.concatenate(steps).tolist()
        assert len(seen) == len(set(seen))
        assert len(lengths) - len(seen) < loader.batch_size, "only an incomplete batch is left out"
        assert {len(step) for step in steps} == {min(batch, len(lengths))}


@settings(deadline=None, max_examples=60)
@given(corpora.filter(lambda c: len(c) >= 4), st.sampled_from([2, 4]), st.integers(1, 3), st.integers(0, 30))
def test_ranks_share_the_batch_of_one_rank(lengths, ranks, per_rank, step):
    store, windows = Index(lengths), np.arange(len(lengths))
    options = {"batch_size": ranks * per_rank, "seed": 1, "start_step": step, "prefetch": 0}
    parts = [take(StepLoader(store, windows, rank=r, world_size=ranks, **options), 3) for r in range(ranks)]
    joined = [list(itertools.chain(*step)) for step in zip(*parts, strict=True)]
    whole = take(StepLoader(store, windows, **options), 3)
    if len(windows) >= ranks * per_rank:
        assert joined == whole
    else:  # fewer windows than the batch: as many as the ranks can share
        assert all(len(set(batch)) == len(batch) == len(windows) // ranks * ranks for batch in joined)


def test_epochs_and_seeds_differ_and_all_windows_get_their_turn():
    loader = StepLoader(Index([5] * 23), np.arange(23), 4, 0, prefetch=0)
    epochs = [np.concatenate([loader.indices(e * 5 + i) for i in range(5)]).tolist() for e in range(8)]
    assert len({tuple(epoch) for epoch in epochs}) == 8
    assert set(itertools.chain(*epochs)) == set(range(23)), "the part left out is another one each epoch"
    assert StepLoader(Index([5] * 23), np.arange(23), 4, 1, prefetch=0).indices(0).tolist() != epochs[0][:4]


def test_batches_hold_similar_lengths():
    rng = np.random.default_rng(0)
    lengths = rng.integers(80, 161, 2000)
    loader = StepLoader(Index(lengths), np.arange(2000), 32, 0, prefetch=0)
    batches = [lengths[loader.indices(i)] for i in range(loader.steps_per_epoch)]
    padding = 1 - sum(b.sum() for b in batches) / sum(len(b) * b.max() for b in batches)
    shuffled = 1 - lengths.sum() / sum(32 * b.max() for b in np.split(rng.permutation(lengths)[:1984], 62))
    assert padding < 0.06 < shuffled
    means = [b.mean() for b in batches]
    assert np.abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.4, "short and long batches alternate at random"


def test_one_bucket_makes_every_batch_a_sample_of_all_lengths():
    lengths = np.repeat([3, 300], [900, 100])
    loader = StepLoader(Index(lengths), np.arange(1000), 100, 0, prefetch=0, length_buckets=1)
    long = [(lengths[loader.indices(i)] == 300).sum() for i in range(loader.steps_per_epoch)]
    assert sum(long) == 100
    assert all(2 <= n <= 22 for n in long)


def test_only_the_given_windows():
    loader = StepLoader(Index([1] * 100), [3, 50, 77, 99], 2, 0, prefetch=0)
    assert set(itertools.chain(*take(loader, 20))) == {3, 50, 77, 99}


def test_impossible_batches_are_one_sentence():
    store = Index([1, 1, 1])
    with pytest.raises(InputError, match=r"shared by the devices.*trainer\.batch_size"):
        StepLoader(store, [0, 1, 2], 3, 0, world_size=2)
    with pytest.raises(InputError, match="too few windows"):
        StepLoader(store, [], 4, 0)
    with pytest.raises(InputError, match="too few windows"):
        StepLoader(store, [0], 4, 0, world_size=2)


def test_reading_ahead_gives_the_same_stream_and_ends_with_the_iteration():
    store, windows = Index([2] * 30), np.arange(30)
    plain = take(StepLoader(store, windows, 4, 0, prefetch=0), 20)
    before = threading.active_count()
    stream = iter(StepLoader(store, windows, 4, 0, prefetch=3))
    assert list(itertools.islice(stream, 20)) == plain
    assert threading.active_count() == before + 1
    stream.close()
    assert threading.active_count() == before


def test_errors_of_the_reading_thread_arrive():
    class Failing(Index):
        def batch(self, indices):
            raise OSError("disk gone")

    stream = iter(StepLoader(Failing([1] * 4), np.arange(4), 2, 0))
    with pytest.raises(OSError, match="disk gone"):
        next(stream)


def test_two_ranks_see_the_rows_of_one_on_a_real_store(tmp_path):
    store = WindowStore.prepare(Toy(), write_corpus(tmp_path / "corpus"), "beats", tmp_path / "cache")
    windows = np.arange(len(store))
    whole = next(iter(StepLoader(store, windows, 6, 0)))
    parts = [next(iter(StepLoader(store, windows, 6, 0, rank=r, world_size=2))) for r in range(2)]
    assert torch.equal(torch.cat([part.window for part in parts]), whole.window)
    for part, rows in zip(parts, (slice(0, 3), slice(3, 6)), strict=True):
        expected = whole.rows(rows)
        torch.testing.assert_close(part.values, expected.values[:, : part.n_patches], equal_nan=True)


def test_namespace_stores_are_enough():
    """The loader asks a store for lengths and batches only."""
    store = SimpleNamespace(lengths=np.array([1, 2]), batch=lambda indices: len(indices))
    assert take(StepLoader(store, [0, 1], 2, 0), 2) == [2, 2]
