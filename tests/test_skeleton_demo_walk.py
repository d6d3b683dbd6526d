"""The walk maker: feet that strike when it says so, stand while they carry, and a weak side."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from omnipatch.modalities.skeleton.demo_walk import STRIKES, make_walk
from omnipatch.modalities.skeleton.performer import JOINTS


def walk(seed: int = 0, **options):
    return make_walk(np.random.default_rng(seed), tracked=False, **options)


def of(recording, joint: str) -> np.ndarray:
    """[3, frame] metres."""
    return recording.signals[JOINTS.index(joint)]


def strikes(recording, side: str) -> np.ndarray:
    """Seconds."""
    return np.array([mark.onset_s for mark in recording.annotations if mark.label == f"{side}_foot_strike"])


@pytest.mark.parametrize("stride_s", [0.9, 1.3])
def test_a_side_strikes_once_a_stride_and_sides_take_turns(stride_s):
    recording = walk(duration_s=8.0, stride_s=stride_s)
    for side in ("left", "right"):
        np.testing.assert_allclose(np.diff(strikes(recording, side)), stride_s)
    labels = [mark.label for mark in recording.annotations]
    assert set(labels) == set(STRIKES)
    assert all(one != other for one, other in itertools.pairwise(labels))
    onsets = [mark.onset_s for mark in recording.annotations]
    np.testing.assert_allclose(np.diff(onsets), stride_s / 2)


def test_at_a_strike_the_foot_is_far_ahead_and_comes_to_rest():
    recording = walk(duration_s=8.0, sfreq_hz=100.0)
    for side in ("left", "right"):
        ahead = of(recording, f"{side}_ankle")[2] - of(recording, "pelvis")[2]
        speed = np.linalg.norm(np.diff(of(recording, f"{side}_ankle")), axis=0) * 100
        for onset_s in strikes(recording, side)[1:-1]:
            at = round(onset_s * 100)
            assert ahead[at] > 0.9 * ahead.max()
            assert speed[at + 15 : at + 40].max() < 0.3 < 2.0 < speed[at - 30 : at].max()


def test_a_walker_goes_forward_as_fast_as_people_do():
    recording = walk(duration_s=6.0)
    way = of(recording, "pelvis")[2]
    assert 0.7 < (way[-1] - way[0]) / 6.0 < 1.8
    assert way[-1] < 0  # still before the camera
    assert np.ptp(of(recording, "pelvis")[1]) < 0.12


def test_a_weak_side_moves_less_and_hands_over_sooner():
    even, limping = walk(duration_s=8.0), walk(duration_s=8.0, asymmetry=0.8)

    def bend(recording, side: str) -> float:
        """Degrees over which a knee moves."""
        thigh = of(recording, f"{side}_hip") - of(recording, f"{side}_knee")
        shank = of(recording, f"{side}_ankle") - of(recording, f"{side}_knee")
        cosine = (thigh * shank).sum(0) / np.linalg.norm(thigh, axis=0) / np.linalg.norm(shank, axis=0)
        return float(np.ptp(np.rad2deg(np.arccos(cosine))))

    assert bend(even, "left") == pytest.approx(bend(even, "right"), rel=0.1)
    assert bend(limping, "left") < 0.8 * bend(limping, "right")
    left, right = strikes(limping, "left"), strikes(limping, "right")
    after_left = np.array([right[right > t][0] - t for t in left if (right > t).any()])
    assert (after_left < 0.45 * 1.1).all()


def test_a_tracked_walk_has_noise_and_is_repeatable():
    one, same = (make_walk(np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one.signals, same.signals)
    assert one.signals.dtype == np.float32
    clean = walk(3)
    assert np.nanmax(np.abs(np.diff(one.signals, 2))) > np.nanmax(np.abs(np.diff(clean.signals, 2)))
