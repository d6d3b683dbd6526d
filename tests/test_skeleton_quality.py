"""Joints that should not be trusted are named, with a reason."""

from __future__ import annotations

import numpy as np
from omnipatch.modalities.skeleton.quality import joint_quality
from skeleton_tokens_kit import JOINTS, moving

TWO = (*JOINTS, *(f"{joint}#2" for joint in JOINTS))


def test_a_good_clip_has_none():
    assert joint_quality(moving(TWO), TWO) == {}


def test_lost_most_of_the_time_or_stuck():
    x = moving(TWO)
    x[0, :, 10:40] = np.nan
    x[3, :, :10] = np.nan
    x[5] = x[5, :, :1]
    x[7, 2] = np.nan  # no depth is no fault
    assert joint_quality(x, TWO) == {
        TWO[0]: "lost in 62 % of the frames",
        TWO[5]: "stuck at one place",
    }


def test_only_the_time_in_which_a_person_is_there_counts():
    x = moving(TWO)
    x[len(JOINTS) :, :, :40] = np.nan
    assert joint_quality(x, TWO) == {}
    x[len(JOINTS) :] = np.nan
    found = joint_quality(x, TWO)
    assert set(found) == set(TWO[len(JOINTS) :])
    assert set(found.values()) == {"the person is never seen"}


def test_somebody_who_never_moves_is_no_fault_of_a_joint():
    assert joint_quality(np.repeat(moving()[..., :1], 30, axis=-1), JOINTS) == {}
