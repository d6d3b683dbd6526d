"""WindowStore: gives back what the modality made, once, whatever breaks on the way."""

from __future__ import annotations

import itertools
import multiprocessing as mp
import pickle
import threading
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from data_kit import SFREQ_HZ, Toy, ToyConfig, toy_recording, write_corpus, write_toy
from joblib import parallel_config
from omnipatch import InputError, PatchSequence
from omnipatch.core.batching import collate
from omnipatch.core.config import SplitConfig
from omnipatch.core.data import prepare
from omnipatch.core.data import store as store_module
from omnipatch.core.data.splits import make_splits
from omnipatch.core.data.store import WindowStore
from omnipatch.core.modality import Source
from train_kit import in_child


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path / "corpus")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def by_hand(modality, sources, task) -> PatchSequence:
    """Slow reference: every window patchified anew and collated."""
    return collate([modality.patchify(w) for s in sources for w in modality.windows(modality.load(s), task)])


def assert_same(got: PatchSequence, expected: PatchSequence) -> None:
    for name in ("values", "valid", "coords", "kind", "group", "edges"):
        torch.testing.assert_close(getattr(got, name), getattr(expected, name), rtol=0, atol=0, equal_nan=True)


def test_batches_equal_patchified_windows(corpus, cache):
    store = WindowStore.prepare(Toy(), corpus, "rhythm", cache)
    expected = by_hand(Toy(), corpus, "rhythm")
    assert len(store) == len(expected)
    assert len(set(store.lengths.tolist())) > 1, "the corpus must exercise padding"
    assert_same(store.batch(np.arange(len(store))), expected)


@pytest.mark.parametrize("equal_lengths", [True, False])
@pytest.mark.parametrize("equal_sensors", [True, False])
def test_any_rows_in_any_order(corpus, cache, equal_lengths, equal_sensors):
    store = WindowStore.prepare(Toy(), corpus, None, cache)
    expected = by_hand(Toy(), corpus, None)
    rows = np.arange(len(store))
    if equal_lengths:
        rows = rows[store.lengths == store.lengths.max()]
    if equal_sensors:
        rows = rows[store.record_code[rows] < 2]
    rows = np.random.default_rng(0).permutation(rows)
    rows = np.concatenate([rows, rows[:2]])  # a repeated row is read twice
    got, reference = store.batch(rows), expected.rows(rows)
    longest = got.n_patches
    for name in ("values", "valid", "coords", "kind", "group"):
        torch.testing.assert_close(
            getattr(got, name), getattr(reference, name)[:, :longest], rtol=0, atol=0, equal_nan=True
        )


def test_missing_sensors_take_no_space(tmp_path, cache):
    rng = np.random.default_rng(0)
    sizes = {}
    for count, sensors in ((1, ("b",)), (3, ("a", "b", "c"))):
        path = write_toy(tmp_path / str(count) / "r.npz", toy_recording(rng, 40.0, sensors))
        store = WindowStore.prepare(Toy(), [Source(path, path.stem)], None, cache)
        sizes[count] = (store.folder / "values.bin").stat().st_size
        assert store.batch([0]).values.isnan().float().mean() == pytest.approx(1 - count / 3)
    assert 3 * sizes[1] == sizes[3]


def test_provenance_events_and_hand_features(corpus, cache):
    modality = Toy()
    store = WindowStore.prepare(modality, corpus, "beats", cache)
    windows = [w for s in corpus for w in modality.windows(modality.load(s), "beats")]
    batch = store.batch(np.arange(len(store)))
    codes = {"N": 0, "V": 1, "~": -1}
    for row, window in enumerate(windows):
        assert store.records[batch.record[row]] == window.record
        assert store.subjects[batch.subject[row]] == window.subject
        assert store.start_s[row] == window.start_s
        count = len(window.events.at)
        assert batch.events.valid[row].sum() == count
        np.testing.assert_array_equal(batch.events.at[row, :count], window.events.at)
        np.testing.assert_array_equal(batch.events.features[row, :count], window.events.features)
        assert batch.events.label[row, :count].tolist() == [codes[name] for name in window.events.label]
        assert (batch.events.label[row, count:] == -1).all()
    assert (batch.site == -1).all()

    items = store.items()
    flat = [(i, e) for i, w in enumerate(windows) for e in range(len(w.events.at)) if w.events.label[e] in "NV"]
    assert items.window.tolist() == [i for i, _ in flat]
    np.testing.assert_array_equal(items.hand, [windows[i].events.hand[e] for i, e in flat])
    np.testing.assert_array_equal(items.at, [windows[i].events.at[e] for i, e in flat])
    assert items.label.tolist() == [codes[windows[i].events.label[e]] for i, e in flat]
    assert items.classes == ("N", "V")
    assert items.unit == "event"


def test_window_items(corpus, cache):
    store = WindowStore.prepare(Toy(), corpus, "rhythm", cache)
    items = store.items()
    windows = [w for s in corpus for w in Toy().windows(Toy().load(s), "rhythm")]
    assert len(items) == len(store)
    assert [items.classes[code] for code in items.label] == [w.label[0] for w in windows]
    np.testing.assert_array_equal(items.hand, [w.hand for w in windows])


def test_multilabel_is_zero_one_and_no_name_is_unlabelled(tmp_path, cache):
    rng = np.random.default_rng(0)
    for number, label in enumerate([("x", "z"), (), ("other",)]):
        write_toy(tmp_path / f"r{number}.npz", toy_recording(rng, 5.0), label=label, subject=str(number))
    store = WindowStore.prepare(Toy(), [Source(p, p.stem) for p in sorted(tmp_path.glob("*.npz"))], "findings", cache)
    first = [np.flatnonzero(store.record_code == code)[0] for code in range(3)]
    np.testing.assert_array_equal(store.labels[first], [[1, 0, 1], [np.nan] * 3, [0, 0, 0]])
    assert set(store.items().record.tolist()) == {0, 2}


def test_second_time_reads_nothing(corpus, cache, monkeypatch):
    first = WindowStore.prepare(Toy(), corpus, "beats", cache)
    monkeypatch.setattr(Toy, "read", lambda self, path: pytest.fail("read again"))
    again = WindowStore.prepare(Toy(), corpus, "beats", cache)
    assert again.folder == first.folder


def test_key_follows_files_config_and_task_but_not_place(corpus, cache, tmp_path):
    def folder(sources, modality=None, task="beats"):
        return WindowStore.prepare(modality or Toy(), sources, task, cache).folder

    base = folder(corpus)
    assert folder(corpus, Toy(ToyConfig(gain=2.0))) != base
    assert folder(corpus, task="rhythm") != base
    assert folder(corpus[:-1]) != base
    moved = write_corpus(tmp_path / "elsewhere")
    assert folder(moved) == base, "a copied corpus keeps its cache"
    write_toy(moved[0].path, toy_recording(np.random.default_rng(99)), subject="s0")
    assert folder(moved) != base
    (corpus[1].path.with_suffix(".note")).write_text("a file of the same recording")
    assert folder(corpus) != base


def test_window_ids_are_unique_and_do_not_depend_on_company(corpus, cache):
    whole = WindowStore.prepare(Toy(), corpus, None, cache)
    part = WindowStore.prepare(Toy(), corpus[3:], None, cache)
    assert len(set(whole.window_ids.tolist())) == len(whole)
    assert (whole.window_ids >= 0).all()
    assert set(part.window_ids.tolist()) <= set(whole.window_ids.tolist())


def test_bad_files_are_skipped_with_a_reason(corpus, cache):
    corpus[0].path.write_bytes(b"no recording")
    np.savez(corpus[2].path, other=1)  # the reader raises a raw KeyError
    write_toy(corpus[4].path, toy_recording(np.random.default_rng(0), 0.2))
    store = WindowStore.prepare(Toy(), corpus, "beats", cache)
    reasons = {entry.record: entry.reason for entry in store.skipped}
    assert set(reasons) == {"r0", "r2", "r4"}
    assert "not a toy recording" in reasons["r0"]
    assert "KeyError" in reasons["r2"]
    assert "too short" in reasons["r4"]
    assert store.records == ("r1", "r3", "r5")


def test_all_bad_is_an_error(corpus, cache):
    for source in corpus:
        source.path.write_bytes(b"")
    with pytest.raises(InputError, match="none of 6 recordings could be read as toy"):
        WindowStore.prepare(Toy(), corpus, None, cache)
    assert not [p for p in (cache / "windows").iterdir() if p.is_dir()], "nothing is left behind"


def test_patches_that_break_the_contract_are_skipped(corpus, cache, monkeypatch):
    honest = Toy.patchify

    def crooked(self, window):
        row = honest(self, window)
        changed = {"r0": {"coords": row.coords * np.nan}, "r2": {"values": row.values * np.inf}}
        return row.replace(**changed.get(window.record, {}))

    monkeypatch.setattr(Toy, "patchify", crooked)
    store = WindowStore.prepare(Toy(), corpus, None, cache)
    reasons = [entry.reason for entry in store.skipped]
    assert all(word in reason for word, reason in zip(("coordinate", "infinite"), reasons, strict=True))


def test_a_stretch_without_any_signal_costs_its_windows_alone(corpus, cache):
    """As of a loose electrode; the times and labels of the other windows stay."""
    whole = WindowStore.prepare(Toy(), corpus, "rhythm", cache)
    for number, samples in ((1, int(Toy().config.window_s * SFREQ_HZ)), (2, None)):
        loose = Toy().read(corpus[number].path)
        loose.signals[:, :samples] = np.nan
        write_toy(corpus[number].path, loose)
    part = WindowStore.prepare(Toy(), corpus, "rhythm", cache)
    assert [(entry.record, entry.reason) for entry in part.skipped] == [("r2", "no usable signal in any window")]

    def windows_of(store, record):
        mine = store.record_code == store.records.index(record)
        return list(zip(store.start_s[mine].tolist(), store.items().label[mine].tolist(), strict=True))

    assert windows_of(part, "r1") == windows_of(whole, "r1")[1:]
    assert windows_of(part, "r3") == windows_of(whole, "r3")


def test_quality_is_kept(corpus, cache):
    flat = toy_recording(np.random.default_rng(0), sensors=("a", "b"))
    flat.signals[1] = 0
    write_toy(corpus[3].path, flat)
    assert WindowStore.prepare(Toy(), corpus, None, cache).quality == {"r3": {"b": "flat"}}


def test_repeated_record_is_refused(corpus, cache):
    with pytest.raises(InputError, match=r"two recordings have one name.*r1"):
        WindowStore.prepare(Toy(), [*corpus, corpus[1]], None, cache)


def damage(folder, how):
    values = folder / "values.bin"
    if how == "truncated":
        values.write_bytes(values.read_bytes()[:-4])
    elif how == "flipped":
        content = bytearray(values.read_bytes())
        content[len(content) // 2] ^= 1
        values.write_bytes(content)
    elif how == "labels altered":
        text = (folder / "meta.json").read_text()
        (folder / "meta.json").write_text(text.replace('"s1"', '"s9"'))
    elif how == "file gone":
        (folder / "coords.bin").unlink()
    elif how == "meta gone":
        (folder / "meta.json").unlink()


@pytest.mark.parametrize("how", ["truncated", "flipped", "labels altered", "file gone", "meta gone"])
def test_damaged_cache_is_rebuilt_with_a_warning(corpus, cache, how):
    store = WindowStore.prepare(Toy(), corpus, "beats", cache)
    before = store.batch([0, 5])
    folder = store.folder
    del store
    damage(folder, how)
    with pytest.warns(RuntimeWarning, match="damaged window cache"):
        again = WindowStore.prepare(Toy(), corpus, "beats", cache)
    assert_same(again.batch([0, 5]), before)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WindowStore.prepare(Toy(), corpus, "beats", cache)


def test_killed_build_leaves_no_store(corpus, cache, monkeypatch):
    honest = prepare.make_shard
    calls = itertools.count()

    def dying(*arguments):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return honest(*arguments)

    monkeypatch.setattr(prepare, "make_shard", dying)
    with pytest.raises(KeyboardInterrupt):
        WindowStore.prepare(Toy(), corpus, None, cache)
    monkeypatch.setattr(prepare, "make_shard", honest)
    assert len(WindowStore.prepare(Toy(), corpus, None, cache).records) == 6


def test_racing_builders_build_once(corpus, cache, monkeypatch):
    builds, honest = [], store_module.build_store
    monkeypatch.setattr(store_module, "build_store", lambda *a: (builds.append(1), honest(*a)))
    stores = []
    threads = [
        threading.Thread(target=lambda: stores.append(WindowStore.prepare(Toy(), corpus, None, cache)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1
    assert len({store.folder for store in stores}) == 1
    assert len(stores) == 4


def _prepare_counting(corpus, cache, log, barrier):
    class Counting(Toy):
        def read(self, path):
            with log.open("a") as file:
                file.write(f"{path.name}\n")
            return super().read(path)

    barrier.wait(30)
    WindowStore.prepare(Counting(), corpus, "beats", cache)


def test_racing_processes_read_every_file_once(corpus, cache, tmp_path):
    log, barrier = tmp_path / "log", mp.get_context("fork").Barrier(2)
    children = [in_child(_prepare_counting, corpus, cache, log, barrier) for _ in range(2)]
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0]
    assert sorted(log.read_text().split()) == [f"r{i}.npz" for i in range(6)]


def test_unwritable_cache_is_one_sentence(corpus, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"window cache cannot be written.*--data\.cache"):
        WindowStore.prepare(Toy(), corpus, None, tmp_path / "file")


def test_jobs_do_not_change_the_store(corpus, tmp_path):
    alone = WindowStore.prepare(Toy(), corpus, "beats", tmp_path / "one")
    seen = []
    with parallel_config(backend="threading"):
        shared = WindowStore.prepare(
            Toy(), corpus, "beats", tmp_path / "two", jobs=3, progress=lambda *a: seen.append(a)
        )
    assert shared.folder.name == alone.folder.name
    for file in alone.folder.iterdir():
        assert (shared.folder / file.name).read_bytes() == file.read_bytes(), file.name
    assert seen == [(done, 6) for done in range(1, 7)]


def test_store_survives_pickling(corpus, cache):
    store = WindowStore.prepare(Toy(), corpus, "beats", cache)
    assert_same(pickle.loads(pickle.dumps(store)).batch([1, 2]), store.batch([1, 2]))


def test_demo_and_cropped_sources(cache, tmp_path):
    demo = WindowStore.prepare(Toy(), Toy().demo(3), "beats", cache)
    assert len(demo.subjects) == 12
    path = write_toy(tmp_path / "long.npz", toy_recording(np.random.default_rng(1), 30.0))
    source = Source(path, path.stem)
    whole = WindowStore.prepare(Toy(), [source], "beats", cache)
    part = WindowStore.prepare(Toy(), [replace(source, start_s=8.0, stop_s=20.0)], "beats", cache)
    assert part.start_s.tolist() == [8.0, 12.0, 16.0]
    torch.testing.assert_close(part.batch([0]).values, whole.batch([2]).values, equal_nan=True)
    torch.testing.assert_close(part.batch([0]).events.at, whole.batch([2]).events.at, atol=1e-5, rtol=0)


def test_the_fold_of_a_source_reaches_the_store_and_the_splits(tmp_path):
    listed = [replace(source, fold=i // 2) for i, source in enumerate(write_corpus(tmp_path / "corpus", 6))]
    store = WindowStore.prepare(Toy(), listed, "beats", tmp_path / "cache")
    assert [set(store.fixed_fold[store.record_code == code].tolist()) for code in range(6)] == [
        {0}, {0}, {1}, {1}, {2}, {2}
    ]  # fmt: skip
    assert [split.test for split in make_splits(store, SplitConfig())] == [{"s0", "s1"}, {"s2", "s3"}, {"s4", "s5"}]
