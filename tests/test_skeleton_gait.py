"""Gait: a walk whose contacts, shares, lengths and angles are known is measured as it was made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.errors import InputError
from omnipatch.modalities.skeleton.demo_walk import make_walk
from omnipatch.modalities.skeleton.gait import gait_cycles, over_cycles
from omnipatch.modalities.skeleton.gait_measures import gait_report, symmetry_index
from omnipatch.modalities.skeleton.sagittal import joint_angles, side_view
from skeleton_gait_kit import Walk, walk

EVEN = Walk()
LIMP = Walk(left_stance=0.68, right_stance=0.56, offset=0.56, stride_s=1.3, speed_m_per_s=0.8)


@pytest.mark.parametrize("made", [EVEN, LIMP], ids=["even", "limp"])
@pytest.mark.parametrize("treadmill", [False, True])
def test_contacts_are_found_where_they_were_made(made, treadmill):
    recording, _ = walk(made, treadmill=treadmill)
    cycles = gait_cycles(side_view(recording))
    assert len(cycles) >= 10 if made is EVEN else len(cycles) >= 8
    for cycle in cycles:
        later, stance = (0.0, made.left_stance) if cycle.side == "left" else (made.offset, made.right_stance)
        strides = (cycle.contact_s - made.start_s) / made.stride_s - later
        assert abs(strides - round(strides)) * made.stride_s < 0.05
        assert cycle.stride_s == pytest.approx(made.stride_s, abs=0.02)
        assert cycle.stance == pytest.approx(stance, abs=0.06)


@pytest.mark.parametrize("made", [EVEN, LIMP], ids=["even", "limp"])
def test_measures_are_those_of_the_walk(made):
    report = gait_report(walk(made)[0])
    found = report.measures
    assert found["stride_time_s"] == pytest.approx(made.stride_s, abs=0.01)
    assert found["cadence_steps_per_min"] == pytest.approx(120 / made.stride_s, rel=0.01)
    assert found["stride_time_variation_percent"] < 1.0
    assert found["walking_speed_m_per_s"] == pytest.approx(made.speed_m_per_s, rel=0.02)
    assert found["left_stride_length_m"] == pytest.approx(made.speed_m_per_s * made.stride_s, rel=0.02)
    assert found["step_width_m"] == pytest.approx(0.18, abs=0.005)
    assert found["right_step_time_s"] == pytest.approx(made.offset * made.stride_s, abs=0.02)
    assert found["left_step_time_s"] == pytest.approx((1 - made.offset) * made.stride_s, abs=0.02)
    both = 100 * (made.left_stance + made.right_stance - 1)
    assert found["double_support_percent"] == pytest.approx(both, abs=7)


def test_an_even_walk_is_symmetric_and_a_limp_is_not():
    even, limp = gait_report(walk(EVEN)[0]).asymmetry, gait_report(walk(LIMP)[0]).asymmetry
    assert max(abs(value) for value in even.values()) < 2.0
    assert limp["stance_percent"] == pytest.approx(symmetry_index(0.68, 0.56), abs=4)
    assert limp["step_time_s"] == pytest.approx(symmetry_index(0.44, 0.56), abs=4)
    assert limp["knee_flexion_curve_deg"] > 2.0
    assert symmetry_index(0.0, 0.0) == 0.0


def test_angles_are_those_of_the_limbs():
    recording, knees = walk(EVEN)
    angles = joint_angles(side_view(recording))
    for side in ("left", "right"):
        np.testing.assert_allclose(angles[f"{side}_knee_flexion"], knees[side], atol=0.2)
    # the thigh is in front of the body at contact and behind it at the end of stance
    cycles = tuple(c for c in gait_cycles(side_view(recording)) if c.side == "left")
    hip = over_cycles(angles["left_hip_flexion"], cycles, EVEN.sfreq_hz)
    assert hip.shape == (len(cycles), 101)
    assert (hip[:, 0] > 15).all()
    assert (hip[:, 55] < 0).all()
    assert "left_elbow_flexion" not in angles  # no arms were recorded


def test_sides_change_their_roles_in_the_mirror():
    recording, _ = walk(LIMP)
    swap = {"left": "right", "right": "left"}
    names = [f"{swap.get(n.split('_')[0], n.split('_')[0])}{n[len(n.split('_')[0]) :]}" for n in recording.sensors]
    other = replace(recording, signals=recording.signals * np.float32([[-1], [1], [1]]), sensors=tuple(names))
    one, two = gait_report(recording), gait_report(other)
    for name, value in one.asymmetry.items():
        assert two.asymmetry[name] == pytest.approx(value if name.endswith("_curve_deg") else -value, abs=1e-3)


@settings(max_examples=15)
@given(st.floats(-3, 3), st.floats(-0.3, 0.3), st.floats(-5, 5))
def test_where_somebody_walks_and_turns_makes_no_difference(heading, turning, aside):
    """Nobody walks straight: the view follows."""
    straight = gait_report(walk(EVEN, heading=0.0)[0]).measures
    time = np.arange(round(EVEN.seconds * EVEN.sfreq_hz)) / EVEN.sfreq_hz
    recording, _ = walk(EVEN, heading=heading + turning * time)
    recording = replace(recording, signals=recording.signals + np.float32([[aside], [0], [aside]]))
    found = gait_report(recording).measures
    for name in ("stride_time_s", "left_stance_percent", "right_knee_flexion_range_deg", "walking_speed_m_per_s"):
        assert found[name] == pytest.approx(straight[name], rel=0.05)


def test_noise_and_short_gaps_do_not_matter_and_a_lost_foot_does():
    recording, _ = walk(EVEN)
    rng = np.random.default_rng(0)
    x = recording.signals + rng.normal(0, 0.005, recording.signals.shape).astype(np.float32)
    x[:, :, 100:105] = np.nan
    clean, noisy = gait_report(recording), gait_report(replace(recording, signals=x))
    assert len(noisy.cycles) == len(clean.cycles)
    assert noisy.measures["stride_time_s"] == pytest.approx(clean.measures["stride_time_s"], abs=0.02)
    x[recording.sensors.index("left_ankle"), :, 150:300] = np.nan
    fewer = gait_cycles(side_view(replace(recording, signals=x)))
    times = [c for c in fewer if c.side == "left" and c.contact_s < 280 / 60 and c.next_contact_s > 170 / 60]
    assert not times
    assert sum(c.side == "right" for c in fewer) == sum(c.side == "right" for c in clean.cycles)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_walk_seen_from_the_side_in_pixels(sign):
    """Either way along the image; no distances, the same times and knees."""
    recording, _ = walk(EVEN, heading=0.0)
    flat = np.stack([sign * 200 * recording.signals[:, 2], 200 * recording.signals[:, 1]], axis=1)
    flat = np.concatenate([flat, np.full_like(flat[:, :1], np.nan)], axis=1)
    pixels = replace(recording, signals=flat, unit="px")
    found, real = gait_report(pixels).measures, gait_report(recording).measures
    assert found["stride_time_s"] == pytest.approx(real["stride_time_s"], abs=1e-3)
    assert found["left_knee_flexion_range_deg"] == pytest.approx(real["left_knee_flexion_range_deg"], abs=1.0)
    assert found["left_hip_flexion_peak_deg"] == pytest.approx(real["left_hip_flexion_peak_deg"], abs=1.0)
    assert not [name for name in found if name.endswith(("_m", "_m_per_s"))]


@pytest.mark.parametrize("weak", ["left", "right"])
def test_the_limp_of_somebody_before_a_depth_camera(weak):
    """Another model of walking, with its noise and lost joints at 30 Hz: strikes are found, and the weak side."""
    for seed in range(4, 7):
        recording = make_walk(np.random.default_rng(seed), 8.0, asymmetry=0.6, weak=weak)
        report = gait_report(recording)
        for cycle in report.cycles:
            strikes = [a.onset_s for a in recording.annotations if a.label == f"{cycle.side}_foot_strike"]
            assert np.abs(np.subtract(strikes, cycle.contact_s)).min() < 0.08
        sign = -1 if weak == "left" else 1
        assert sign * report.asymmetry["knee_flexion_range_deg"] > 15
        assert sign * report.asymmetry["step_time_s"] < -15


def test_on_a_treadmill_strides_have_no_length_on_the_ground():
    found = gait_report(walk(EVEN, treadmill=True)[0]).measures
    assert "walking_speed_m_per_s" not in found
    assert "left_stride_length_m" not in found
    assert found["left_step_length_m"] > 0.3


def test_the_second_person_is_measured_alone():
    recording, _ = walk(EVEN)
    other, _ = walk(LIMP)
    both = replace(
        recording, signals=np.concatenate([recording.signals, other.signals]),
        sensors=recording.sensors + tuple(f"{name}#2" for name in other.sensors),
    )  # fmt: skip
    assert gait_report(both, 1).measures == gait_report(other).measures


def test_what_is_no_walk_is_refused():
    recording, _ = walk(EVEN)
    still = replace(recording, signals=np.repeat(recording.signals[..., :1], 300, axis=-1))
    with pytest.raises(InputError, match="too few gait cycles, got 0 left, 0 right"):
        gait_report(still)
    with pytest.raises(InputError, match="no such person"):
        gait_report(recording, 1)
    with pytest.raises(InputError, match="too few"):
        gait_report(replace(recording, signals=recording.signals[..., :5]))
    with pytest.raises(InputError, match="too few"):
        gait_report(replace(recording, signals=recording.signals * np.nan))
    feet = [i for i, name in enumerate(recording.sensors) if not name.startswith("left_") or "hip" in name]
    legless = replace(recording, signals=recording.signals[feet], sensors=tuple(recording.sensors[i] for i in feet))
    with pytest.raises(InputError, match="needs the left ankle or foot"):
        gait_report(legless)
    hipless = replace(recording, signals=recording.signals[3:5], sensors=recording.sensors[3:5])
    with pytest.raises(InputError, match="needs the pelvis or both hips"):
        gait_report(hipless)
