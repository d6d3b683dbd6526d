"""What a task knows beforehand: from names of a window to codes of items, and what happens without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from data_kit import Toy, write_corpus
from omnipatch import InputError, Task
from omnipatch.core.data.balance import class_counts
from omnipatch.core.data.label_task import label_task
from omnipatch.core.data.shard import encode_label
from omnipatch.core.data.store import WindowStore
from omnipatch.core.modality import Source

QUALITY = Task("quality", "record", ("good", "bad"), given=("squat", "lunge"))


class Movements(Toy):
    """Labels of the recording: what was asked for, and how it was done."""

    def tasks(self):
        return {**super().tasks(), "quality": QUALITY}

    def windows(self, recording, task=None):
        windows = super().windows(recording, task)
        return [replace(window, label=recording.label) for window in windows] if task == "quality" else windows


def stored(tmp_path, *labels):
    sources = write_corpus(tmp_path / "corpus", len(labels))
    listed = [replace(source, label=label) for source, label in zip(sources, labels, strict=True)]
    return WindowStore.prepare(Movements(), listed, "quality", tmp_path / "cache")


def test_both_names_of_a_window_are_found_in_any_order(tmp_path):
    store = stored(tmp_path, ("lunge", "good"), ("bad", "squat"), ("squat", "good"))
    items = store.items()
    of_record = [(set(items.given[items.record == r].tolist()), set(items.label[items.record == r].tolist()))
                 for r in range(3)]  # fmt: skip
    assert of_record == [({1}, {0}), ({0}, {1}), ({0}, {0})]
    assert (items.given_names, items.models, items.ungiven) == (("squat", "lunge"), 2, 0)
    counts = class_counts(store, store.subject_code, np.arange(3))
    assert (counts > 0).tolist() == [[False, False, True], [False, True, False], [True, False, False]]


def test_windows_of_which_nothing_is_known_are_left_out_and_counted(tmp_path):
    store = stored(tmp_path, ("good",), ("bad", "squat"), ("lunge",))
    items = store.items()
    assert set(items.record.tolist()) == {1}
    assert items.ungiven == int((store.record_code == 0).sum())
    with pytest.raises(InputError, match="must know beforehand"):
        stored(tmp_path / "none", ("good",), ("bad",)).items()


def test_without_anything_given_all_items_share_one_model(tmp_path):
    items = WindowStore.prepare(Toy(), write_corpus(tmp_path / "corpus", 3), "beats", tmp_path / "cache").items()
    assert (items.given == 0).all()
    assert (items.models, items.ungiven) == (1, 0)
    assert len(replace(items, window=items.window[:2]).given) == 2


def test_a_given_name_alone_labels_nothing():
    several = Task("findings", "record", ("x", "y"), multilabel=True, given=("squat",))
    assert np.isnan(encode_label(("squat",), several)).all()
    assert encode_label(("squat", "y"), several).tolist() == [0, 1]
    assert encode_label(("squat", "something else"), several).tolist() == [0, 0]


def test_a_manifest_that_says_both_finds_the_task():
    def named(*labels):
        return [Source(None, f"r{i}", label=label) for i, label in enumerate(labels)]

    modality = Movements()
    assert label_task(named(("squat", "good"), ("bad", "lunge"), ()), modality) == QUALITY
    alone = label_task(named(("good",), ("bad",)), modality)
    assert alone == Task("manifest", "record", ("bad", "good")), "nothing is given here"
    assert label_task(named(("x", "y"), ("z",)), modality) == modality.task("findings")


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"given": ("good",)}, "must differ"), ({"given": ("a", "a")}, "must differ"),
     ({"unit": "dense", "step": 0.1, "tolerance": 0.1, "given": ("a",)}, "one head")],
)  # fmt: skip
def test_tasks_that_cannot_be_are_refused(changes, why):
    with pytest.raises(InputError, match=why):
        replace(Task("t", "record", ("good", "bad")), **changes)
