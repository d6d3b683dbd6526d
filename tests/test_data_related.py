"""Recordings that another one needs are part of its cache key, by what they are and not by where they lie."""

from __future__ import annotations

import shutil
from dataclasses import replace

from data_kit import Toy, write_corpus
from omnipatch.core.data.fingerprint import store_key


def corpus(folder):
    """The first recording, which needs the second."""
    first, second, *_ = write_corpus(folder)
    return [replace(first, extras={"baseline_sources": (second,)})], second


def test_a_moved_corpus_keeps_its_key_and_another_baseline_does_not(tmp_path):
    sources, second = corpus(tmp_path / "here")
    key = store_key(Toy(), sources, None)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    there = [
        replace(s, path=tmp_path / "there" / s.path.name, extras={"baseline_sources": (
            replace(second, path=tmp_path / "there" / second.path.name),)})
        for s in sources
    ]  # fmt: skip
    assert store_key(Toy(), there, None) == key
    assert store_key(Toy(), [replace(sources[0], extras={})], None) != key
    second.path.write_bytes(second.path.read_bytes() + b"\0")
    assert store_key(Toy(), sources, None) != key
