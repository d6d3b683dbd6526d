"""Positions become a recording, and sensors a body: whatever axes, unit, persons or joints a file had."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omnipatch.core.errors import InputError
from omnipatch.modalities.skeleton.body import index_of, resolve_body
from omnipatch.modalities.skeleton.clip import make_clip, with_unit, zeros_are_lost
from omnipatch.modalities.skeleton.layout import UPS, find_layout, layout_from, layout_names
from omnipatch.modalities.skeleton.vocabulary import PARTS, VOCABULARY

NTU = find_layout("ntu-25")
# unit vectors (right-handed file): where x, y, z of the recording come from, so that `up` comes to lie on +y
UP_VECTORS = {axis: np.eye(3)["xyz".index(axis[-1])] * (-1 if axis[0] == "-" else 1) for axis in UPS}


def _positions(person=1, frame=4, joint=25, axis=3, seed=0):
    return np.random.default_rng(seed).normal(size=(person, frame, joint, axis))


def test_a_clip_has_sensors_persons_and_metres():
    x = _positions(person=2)
    clip = make_clip(x, NTU, 30.0, "a", label=("wave",), subject="P1", extras={"camera": 2})
    assert clip.signals.shape == (50, 3, 4)
    assert clip.signals.dtype == np.float32
    assert clip.sensors[0] == "pelvis"
    assert clip.sensors[25] == "pelvis#2"
    np.testing.assert_allclose(clip.signals[25 + 3, :, 1], x[1, 1, 3], rtol=1e-6)
    assert (clip.unit, clip.sfreq_hz, clip.label, clip.subject) == ("m", 30.0, ("wave",), "P1")
    assert clip.extras == {"camera": 2, "layout": NTU}


@pytest.mark.parametrize("up", UPS)
@pytest.mark.parametrize("handed", ["right", "left"])
def test_axes_are_turned_and_never_mirrored(up, handed):
    """Up comes to y; lengths stay; the hand of the axes is right in the end, so left stays left."""
    x = np.zeros((1, 1, 25, 3))
    x[0, 0, 1:4] = np.eye(3)
    x[0, 0, 4] = UP_VECTORS[up]
    clip = make_clip(x, replace(NTU, up=up, handed=handed), 30, "a").signals[..., 0]
    np.testing.assert_array_equal(clip[4], [0, 1, 0])
    determinant = np.linalg.det(clip[1:4])
    assert determinant == pytest.approx(1 if handed == "right" else -1)
    np.testing.assert_allclose(clip[1:4] @ clip[1:4].T, np.eye(3))


@pytest.mark.parametrize(("unit", "metres"), [("m", 1), ("cm", 0.01), ("mm", 0.001), ("px", 1)])
def test_units(unit, metres):
    clip = make_clip(_positions(), with_unit(NTU, unit), 30, "a")
    np.testing.assert_allclose(clip.signals[:, :, 0], _positions()[0, 0] * metres, rtol=1e-6)
    assert clip.unit == ("px" if unit == "px" else "m")


def test_an_image_pose_has_no_depth_and_y_up():
    x = _positions(joint=17, axis=2) + 100
    clip = make_clip(x, find_layout("coco-17"), 30, "a")
    assert np.isnan(clip.signals[:, 2]).all()
    np.testing.assert_allclose(clip.signals[:, 0, 0], x[0, 0, :, 0], rtol=1e-6)
    np.testing.assert_allclose(clip.signals[:, 1, 0], -x[0, 0, :, 1], rtol=1e-6)


def test_what_was_lost_or_not_trusted_is_nan():
    x = _positions(person=3)
    x[0, 0, 0, 1] = np.nan  # one axis lost = the joint lost
    x[0, 1, 0, 0] = 1e12
    x[0, 2, 0, 2] = np.inf
    x[1] = np.nan  # never there
    confidence = np.ones((3, 4, 25))
    confidence[2, 3, 7] = 0.29
    confidence[2, 3, 8] = np.nan
    clip = make_clip(x, NTU, 30, "a", confidence=confidence)
    assert len(clip.sensors) == 50  # the second person does not exist, the third became the second
    assert np.isnan(clip.signals[0, :, :3]).all()
    assert np.isnan(clip.signals[25 + 7, :, 3]).all()
    assert np.isnan(clip.signals[25 + 8, :, 3]).all()
    assert np.isnan(clip.signals).sum() == 3 * 5
    assert clip.extras["confidence"].shape == (50, 4)
    assert clip.extras["confidence"][25 + 7, 3] == np.float32(0.29)
    np.testing.assert_allclose(clip.signals[25, :, 0], x[2, 0, 0], rtol=1e-6)


def test_zeros_of_lost_joints_are_not_positions():
    x = _positions(person=2)
    x[0, 1, 3] = 0  # a joint for a frame
    x[0, 2] = 0  # a whole frame
    x[1] = 0  # a person who is not there
    y = zeros_are_lost(x)
    assert np.isnan(y[0, 1, 3]).all()
    assert np.isnan(y[0, 2]).all()
    assert np.isnan(y[1]).all()
    assert np.isnan(y).sum() == 3 * (1 + 25 + 100)
    x = _positions()
    x[:, :, 0] = 0  # the centre of coordinates
    x[0, 1] = 0
    y = zeros_are_lost(x)
    assert (y[0, 0, 0] == 0).all()
    assert np.isnan(y[0, 1]).all()


@pytest.mark.parametrize(
    ("positions", "options", "says"),
    [
        (_positions(joint=20), {}, "built-in layouts with 20 joints: kinect-20, msr-20"),
        (_positions(joint=7), {}, "layout of your own"),
        (_positions(frame=0), {}, "no frames"),
        (_positions(person=0), {}, "nobody in it"),
        (_positions() * np.nan, {}, "nobody is seen"),
        (_positions(), {"confidence": np.zeros((1, 4, 25))}, "confidence of at least 0.3"),
        (_positions(), {"confidence": np.zeros((1, 4, 24))}, "confidence does not fit"),
        (_positions(axis=4), {}, "no positions of joints"),
        (np.full((1, 1, 25, 3), "x"), {}, "no positions of joints"),
        (np.full((1, 1, 25, 3), None), {}, "no positions of joints"),
        (_positions(), {"sfreq_hz": 0}, "implausible frame rate"),
        (_positions(), {"sfreq_hz": float("nan")}, "implausible frame rate"),
        (_positions(axis=2), {"layout": replace(NTU, up="z")}, "cannot have depth up"),
    ],
)  # fmt: skip
def test_what_is_no_clip_is_refused(positions, options, says):
    rest = {"layout": NTU, "sfreq_hz": 30, "record": "a"} | options
    with pytest.raises(InputError, match=says):
        make_clip(positions, rest.pop("layout"), rest.pop("sfreq_hz"), rest.pop("record"), **rest)


@pytest.mark.parametrize("name", layout_names())
def test_a_body_knows_the_joints_of_a_layout(name):
    layout = find_layout(name)
    body = resolve_body(layout.meaning, layout)
    assert body.joint == layout.meaning
    assert tuple(body.parent) == layout.parents
    assert tuple(body.mirror) == layout.mirror
    assert tuple(PARTS[part] for part in body.part) == layout.parts
    assert [VOCABULARY[joint].slot for joint in body.joint] == list(body.slot)
    np.testing.assert_allclose(body.place, np.array(layout.places), rtol=1e-6)
    assert index_of(body, "left_knee", 0) == layout.meaning.index("left_knee")
    assert index_of(body, "left_knee", 1) == -1
    with pytest.raises(ValueError, match="read-only"):
        body.parent[0] = 0


@given(st.sampled_from(layout_names()), st.data())
def test_any_subset_in_any_order_is_a_body(name, data):
    """Parents are the nearest ancestors that are left, in the same person; mirroring twice changes nothing."""
    layout = find_layout(name)
    known = [f"{joint}{suffix}" for suffix in ("", "#2") for joint in layout.meaning]
    sensors = data.draw(st.lists(st.sampled_from(known), unique=True, min_size=1))
    body = resolve_body(sensors, layout)
    assert (body.mirror[body.mirror] == np.arange(len(sensors))).all()
    assert (body.person == [s.endswith("#2") for s in sensors]).all()
    taken = [(p, q, s) for p, q, s in zip(body.person, body.part, body.slot, strict=True) if s >= 0]
    assert len(set(taken)) == len(taken)
    for i, joint in enumerate(body.joint):
        at, expected = layout.meaning.index(joint), -1
        while expected < 0 and (at := layout.parents[at]) >= 0:
            expected = index_of(body, layout.meaning[at], int(body.person[i]))
        assert body.parent[i] == expected


def test_without_a_layout_the_vocabulary_says_what_joints_are():
    body = resolve_body(["left_knee", "pelvis", "left_hip#2", "right_knee"])
    assert body.parent.tolist() == [1, -1, -1, 1]
    assert body.mirror.tolist() == [3, 1, 2, 0]
    with pytest.raises(InputError, match=r"left_kne.*did you mean 'left_knee'"):
        resolve_body(["left_kne"])
    assert resolve_body([]).place.shape == (0, 3)


def test_a_marker_near_a_joint_gives_way_to_it():
    body = resolve_body(["left_asis", "left_hip", "left_asis#2"])
    assert body.slot.tolist() == [-1, 0, 0]


def test_a_joint_of_the_users_own_is_part_of_the_body():
    rows = [{"name": "pelvis"}, {"name": "crutch", "parent": "pelvis", "part": "right_arm", "place": [-0.4, -0.5, 0]}]
    body = resolve_body(["crutch#2", "pelvis#2", "left_hip#2"], layout_from({"joints": rows}, "ours"))
    assert body.parent.tolist() == [1, -1, 1]
    assert body.part[0] == PARTS.index("right_arm")
    assert body.slot[0] == -1
    np.testing.assert_allclose(body.place[0], [-0.4, -0.5, 0])
