"""The sets of $OMNIPATCH_DATA through the readers: all that should be there is, and it can be used."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from omnipatch.core.modality import Source
from omnipatch.modalities.speech import Speech
from omnipatch.modalities.speech.datasets import DATASETS

pytestmark = pytest.mark.real_data


def sources(name: str) -> list[Source]:
    root = Path(os.environ["OMNIPATCH_DATA"]) / DATASETS[name].folder
    if not root.is_dir():
        pytest.skip(f"no {root.name}")
    return DATASETS[name].list_sources(root)


def used(source: Source) -> float:
    """Hertz of a recording whose windows are whole and finite."""
    speech = Speech()
    recording = speech.load(source)
    windows = speech.windows(recording)
    assert windows
    for window in windows:
        batch = speech.patchify(window)
        assert batch.valid.any()
        assert not batch.values.isinf().any()
    return recording.sfreq_hz


def test_fsdd():
    found = sources("fsdd")
    assert len(found) == 3000
    assert Counter(source.subject for source in found) == dict.fromkeys(
        ("george", "jackson", "lucas", "nicolas", "theo", "yweweler"), 500
    )
    assert set(Counter(source.label for source in found).values()) == {300}
    assert Counter(source.split for source in sources("fsdd-official")) == {"train": 2700, "test": 300}
    assert {used(source) for source in found[::97]} == {8000.0}


def test_als():
    found = sources("als")
    assert len(found) == 128
    people = {source.subject: source for source in found}
    assert Counter(source.label[0] for source in people.values()) == {"als": 31, "healthy": 33}
    assert all(source.extras.keys() >= {"age", "sex"} for source in found)
    ages = [float(source.extras["age"]) for source in people.values()]
    assert 18 < min(ages) < np.median(ages) < max(ages) < 100
    assert {used(source) for source in found[::3]} <= {44_100.0, 48_000.0}
