"""Streams: bones, speeds, and which parent a bone comes from."""

from __future__ import annotations

import numpy as np
import pytest
from omnipatch.core.errors import InputError
from omnipatch.modalities.skeleton.body import resolve_body
from omnipatch.modalities.skeleton.layout import find_layout
from omnipatch.modalities.skeleton.streams import STREAMS, bones, check_streams, parent_names, speed, stack_streams
from skeleton_tokens_kit import JOINTS, moving


def test_streams_stand_side_by_side_in_the_order_of_their_names():
    x, body = moving(), resolve_body(JOINTS)
    bone = bones(x, body.parent)
    for names in (STREAMS, ("motion", "joint")):
        found = stack_streams(x, body.parent, names, 30.0)
        own = {"joint": x, "bone": bone, "motion": speed(x, 30.0), "bone_motion": speed(bone, 30.0)}
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, np.concatenate([own[n] for n in names], axis=1), atol=1e-6)


def test_a_bone_is_from_the_parent_to_the_joint_and_the_root_has_none():
    x, body = moving(), resolve_body(JOINTS)
    bone = bones(x, body.parent)
    knee, hip = JOINTS.index("left_knee"), JOINTS.index("left_hip")
    np.testing.assert_array_equal(bone[knee], x[knee] - x[hip])
    assert np.isnan(bone[JOINTS.index("pelvis")]).all()


class TestSpeed:
    @pytest.mark.parametrize("rate", [15.0, 60.0])
    def test_it_is_per_second_at_any_rate(self, rate):
        t = np.arange(40) / rate
        np.testing.assert_allclose(speed(np.stack([3.0 * t, 0 * t]), rate), np.stack([3.0 + 0 * t, 0 * t]), atol=1e-9)

    def test_inside_it_is_the_central_difference(self):
        x = np.random.default_rng(0).normal(size=(2, 3, 20))
        np.testing.assert_allclose(speed(x, 30.0)[..., 1:-1], np.gradient(x, 1 / 30.0, axis=-1)[..., 1:-1])

    def test_beside_a_gap_it_looks_away_from_it(self):
        x = np.arange(10.0)
        x[4:6] = np.nan
        found = speed(x, 2.0)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(x))
        np.testing.assert_allclose(found[np.isfinite(found)], 2.0)

    def test_one_frame_has_no_speed(self):
        assert np.isnan(speed(np.ones((2, 1)), 30.0)).all()


class TestParents:
    def test_without_a_layout_the_nearest_that_was_recorded(self):
        kept = tuple(joint for joint in JOINTS if joint != "left_knee")
        found = parent_names(kept, None)
        assert (found["left_ankle"], found["pelvis"]) == ("left_hip", "")

    def test_with_one_a_lost_joint_lends_nobody_another_bone(self):
        layout = find_layout("ntu-25")
        kept = tuple(joint for joint in layout.meaning if joint != "left_knee")
        found = parent_names((*kept, "left_ankle#2"), layout)
        assert found["left_ankle"] == "left_knee"
        assert found["left_ankle#2"] == "left_knee#2"

    def test_every_layout_has_parents_of_its_own(self):
        for name in ("coco-17", "kinect-20", "mediapipe-33", "ui-prmd-22", "vicon-39"):
            layout = find_layout(name)
            found = parent_names(layout.meaning, layout)
            assert set(found) == set(layout.meaning)
            assert {parent for parent in found.values() if parent} <= set(layout.meaning)


@pytest.mark.parametrize(("names", "words"), [(("joint", "bones"), "did you mean"), ((), "once each"),
                                              (("joint", "joint"), "once each")])  # fmt: skip
def test_bad_names_are_one_sentence(names, words):
    with pytest.raises(InputError, match=words):
        check_streams(names)
