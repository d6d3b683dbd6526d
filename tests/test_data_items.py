"""One label a window, whatever a task labels: what the online kNN of a pretraining run votes about."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest
from data_kit import Toy, toy_recording, write_corpus, write_toy
from omnipatch.core.data.items import window_labels
from omnipatch.core.data.ragged import Ragged
from omnipatch.core.data.store import WindowStore
from omnipatch.core.modality import Source, Task
from train_kit import recipe, train


def _events_store(*windows: list[int]) -> SimpleNamespace:
    counts, label = np.array([len(w) for w in windows]), np.array([c for w in windows for c in w], np.int64)
    task = Task("beats", "event", ("N", "S", "V"))
    return SimpleNamespace(task=task, events=Ragged(counts, {"label": label}), labels=np.full(len(windows), -1))


def test_a_window_of_events_has_its_rarest_class():
    store = _events_store([0, 0, 0], [0, 2, 0], [0, 1, 1, 1], [2, 0, 1], [-1], [], [-1, 0])
    # by number of events 0 is the most common, then 1, then 2
    assert window_labels(store, np.arange(7)).tolist() == [0, 2, 1, 2, -1, -1, 0]


def test_rare_means_rare_among_the_windows_asked_about():
    store = _events_store([0, 1], [1, 1, 1], [0, 0, 0, 0])
    assert window_labels(store, np.arange(2)).tolist() == [0, 1]
    assert window_labels(store, np.arange(3)).tolist() == [1, 1, 0]
    assert window_labels(store, np.array([2, 0])).tolist() == [0, 1]


def test_several_labels_of_a_window_become_the_rarest_and_one_label_stays(tmp_path):
    folder, rng = tmp_path / "corpus", np.random.default_rng(0)
    for name, label in {"r0": ("x", "y"), "r1": ("x",), "r2": (), "r3": ("x", "z")}.items():
        write_toy(folder / f"{name}.npz", toy_recording(rng, duration_s=4.0), label=label)
    sources = [Source(path, path.stem) for path in sorted(folder.glob("*.npz"))]
    findings = WindowStore.prepare(Toy(), sources, "findings", tmp_path / "cache")
    assert window_labels(findings, np.arange(4)).tolist() == [1, 0, -1, 2]
    rhythm = WindowStore.prepare(Toy(), sources, "rhythm", tmp_path / "cache")
    np.testing.assert_array_equal(window_labels(rhythm, np.arange(4)), rhythm.labels)


@pytest.mark.parametrize("task", ["beats", "rhythm", "findings"])
def test_the_online_knn_watches_every_unit_of_task(tmp_path, task):
    store = WindowStore.prepare(Toy(), write_corpus(tmp_path / "corpus"), task, tmp_path / "cache")
    few = np.arange(len(store))
    train(tmp_path / "run", recipe("mae", max_steps=2, monitor_every=2), store=store, windows=few, monitor_windows=few)
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    assert 0.0 <= float(rows[-1]["knn/balanced_accuracy"]) <= 1.0
