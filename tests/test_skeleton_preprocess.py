"""Preprocessing of clips: jumps, gaps, rates, and a frame of reference that does not depend on the camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.errors import InputError
from omnipatch.modalities.skeleton.body import resolve_body
from omnipatch.modalities.skeleton.frame_of_reference import TORSO_M, body_size, facing, root_path
from omnipatch.modalities.skeleton.gaps import at_frames, bridged, frames_at, without_jumps
from omnipatch.modalities.skeleton.preprocess import PreprocessConfig, preprocess
from skeleton_tokens_kit import JOINTS, moving, recording, standing, turn_about

TWO = (*JOINTS, *(f"{joint}#2" for joint in JOINTS))
PLAIN = PreprocessConfig()


def prepared(clip, config=PLAIN):
    return preprocess(clip, resolve_body(clip.sensors), config).stretch(slice(None), config.centre == "frame")


def at(sensor, sensors=JOINTS):
    return sensors.index(sensor)


class TestGaps:
    def test_short_ones_are_straight_lines_and_long_ones_stay(self):
        x = np.tile(np.arange(30.0), (2, 3, 1))
        x[0, :, 5:8] = np.nan
        x[1, :, 10:20] = np.nan
        found = bridged(x, 3)
        np.testing.assert_allclose(found[0], np.tile(np.arange(30.0), (3, 1)))
        np.testing.assert_array_equal(np.isnan(found[1]), np.isnan(x[1]))

    def test_nothing_is_said_before_the_first_and_after_the_last_frame(self):
        x = np.full((1, 3, 12), np.nan)
        x[..., 2:-1] = 1.0
        np.testing.assert_array_equal(np.isnan(bridged(x, 5)), np.isnan(x))

    @pytest.mark.parametrize("first", [0, 14, 29])
    def test_a_jump_is_lost_wherever_it_is(self, first):
        x = moving(frames=30)
        x[at("left_hand"), 0, first] += 0.6
        found = without_jumps(x, 0.5, 30.0)
        lost = np.zeros_like(x, bool)
        lost[at("left_hand"), :, first] = True
        np.testing.assert_array_equal(np.isnan(found), lost)

    def test_fast_movement_is_no_jump(self):
        x = standing()
        x[at("left_hand"), 1] += np.arange(48) * (6.0 / 30.0)  # six metres a second
        assert np.isfinite(without_jumps(x, 0.5, 30.0)).all()

    def test_a_flat_pose_can_jump_too(self):
        x = moving(frames=30)
        x[:, 2] = np.nan
        x[3, 0, 9] += 2.0
        assert np.isnan(without_jumps(x, 0.5, 30.0)[3, 0, 9])
        assert np.isfinite(without_jumps(x, 0.5, 30.0)[:, 0]).sum() == 30 * len(JOINTS) - 1


class TestRates:
    @pytest.mark.parametrize("rate", [12.5, 24.0, 60.0, 120.0])
    def test_seconds_stay_where_they_are(self, rate):
        t = np.arange(round(3 * rate)) / rate
        found = at_frames(np.sin(2 * np.pi * 0.5 * t)[None], frames_at(len(t), rate, 30.0))
        assert found.shape[1] == pytest.approx(90, abs=1)
        seconds = np.arange(found.shape[1]) / 30.0
        inside = (seconds > 0.2) & (seconds < 2.8)
        np.testing.assert_allclose(found[0, inside], np.sin(2 * np.pi * 0.5 * seconds[inside]), atol=0.01)

    def test_what_lies_beside_a_lost_frame_is_lost(self):
        x = np.arange(10.0)[None]
        x[0, 5] = np.nan
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(at_frames(x, frames_at(10, 15.0, 30.0)))), [9, 10, 11])

    def test_towards_a_slower_rate_jitter_does_not_become_movement(self):
        x = np.tile([1.0, -1.0], 60)[None]
        assert np.abs(at_frames(x, frames_at(120, 120.0, 30.0))[0, 2:-2]).max() < 0.05

    @pytest.mark.parametrize("frames", [2, 17, 48, 90])
    def test_every_clip_has_the_wanted_frames_at_its_true_rate(self, frames):
        config = PreprocessConfig(frames=32)
        clip = preprocess(recording(moving(frames=frames)), resolve_body(JOINTS), config)
        assert clip.positions.shape == (len(JOINTS), 3, 32)
        assert (32 - 1) / clip.moving_hz == pytest.approx((frames - 1) / 30.0)


class TestFrameOfReference:
    @settings(max_examples=25, deadline=None)
    @given(st.floats(-np.pi, np.pi), st.floats(0.3, 3.0), st.tuples(*[st.floats(-5, 5)] * 3), st.integers(0, 99))
    def test_neither_camera_nor_height_matters(self, angle, size, offset, seed):
        x = moving(TWO, seed=seed)
        seen = np.einsum("ij,sjf->sif", turn_about(1, angle), size * x) + np.array(offset)[:, None]
        config = PreprocessConfig(despike=0.0)
        np.testing.assert_allclose(
            prepared(recording(seen, TWO), config), prepared(recording(x, TWO), config), atol=2e-4
        )

    def test_persons_keep_their_distance(self):
        x = standing(TWO)
        found = prepared(recording(x, TWO))
        apart = found[at("pelvis#2", TWO)] - found[at("pelvis", TWO)]
        np.testing.assert_allclose(apart, np.tile([[1.5 / TORSO_M], [0.0], [0.0]], 48), atol=1e-5)

    def test_the_first_person_faces_forward_and_has_a_torso_of_one(self):
        found = prepared(recording(np.einsum("ij,sjf->sif", turn_about(1, 2.0), standing())))
        hips, shoulders = ((found[at(f"left_{n}")] + found[at(f"right_{n}")]) / 2 for n in ("hip", "shoulder"))
        np.testing.assert_allclose(np.linalg.norm(shoulders - hips, axis=0), 1.0, atol=1e-5)
        across = found[at("left_hip")] - found[at("right_hip")]
        assert (across[0] > 0).all()
        np.testing.assert_allclose(across[1:], 0.0, atol=1e-5)
        assert (found[at("left_foot"), 2] > found[at("left_ankle"), 2]).all()

    def test_a_bone_badly_tracked_and_joints_unknown_do_not_change_the_size(self):
        x, body = standing(), resolve_body(JOINTS)
        assert body_size(x, body, "m") == pytest.approx(TORSO_M, rel=1e-5)
        x[at("left_ankle")] *= 3.0
        assert body_size(x, body, "m") == pytest.approx(TORSO_M, rel=0.02)
        few = tuple(joint for joint in JOINTS if "leg" not in joint and "knee" not in joint)[::2]
        assert body_size(1.3 * standing(few), resolve_body(few), "m") == pytest.approx(1.3 * TORSO_M, rel=1e-4)

    def test_the_centre_may_be_the_start_every_frame_or_none(self):
        x = standing() + np.linspace(0, 2, 48)
        root = at("pelvis")
        start, frame, none = (
            prepared(recording(x), PreprocessConfig(centre=c, body_scale=False)) for c in ("start", "frame", "none")
        )
        np.testing.assert_allclose(start[root, :, 2], 0.0, atol=1e-6)
        assert start[root, 0, -1] == pytest.approx(2.0, abs=0.1)
        np.testing.assert_allclose(frame[root], 0.0, atol=1e-6)
        np.testing.assert_allclose(none, x, atol=1e-6)

    @pytest.mark.parametrize(("gone", "near"), [
        (("pelvis",), (0.0, -0.03, 0.0)),  # middle of the hips
        (("pelvis", "left_hip"), (0.0, 0.0, 0.0)),  # the standard person's, laid on the trunk
        (("pelvis", "left_hip", "right_hip", "spine"), (0.0, 0.505, 0.0)),  # middle of chest and neck: all on one line
        (("pelvis", "spine", "chest", "neck", "left_hip", "right_hip"), None),
    ])  # fmt: skip
    @pytest.mark.parametrize("how", ["absent", "lost"])
    def test_a_lost_root_falls_back(self, gone, near, how):
        x, sensors = standing(), JOINTS
        if how == "lost":
            x[[at(joint) for joint in gone]] = np.nan
        else:
            sensors = tuple(joint for joint in JOINTS if joint not in gone)
            x = standing(sensors)
        found = prepared(recording(x, sensors), PreprocessConfig(body_scale=False))
        assert np.isfinite(found).any()
        assert np.nanmax(np.abs(found)) < 1.5
        if near is not None:
            head = at("head", sensors)
            np.testing.assert_allclose(found[head, :, 0], np.subtract((0, 0.66, 0.02), near), atol=0.01)

    @given(angles=st.tuples(*[st.floats(-3.1, 3.1)] * 3), size=st.floats(0.5, 2.0), seed=st.integers(0, 99))
    @settings(max_examples=25, deadline=None)
    def test_without_hips_the_root_is_where_the_trunk_says_however_somebody_lies(self, angles, size, seed):
        place = np.random.default_rng(seed).uniform(-3, 3, (3, 1)).astype(np.float32)
        turned = [turn_about(axis, angle) for axis, angle in enumerate(angles)]
        x = size * np.einsum("ab,jbf->jaf", turned[0] @ turned[1] @ turned[2], standing()) + place
        gone = x.copy()
        gone[[at(joint) for joint in ("pelvis", "left_hip", "right_hip")]] = np.nan
        path = root_path(gone.astype(np.float32), resolve_body(JOINTS))
        np.testing.assert_allclose(path, np.repeat(place, path.shape[1], axis=1), atol=2e-3)

    @pytest.mark.parametrize("gone", [
        ("right_hip", "right_shoulder"),  # told from the trunk
        ("right_hip", "right_shoulder", "spine", "chest", "neck", "pelvis"),  # from knees, elbows, ankles, wrists
    ])  # fmt: skip
    @given(angle=st.floats(-3.1, 3.1))
    @settings(max_examples=10, deadline=None)
    def test_who_faces_where_is_told_without_a_side_of_hips_and_shoulders(self, gone, angle):
        x = np.einsum("ab,jbf->jaf", turn_about(1, angle), moving(frames=20)).astype(np.float32)
        whole = facing(x, resolve_body(JOINTS))
        x[[at(joint) for joint in gone]] = np.nan
        apart = facing(x, resolve_body(JOINTS)) - whole
        assert abs(np.angle(np.exp(1j * apart))) < 0.35

    def test_where_the_root_is_guessed_from_the_trunk_others_hardly_move(self):
        x = moving()
        whole = prepared(recording(x))
        x[[at(joint) for joint in ("pelvis", "left_hip", "right_hip")]] = np.nan
        found = prepared(recording(x))
        seen = np.isfinite(found)
        assert np.abs(found[seen] - whole[seen]).max() < 0.35  # of a torso; the middle of the trunk lies 0.86 above

    def test_a_root_lost_for_a_while_does_not_shake_the_others(self):
        x = moving(frames=60)
        x[at("pelvis"), :, 20:40] = np.nan
        found = prepared(recording(x), PreprocessConfig(centre="frame"))
        whole = prepared(recording(moving(frames=60)), PreprocessConfig(centre="frame"))
        assert np.abs(np.diff(found[at("head")], axis=1)).max() < 3 * np.abs(np.diff(whole[at("head")], axis=1)).max()

    def test_a_flat_pose_stays_flat(self):
        x = 400 * moving()
        x[:, 2] = np.nan
        found = prepared(recording(x, unit="px"))
        assert np.isnan(found[:, 2]).all()
        assert np.isfinite(found[:, :2]).all()
        assert facing(x, resolve_body(JOINTS)) == 0.0
        assert found[at("head"), 1].mean() - found[at("left_ankle"), 1].mean() == pytest.approx(
            1.52 / TORSO_M, rel=0.15
        )

    def test_somebody_who_turns_round_is_left_as_recorded(self):
        x = np.stack([turn_about(1, angle) @ standing()[..., 0].T for angle in np.linspace(0, 2 * np.pi, 48)], axis=2)
        assert facing(x.transpose(1, 0, 2), resolve_body(JOINTS)) == 0.0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_whatever_is_lost_nothing_is_invented_and_nothing_is_infinite(seed):
    rng = np.random.default_rng(seed)
    x = moving(TWO, frames=int(rng.integers(2, 50)), seed=seed)
    x[rng.random(x.shape[:1]) < rng.random(), :, :] = np.nan
    x = np.where((rng.random((len(x), 1, x.shape[2])) < rng.random()), np.nan, x).astype(np.float32)
    clip, config = recording(x, TWO), PreprocessConfig(gap_s=0.0)
    if not np.isfinite(x).any():
        with pytest.raises(InputError, match="nobody is seen"):
            prepared(clip, config)
        return
    found = prepared(clip, config)
    assert not np.isinf(found).any()
    assert not (np.isfinite(found) & np.isnan(x)).any()
    assert np.isfinite(found).sum() >= 0.95 * np.isfinite(x).sum()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"signals": standing()[:, :2]}, "wrong shape"),
        ({"signals": standing()[..., :1]}, "too short, got 1 frames"),
        ({"signals": np.full_like(standing(), np.nan)}, "nobody is seen"),
        ({"unit": "cm"}, "wrong unit"),
    ],
)
def test_bad_clips_are_one_sentence(changes, words):
    with pytest.raises(InputError, match=words):
        prepared(replace(recording(standing()), **changes))


@pytest.mark.parametrize("options", [{"sfreq_hz": 0}, {"frames": 1}, {"gap_s": -1.0}, {"despike": -1.0}])
def test_bad_settings_are_one_sentence(options):
    with pytest.raises(InputError, match=f"modality.{next(iter(options))}"):
        PreprocessConfig(**options)
