"""Forward kinematics: rotations are rotations, bones keep their length, and parents move children."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.errors import InputError
from omnipatch.modalities.skeleton.kinematics import euler_rotations, forward_kinematics, from_root

ORDERS = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX", "ZX", "Y", "XYX")


def about(axis: str, degrees: float) -> np.ndarray:
    """A rotation matrix written out."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return {
        "X": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "Y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "Z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


@settings(max_examples=30)
@given(st.sampled_from(ORDERS), st.lists(st.floats(-720, 720), min_size=3, max_size=3))
def test_an_order_is_the_product_of_its_matrices(order, degrees):
    degrees = degrees[: len(order)]
    product = np.eye(3)
    for axis, angle in zip(order, degrees, strict=True):
        product = product @ about(axis, angle)
    np.testing.assert_allclose(euler_rotations(np.array([[degrees]]), order)[0, 0], product, atol=1e-9)


@pytest.mark.parametrize("order", ["", "ABC", "XYZX", "XXY"])
def test_other_orders_are_refused(order):
    with pytest.raises(InputError, match="unknown order of rotations"):
        euler_rotations(np.zeros((1, max(1, len(order)))), order)


def test_an_angle_must_be_finite():
    with pytest.raises(InputError, match="not finite"):
        euler_rotations(np.array([[0.0, np.nan, 0.0]]), "XYZ")


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_bones_keep_their_length_and_a_turned_root_turns_all(seed):
    rng = np.random.default_rng(seed)
    joints = int(rng.integers(2, 9))
    parents = [-1, *(int(rng.integers(0, j)) for j in range(1, joints))]
    offsets = rng.normal(size=(joints, 3))
    degrees = rng.uniform(-180, 180, (5, joints, 3))
    places = forward_kinematics(offsets, euler_rotations(degrees, "ZXY"), parents)
    bones = np.linalg.norm(places[:, 1:] - places[:, parents[1:]], axis=-1)
    np.testing.assert_allclose(bones, np.broadcast_to(np.linalg.norm(offsets[1:], axis=-1), bones.shape))

    turn = euler_rotations(np.array([40.0]), "Y")
    rotations = euler_rotations(degrees, "ZXY")
    rotations[:, 0] = turn @ rotations[:, 0]
    turned = forward_kinematics(offsets, rotations, parents)
    root = places[:, :1]
    np.testing.assert_allclose(turned - root, (places - root) @ turn.T, atol=1e-9)


def test_a_parent_s_accumulated_rotation_moves_a_joint_and_its_own_does_not():
    """An arm of three bones along x: bent at the second joint, the third goes up and the second stays."""
    offsets = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]], float)
    degrees = np.zeros((1, 4, 1))
    degrees[0, 1] = degrees[0, 2] = 90
    places = forward_kinematics(offsets, euler_rotations(degrees, "Z"), [-1, 0, 1, 2])[0]
    np.testing.assert_allclose(places, [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], atol=1e-12)


def test_joints_may_come_in_any_order():
    rng = np.random.default_rng(0)
    parents, offsets, degrees = [-1, 0, 1, 1, 3], rng.normal(size=(4, 5, 3)), rng.uniform(-90, 90, (4, 5, 3))
    order = [4, 2, 0, 3, 1]
    moved = [-1 if parents[j] < 0 else order.index(parents[j]) for j in order]
    one = forward_kinematics(offsets, euler_rotations(degrees, "XYZ"), parents)
    two = forward_kinematics(offsets[:, order], euler_rotations(degrees[:, order], "XYZ"), moved)
    np.testing.assert_allclose(two, one[:, order])


@pytest.mark.parametrize("parents", [[1, 0], [-1, 5], [-1, -2], [-1, 2, 1]])
def test_what_is_no_tree(parents):
    with pytest.raises(InputError):
        from_root(parents)
