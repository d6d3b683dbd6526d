"""Labels that are the user's own, no task of the modality: the field's hand-made features stand beside them too."""

from __future__ import annotations

import numpy as np
import pytest
from omnipatch.core.data.label_task import label_task
from omnipatch.core.data.shard import Shard, make_shard
from omnipatch.core.modality import Source
from omnipatch.core.registry import list_modalities, load_modality

WITH_HAND = [entry.name for entry in list_modalities() if load_modality(entry.name).hand_task]


def shards(name, labels):
    modality = load_modality(name)()
    sources = [
        Source(path=source.path, record=source.record, subject=source.subject, seed=source.seed, label=(label,))
        for source, label in zip(modality.demo()[: len(labels)], labels, strict=True)
    ]
    return modality, label_task(sources, modality), sources


def test_every_modality_of_signals_says_which_features_serve_any_label():
    assert {"ecg", "eeg", "speech", "skeleton"} <= set(WITH_HAND)


@pytest.mark.parametrize("name", WITH_HAND)
def test_windows_under_labels_of_ones_own_have_hand_features(name):
    modality, task, sources = shards(name, ("grr", "zap"))
    assert task is not None
    assert task.name == "manifest"
    assert task.hand_learner == modality.task(modality.hand_task).hand_learner
    for source in sources:
        made = make_shard(modality, source, task)
        assert isinstance(made, Shard), made
        assert (made.arrays["n_hand"] > 0).all()
        assert np.isfinite(made.arrays["hand"]).any()
        assert made.arrays["n_events"].sum() == 0


@pytest.mark.parametrize("name", WITH_HAND)
def test_without_a_question_none_are_computed(name):
    modality, _, sources = shards(name, ("grr",))
    made = make_shard(modality, sources[0], None)
    assert isinstance(made, Shard), made
    assert made.arrays["n_hand"].sum() == 0
