"""What targets may look at before the first step: windows, recordings, earlier runs, and what is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from data_kit import PATCH, SFREQ_HZ, Toy, ToyConfig, write_corpus
from omnipatch.core.data.store import WindowStore
from omnipatch.core.errors import InputError
from omnipatch.core.modality import Source
from omnipatch.core.train.corpus import Origin, StoreCorpus


@pytest.fixture
def sources(tmp_path) -> list[Source]:
    """Three recordings, and two stretches of the first."""
    whole = write_corpus(tmp_path / "toy", 3)
    cuts = [
        replace(whole[0], record=f"cut{i}", start_s=start, stop_s=start + 5.0) for i, start in enumerate((1.0, 4.5))
    ]
    return [*whole, *cuts]


def corpus(sources, cache=None, windows=None, load=None, batch_size=2) -> StoreCorpus:
    toy = Toy(ToyConfig(window_s=2.0))
    store = WindowStore.prepare(toy, sources, None)
    chosen = np.arange(len(store)) if windows is None else np.asarray(windows)
    return StoreCorpus(store, toy, chosen, batch_size, Origin(sources, load or str), cache)


def test_it_goes_through_its_windows_each_time_alike(sources):
    made = corpus(sources, windows=[7, 2, 5])
    for _ in range(2):
        batches = list(made())
        assert [len(batch) for batch in batches] == [2, 1]
        assert torch.cat([batch.window for batch in batches]).tolist() == made.store.window_ids[[7, 2, 5]].tolist()


def test_a_window_is_found_in_its_recording(sources):
    """Also where a source names a stretch of a file: times are those of what the modality opens."""
    made, seen = corpus(sources), 0
    assert made.records == 5
    for number in range(made.records):
        found = made.record(number)
        for row, start_s in enumerate(found.start_s):
            first = round(float(start_s) * SFREQ_HZ)
            values = found.batch.values[row, 0].view(3, PATCH)
            recorded = dict(zip(found.recording.sensors, found.recording.signals, strict=True))
            for sensor, patch in zip("abc", values, strict=True):
                if sensor in recorded:
                    assert np.array_equal(patch.numpy(), recorded[sensor][first : first + PATCH])
            seen += 1
    assert seen == len(made.store)


def test_only_recordings_of_its_windows(sources):
    made = corpus(sources)
    second = np.flatnonzero(made.store.record_code == 1)
    some = corpus(sources, windows=second[::-1])
    assert some.records == 1
    assert some.record(0).recording.record == sources[1].record
    assert some.record(0).batch.window.tolist() == made.store.window_ids[second[::-1]].tolist()


def test_the_fingerprint_is_of_windows_and_preprocessing(sources):
    made = corpus(sources)
    found = [made.fingerprint, corpus(sources, windows=[0, 1]).fingerprint, corpus(sources, windows=[1, 0]).fingerprint]
    toy = Toy(ToyConfig(window_s=2.0, gain=2.0))
    louder = WindowStore.prepare(toy, sources, None)
    found.append(StoreCorpus(louder, toy, made.windows, 2).fingerprint)
    assert len(set(found)) == 4
    assert corpus(sources, batch_size=5).fingerprint == found[0]


def test_where_recordings_lie_may_not_be_known(sources):
    made = corpus(sources)
    for origin in (None, Origin(sources[1:], str)):
        made = StoreCorpus(made.store, made.modality, made.windows, 2, origin)
        with pytest.raises(InputError, match="not known where they lie"):
            made.record(0)
    with pytest.raises(InputError, match="cannot be loaded here"):
        StoreCorpus(made.store, made.modality, made.windows, 2).trained("run")


class TestKept:
    def make(self, calls):
        def made():
            calls.append(1)
            return {"a": np.arange(6, dtype=np.int32).reshape(3, 2), "b": np.zeros(0, np.float32)}

        return made

    def test_made_once(self, sources, tmp_path):
        calls: list[int] = []
        for _ in range(2):
            found = corpus(sources, tmp_path / "cache").kept("things", "key", self.make(calls))
            assert found["a"].tolist() == [[0, 1], [2, 3], [4, 5]]
            assert (found["a"].dtype, found["b"].shape) == (np.int32, (0,))
        assert len(calls) == 1
        corpus(sources, tmp_path / "cache").kept("things", "other", self.make(calls))
        corpus(sources, tmp_path / "cache").kept("others", "key", self.make(calls))
        assert len(calls) == 3

    def test_nothing_without_a_cache(self, sources):
        calls: list[int] = []
        for _ in range(2):
            corpus(sources).kept("things", "key", self.make(calls))
        assert len(calls) == 2

    def test_what_fails_leaves_nothing(self, sources, tmp_path):
        def fails():
            raise InputError("no")

        with pytest.raises(InputError, match="no"):
            corpus(sources, tmp_path / "cache").kept("things", "key", fails)
        assert not [path for path in (tmp_path / "cache/things").iterdir() if path.is_dir()]
