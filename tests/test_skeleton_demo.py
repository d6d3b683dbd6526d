"""The demo maker: people who stand on their feet, differ from each other, and do what their labels say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from omnipatch.modalities.skeleton.demo import DEMO_EXERCISES, demo_sources, make_recording, open_demo
from omnipatch.modalities.skeleton.exercises import EXERCISE_POSES
from omnipatch.modalities.skeleton.performer import JOINTS, PARENTS
from omnipatch.modalities.skeleton.tasks import EXERCISES, QUALITIES
from omnipatch.modalities.skeleton.vocabulary import VOCABULARY


def clip(seed: int, exercise: str, quality: str = "correct", take: int = 0):
    """[sensor, 3, frame] of one person."""
    rng = np.random.default_rng(seed)
    return make_recording(rng, exercise, quality, take, accompanied=False).signals


def of(x: np.ndarray, joint: str) -> np.ndarray:
    return x[JOINTS.index(joint)]


def test_every_exercise_has_poses_of_known_joints():
    assert tuple(EXERCISE_POSES) == EXERCISES
    assert set(JOINTS) <= set(VOCABULARY)
    for exercise in EXERCISE_POSES.values():
        assert {*exercise.start, *exercise.peak} <= set(JOINTS)


@pytest.mark.parametrize("exercise", EXERCISES)
@pytest.mark.parametrize("quality", QUALITIES)
def test_a_repetition_is_a_person_on_the_floor(exercise, quality):
    x = clip(5, exercise, quality)
    assert x.dtype == np.float32
    assert x.shape[:2] == (len(JOINTS), 3)
    assert 20 <= x.shape[2] <= 200
    assert not np.isinf(x).any()
    soles = np.nanmin(
        x[[JOINTS.index(f"{side}_{name}") for side in ("left", "right") for name in ("ankle", "foot")], 1], 0
    )
    assert np.nanmax(soles) - np.nanmin(soles) < 0.12  # one foot is always down
    assert np.nanmax(np.abs(np.diff(x, axis=2))) < 0.35  # nobody jumps between frames
    # someone facing the camera has their left at larger x
    assert np.nanmedian(of(x, "left_shoulder")[0] - of(x, "right_shoulder")[0]) > 0.2


@pytest.mark.parametrize(("exercise", "foot"), [("hurdle_step", "right"), ("straight_leg_raise", "right")])
def test_the_foot_that_carries_stands_still(exercise, foot):
    for seed in range(3):
        ankle = of(clip(seed, exercise), f"{foot}_ankle")
        assert np.nanmax(np.nanstd(ankle, axis=1)) < 0.012


def test_feet_hardly_slide_in_a_squat():
    drift = [
        np.nanmean(np.nanstd(of(clip(seed, "deep_squat"), f"{side}_ankle"), axis=1))
        for seed in range(6)
        for side in ("left", "right")
    ]
    assert np.mean(drift) < 0.02


def test_bones_of_a_person_keep_their_length_but_for_noise():
    x = clip(2, "deep_squat")
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            length = np.linalg.norm(x[joint] - x[parent], axis=0)
            assert np.nanstd(length) < 0.02


def test_exercises_are_what_they_are_called():
    def rise(exercise: str, joint: str) -> float:
        """Metres a joint moves up and down, against the head when it comes down."""
        return float(np.nanmean([np.ptp(of(clip(s, exercise), joint)[1][~np.isnan(of(clip(s, exercise), joint)[1])])
                                 for s in range(3)]))  # fmt: skip

    assert rise("deep_squat", "pelvis") > 0.25
    assert rise("sit_to_stand", "pelvis") > 0.25
    assert rise("hurdle_step", "pelvis") < 0.1 < 0.2 < rise("hurdle_step", "left_knee")
    assert rise("shoulder_abduction", "left_wrist") > 0.7 > 0.1 > rise("shoulder_abduction", "right_wrist")


def test_a_seed_is_a_person():
    def height(seed: int, exercise: str) -> float:
        """Metres between hip and knee, and between shoulder and elbow."""
        x = clip(seed, exercise)
        thigh, arm = (
            np.nanmedian(np.linalg.norm(of(x, a) - of(x, b), axis=0))
            for a, b in (("left_hip", "left_knee"), ("right_shoulder", "right_elbow"))
        )
        return float(thigh + arm)

    heights = np.array([[height(seed, exercise) for exercise in DEMO_EXERCISES] for seed in range(6)])
    assert heights.std(axis=1).max() < 0.02 < heights.mean(axis=1).std()


def test_takes_differ_and_are_repeatable():
    one, same, other = clip(1, "deep_squat"), clip(1, "deep_squat"), clip(1, "deep_squat", take=1)
    np.testing.assert_array_equal(one, same)
    assert one.shape != other.shape or not np.allclose(one, other, equal_nan=True)


def test_a_drawn_recording_says_what_it_is():
    labels = [make_recording(np.random.default_rng(seed)).label for seed in range(30)]
    assert {label[0] for label in labels} == set(DEMO_EXERCISES)
    assert {label[1] for label in labels} == set(QUALITIES)


def test_two_people():
    recording = make_recording(np.random.default_rng(0), accompanied=True)
    assert len(recording.sensors) == 2 * len(JOINTS)
    assert recording.sensors[len(JOINTS)] == "pelvis#2"
    apart = np.abs(recording.signals[len(JOINTS), 0] - recording.signals[0, 0])
    assert np.nanmin(apart) > 0.4


def test_sources_and_what_they_open():
    sources = demo_sources(3)
    assert len(sources) == 256
    assert len({source.record for source in sources}) == 256
    assert set(Counter(source.subject for source in sources).values()) == {16}
    assert set(Counter(source.label for source in sources).values()) == {32}
    source = next(s for s in sources if s.label == ("hurdle_step", "incorrect"))
    recording = open_demo(source)
    assert recording.label == source.label
    # as an addition to pretraining it has lost its label, not its content
    np.testing.assert_array_equal(open_demo(replace(source, label=())).signals, recording.signals)


def test_some_joints_are_lost_and_some_clips_have_company():
    recordings = [open_demo(source) for source in demo_sources(0)[::4]]
    lost = np.mean([np.isnan(recording.signals[: len(JOINTS)]).mean() for recording in recordings])
    assert 0.01 < lost < 0.12
    assert 1 <= sum(len(recording.sensors) > len(JOINTS) for recording in recordings) <= 20
