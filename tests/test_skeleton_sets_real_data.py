"""The sets of $OMNIPATCH_DATA through the readers: all that should be there is, soon, and it can be used."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from omnipatch.core.errors import InputError
from omnipatch.core.modality import Recording, Source
from omnipatch.modalities.skeleton import Skeleton
from omnipatch.modalities.skeleton.datasets import DATASETS
from omnipatch.modalities.skeleton.tasks import EXERCISES

pytestmark = pytest.mark.real_data


def sources(name: str) -> list[Source]:
    root = Path(os.environ["OMNIPATCH_DATA"]) / DATASETS[name].folder
    if not root.exists():
        pytest.skip(f"no {root.name}")
    return DATASETS[name].list_sources(root)


def place(recording: Recording, joint: str) -> np.ndarray:
    """[3] the median place of a joint in metres."""
    return np.nanmedian(recording.signals[recording.sensors.index(joint)], axis=1)


def test_ui_prmd():
    found = sources("ui-prmd")
    assert len(found) == 2000
    assert set(Counter(source.label for source in found).values()) == {100}
    assert Counter(source.fold for source in found) == dict.fromkeys(range(5), 400)
    people = {source.subject: source.fold for source in found}
    assert sorted(people) == [f"s{subject:02d}" for subject in range(1, 11)]
    assert [people[name] for name in sorted(people)] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]

    skeleton, before = Skeleton(), time.process_time()
    recordings = [skeleton.load(source) for source in found]
    assert time.process_time() - before < 30  # seconds, not minutes
    assert all(np.isfinite(recording.signals).all() for recording in recordings)
    assert sum(recording.signals.shape[2] for recording in recordings) == 151_158
    standing = [r for r in recordings if r.label[0].startswith("shoulder_")]
    for recording in standing[::50]:
        assert 0.7 < place(recording, "pelvis")[1] < 1.2
        across = place(recording, "left_shoulder") - place(recording, "right_shoulder")
        assert across[0] > 0.05  # some stand aside
        assert np.linalg.norm(across) < 0.6
        assert place(recording, "left_foot")[2] > place(recording, "left_ankle")[2]  # faces the camera


def test_feet_stand_in_deep_squats():
    """The order of rotations: about 2 cm of standard deviation; 8.6 with the next best one."""
    skeleton, drift = Skeleton(), []
    for source in sources("ui-prmd"):
        if source.label == (EXERCISES[0], "correct"):
            recording = skeleton.load(source)
            at = [recording.sensors.index(f"{side}_ankle") for side in ("left", "right")]
            drift.append(recording.signals[at].std(axis=2).mean())
    assert len(drift) == 100
    assert 0.018 < np.mean(drift) < 0.026


def test_msr_action3d():
    found = sources("msr-action3d")
    assert len(found) == 567
    assert Counter(source.split for source in found) == {"train": 292, "test": 275}
    assert len({source.label for source in found}) == 20

    skeleton, lost, refused = Skeleton(), [], {}
    for source in found:
        try:
            recording = skeleton.load(source)
        except InputError as error:
            refused[source.record] = str(error)
            continue
        lost.append(np.isnan(recording.signals))
        assert recording.sfreq_hz == 15.0
    assert list(refused) == ["a13_s09_e02"]
    assert "nobody is seen" in refused["a13_s09_e02"]
    share = sum(x.sum() for x in lost) / sum(x.size for x in lost)
    assert 0.003 < share < 0.06
    # those who wave were asked to use their right arm
    waving = skeleton.load(found[0])
    moved = {
        side: np.nanstd(waving.signals[waving.sensors.index(f"{side}_wrist")], 1).sum() for side in ("left", "right")
    }
    assert moved["right"] > moved["left"]


def test_windows_and_tokens_of_both():
    skeleton = Skeleton()
    for name, step in (("ui-prmd", 211), ("msr-action3d", 97)):
        for source in sources(name)[::step]:
            for window in skeleton.windows(skeleton.load(source)):
                batch = skeleton.patchify(window)
                assert batch.valid.any()
                assert not batch.values.isinf().any()
