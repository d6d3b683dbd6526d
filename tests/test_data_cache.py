"""The pieces under the store: checksums, appended arrays, folders built all or nothing, ragged reading."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import time

import numpy as np
import pytest
import torch
from data_kit import Toy, write_corpus
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch import PatchSequence, SequenceSpec
from omnipatch.core.data import cache as cache_module
from omnipatch.core.data.arrays import ArrayWriter, DamagedError, open_arrays
from omnipatch.core.data.cache import cache_folder, obtain
from omnipatch.core.data.digest import digest_file
from omnipatch.core.data.fingerprint import store_key
from omnipatch.core.data.ragged import Ragged
from omnipatch.core.data.store import WindowStore


def test_digest_sees_every_byte_of_a_short_file_and_the_size_of_a_long_one(tmp_path):
    path = tmp_path / "f"
    content = bytearray(np.random.default_rng(0).bytes(100_000))
    path.write_bytes(content)
    whole = digest_file(path, 100_000)
    content[77_777] ^= 1
    path.write_bytes(content)
    assert digest_file(path, 100_000) != whole
    long = digest_file(path, 99_999)
    path.write_bytes(content + b"x")
    assert digest_file(path, 99_999) != long


def test_appended_arrays_come_back(tmp_path):
    writer = ArrayWriter(tmp_path)
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(n, 3)).astype(np.float32) for n in (2, 0, 5)]
    for part in parts:
        writer.append("x", part)
    writer.append("empty", np.empty((0, 2), np.int64))
    with pytest.raises(ValueError, match=r"x has .*the recordings before have"):
        writer.append("x", np.zeros((1, 4), np.float32))
    writer.finish({"note": "hello"})
    meta, arrays = open_arrays(tmp_path)
    assert meta == {"note": "hello"}
    np.testing.assert_array_equal(arrays["x"], np.concatenate(parts))
    assert arrays["empty"].shape == (0, 2)
    with pytest.raises(ValueError, match="read-only"):
        arrays["x"][0] = 1


def test_an_unfinished_folder_is_damaged(tmp_path):
    writer = ArrayWriter(tmp_path)
    writer.append("x", np.zeros(3))
    writer.close()
    with pytest.raises(DamagedError):
        open_arrays(tmp_path)


def test_cache_folder_comes_from_argument_environment_or_home(monkeypatch, tmp_path):
    monkeypatch.setenv("OMNIPATCH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    assert cache_folder("here").name == "here"
    monkeypatch.delenv("OMNIPATCH_CACHE")
    assert cache_folder().parts[-2:] == (".cache", "omnipatch")


def test_leftovers_of_killed_builds_are_swept_when_old(tmp_path):
    target = tmp_path / "built"
    old, young = tmp_path / ".built-1-aa", tmp_path / ".built-2-bb"
    for folder in (old, young):
        folder.mkdir()
    long_ago = time.time() - cache_module._STALE_S - 60
    os.utime(old, (long_ago, long_ago))
    obtain(target, lambda folder: (folder / "f").write_text("x"), lambda folder: (folder / "f").read_text())
    assert not old.exists()
    assert young.exists(), "it may belong to a living process"


def test_a_faster_stranger_wins(tmp_path):
    """Without working locks two builds may finish; the first rename holds and both go on."""
    target = tmp_path / "built"

    def build(folder):
        (folder / "f").write_text("ours")
        target.mkdir()
        (target / "f").write_text("theirs")

    assert obtain(target, build, lambda folder: (folder / "f").read_text()) == "theirs"
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == ["built"]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=10), st.data())
def test_ragged_reads_what_each_owner_has(counts, data):
    total = sum(counts)
    ragged = Ragged(np.array(counts), {"x": np.arange(1, total + 1), "y": np.ones((total, 2), bool)})
    owners = np.array(data.draw(st.lists(st.integers(0, len(counts) - 1), min_size=1, max_size=6)))
    expected = [ragged.starts[o] + 1 + np.arange(counts[o]) for o in owners]
    assert ragged.flat(owners)["x"].tolist() == np.concatenate(expected).tolist()
    if total:
        longest = max(counts)
        padded = ragged.padded(owners, longest)
        assert padded["x"].tolist() == [[*row, *[0] * (longest - len(row))] for row in expected]
        assert (padded["y"].all(-1) == (padded["x"] > 0)).all()


class ToyCodes(Toy):
    """Patches carry ids into a table instead of values, and no edges."""

    @property
    def spec(self):
        return SequenceSpec(axes=("time_s",), patch_shape=(1,), vocabulary=(100, 7))

    def patchify(self, window):
        patches = window.values.shape[1] // 8
        ids = torch.arange(patches * 2).view(1, patches, 2) % 7
        return PatchSequence.build(self.spec, coords=torch.arange(patches).view(1, patches, 1) * 0.5, ids=ids)


def test_modalities_of_ids(tmp_path):
    store = WindowStore.prepare(ToyCodes(), write_corpus(tmp_path / "corpus", 2), None, tmp_path / "cache")
    batch = store.batch([0, len(store) - 1])
    assert batch.values is None
    assert batch.edges is None
    assert batch.events is None
    assert store.spec == ToyCodes().spec
    assert batch.ids[0].flatten().tolist() == [i % 7 for i in range(2 * batch.n_patches)]
    last = int(store.lengths[-1])
    assert last < batch.n_patches
    assert not batch.valid[1, last:].any()
    assert (batch.ids[1, last:] == 0).all()
    assert (batch.label == -1).all()


def test_the_modalitys_own_code_is_part_of_the_key(tmp_path):
    sources = write_corpus(tmp_path / "corpus", 2)
    assert (
        WindowStore.prepare(ToyCodes(), sources, None, tmp_path / "cache").folder
        != WindowStore.prepare(Toy(), sources, None, tmp_path / "cache").folder
    )


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A modality in a package of its own, with a table in a folder of it."""
    folder = tmp_path / "here" / "packed_toy"
    (folder / "labels").mkdir(parents=True)
    (folder / "__init__.py").write_text("from data_kit import Toy\n\n\nclass Packed(Toy):\n    pass\n")
    (folder / "labels" / "classes.csv").write_text("code,class\n1,N\n")
    (folder / "words.yaml").write_text("calm: [quiet]\n")
    (folder / "NOTES.md").write_text("nothing\n")
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.delitem(sys.modules, "packed_toy", raising=False)
    yield folder
    sys.modules.pop("packed_toy", None)


def _packed_key(sources) -> str:
    return store_key(importlib.import_module("packed_toy").Packed(), sources, None)


@pytest.mark.parametrize(
    ("file", "counts"),
    [("__init__.py", True), ("labels/classes.csv", True), ("words.yaml", True), ("NOTES.md", False)],
)
def test_the_tables_of_a_modality_are_part_of_the_key(package, file, counts, tmp_path):
    sources = write_corpus(tmp_path / "corpus", 1)
    before = _packed_key(sources)
    assert _packed_key(sources) == before
    (package / file).write_text((package / file).read_text() + "# edited\n")
    assert (_packed_key(sources) != before) == counts


def test_where_a_package_lies_is_not_part_of_the_key(package, tmp_path, monkeypatch):
    sources = write_corpus(tmp_path / "corpus", 1)
    before = _packed_key(sources)
    elsewhere = tmp_path / "zz" / "there"
    shutil.copytree(package, elsewhere / "packed_toy")
    shutil.rmtree(package)
    monkeypatch.delitem(sys.modules, "packed_toy")
    monkeypatch.syspath_prepend(str(elsewhere))
    importlib.invalidate_caches()
    assert _packed_key(sources) == before
