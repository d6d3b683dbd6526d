"""Movement statistics: known movements give known numbers, in any layout, with gaps, and at any rate."""

from __future__ import annotations

import numpy as np
import pytest
from omnipatch.modalities.skeleton.body import resolve_body
from omnipatch.modalities.skeleton.features import N_FEATURES, movement_statistics
from omnipatch.modalities.skeleton.layout import find_layout, layout_names
from skeleton_tokens_kit import JOINTS, moving, standing, turn_about

TWO = (*JOINTS, *(f"{joint}#2" for joint in JOINTS))


def statistics(x, sensors=JOINTS, rate=30.0, **more):
    return movement_statistics(x, resolve_body(sensors), rate, **more)


def angles(found):
    """[series, 13] of the joint angles and directions."""
    series = (N_FEATURES - 1 - 12 * 20) // 13
    return found[: 13 * series].reshape(series, 13)


def bending(frames=61, rate=30.0, joint="elbow", beyond=("wrist", "hand")):
    """A left forearm that bends by a right angle and back, slowest at the turns."""
    x, t = standing(frames=frames), np.arange(frames) / rate
    bend = np.pi / 4 * (1 - np.cos(2 * np.pi * t * rate / (frames - 1)))
    pivot = x[JOINTS.index(f"left_{joint}"), :, 0].copy()
    for name in beyond:
        away = x[JOINTS.index(f"left_{name}"), :, 0] - pivot
        x[JOINTS.index(f"left_{name}")] = (pivot + np.stack([turn_about(0, -b) @ away for b in bend])).T
    return x


class TestKnownMovements:
    def test_the_angle_of_an_elbow(self):
        x = bending()
        a, at, b = (x[JOINTS.index(f"left_{n}")] for n in ("shoulder", "elbow", "wrist"))
        u, v = a - at, b - at
        inside = np.arccos((u * v).sum(0) / np.linalg.norm(u, axis=0) / np.linalg.norm(v, axis=0))
        low, high, span, mean, spread, first, last, when_low, when_high, fast, *_ = angles(statistics(x))[0]
        assert (low, high, mean, spread) == pytest.approx(
            (inside.min(), inside.max(), inside.mean(), inside.std()), abs=1e-5
        )
        assert (span, first, last) == pytest.approx((high - low, inside[0], inside[-1]), abs=1e-5)
        assert when_low == pytest.approx(0.5, abs=0.02)
        assert when_high in (0.0, 1.0)
        assert fast == pytest.approx(np.abs(np.gradient(inside, 1 / 30)).max(), rel=0.1)

    def test_a_joint_that_moves_on_a_line(self):
        x = standing(frames=61)
        x[JOINTS.index("left_hand"), 0] += np.arange(61) / 30.0
        row = statistics(x)[-1 - 12 * 20 : -1].reshape(20, 12)[10]
        p50, p95, path, *box = row
        assert (p50, p95, path) == pytest.approx((1.0, 1.0, 2.0), rel=0.08)
        assert box[6:] == pytest.approx([2.0, 0.0, 0.0], abs=1e-5)
        assert statistics(x)[-1] == pytest.approx(61 / 30)

    def test_standing_still_has_no_speed(self):
        found = angles(statistics(standing()))
        np.testing.assert_allclose(found[:, [2, 4, 9, 10]], 0.0, atol=1e-4)

    def test_a_faster_camera_sees_the_same(self):
        slow, fast = (statistics(bending(n, r), rate=r) for n, r in ((61, 30.0), (121, 60.0)))
        measured = [0, 1, 2, 3, 4, 5, 6, 9, 10]  # the moment of an extreme of what does not move is any
        np.testing.assert_allclose(angles(fast)[:, measured], angles(slow)[:, measured], atol=0.1)


class TestAnyClip:
    @pytest.mark.parametrize("name", layout_names())
    def test_every_layout_gives_the_same_numbers_in_the_same_order(self, name):
        layout = find_layout(name)
        found = movement_statistics(moving(layout.meaning), resolve_body(layout.meaning, layout), 30.0)
        assert found.shape == (N_FEATURES,)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
        assert (found != 0).mean() > 0.5

    def test_pelvis_and_chest_are_between_hips_and_shoulders_where_a_layout_lacks_them(self):
        x, kept = standing(), [i for i, name in enumerate(JOINTS) if name not in ("pelvis", "chest")]
        whole, part = (angles(f) for f in (statistics(x), statistics(x[kept], tuple(JOINTS[i] for i in kept))))
        np.testing.assert_allclose(part[:, :2], whole[:, :2], atol=0.15)

    def test_lost_joints_and_short_gaps_leave_finite_numbers(self):
        x = moving()
        whole = statistics(x)
        x[JOINTS.index("left_knee"), :, 20:24] = np.nan
        np.testing.assert_allclose(angles(statistics(x))[:, :7], angles(whole)[:, :7], atol=0.1)
        x[JOINTS.index("left_knee")] = np.nan
        found = statistics(x)
        assert np.isfinite(found).all()
        assert (found == 0).sum() > (whole == 0).sum() + 60

    @pytest.mark.parametrize("frames", [1, 2, 3, 5])
    def test_short_clips(self, frames):
        assert np.isfinite(statistics(moving(frames=frames))).all()

    def test_nobody_and_flat_poses(self):
        x = moving()
        assert not np.any(statistics(np.full_like(x, np.nan))[:-1])
        x[:, 2] = np.nan
        assert (statistics(x) != 0).mean() > 0.5

    def test_each_person_by_itself(self):
        x = moving(TWO)
        np.testing.assert_array_equal(statistics(x, TWO), statistics(x[: len(JOINTS)]))
        np.testing.assert_allclose(
            angles(statistics(x, TWO, person=1)), angles(statistics(x[len(JOINTS) :])), atol=1e-5
        )
