"""Rotations of joints to places of joints: forward kinematics over a tree, vectorised over frames.

A joint's offset is given in its parent's frame, and its own rotation turns what hangs on it:

    R[j] = R[parent] r[j]        p[j] = p[parent] + R[parent] offset[j]

A root has neither; its offset is its place and its rotation that of the body. The accumulated rotation of the *parent*
moves a joint, never its own: mixing the two up, or the order of the angles, yields feet that skate over the floor.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from ...core.errors import InputError


def euler_rotations(degrees: np.ndarray, order: str) -> np.ndarray:
    """Rotation matrices [..., 3, 3] of angles [..., axis] about moving axes, as motion files write them.

    order: one to three axes as matrices are multiplied, "ZXY" = Rz Rx Ry, no axis twice in a row; the last axis of
    `degrees` goes with it. Raises InputError for another order or an angle that is not finite.
    """
    repeated = any(one == two for one, two in itertools.pairwise(order))
    if not 1 <= len(order) <= 3 or not set(order) <= set("XYZ") or repeated:
        raise InputError("unknown order of rotations", got=order, expected="one to three of X, Y and Z, such as ZXY")
    degrees = np.asarray(degrees, dtype=np.float64)
    if not np.isfinite(degrees).all():
        raise InputError("an angle is not finite")
    turns = Rotation.from_euler(order, degrees.reshape(-1, len(order)), degrees=True)
    return turns.as_matrix().reshape(*degrees.shape[:-1], 3, 3)


def forward_kinematics(offsets: np.ndarray, rotations: np.ndarray, parents: Sequence[int]) -> np.ndarray:
    """Places [frame, joint, 3] in the unit of `offsets`.

    offsets: [frame, joint, 3], or [joint, 3] for bones of constant length.
    rotations: [frame, joint, 3, 3] of each joint in its parent's frame.
    parents: of each joint, -1 = a root; in any order, without a cycle (InputError).
    """
    offsets = np.broadcast_to(offsets, (len(rotations), len(parents), 3))
    places = np.array(offsets, dtype=np.float64)
    turned = np.array(rotations, dtype=np.float64)
    for joint in from_root(parents):
        parent = parents[joint]
        if parent >= 0:
            places[:, joint] = places[:, parent] + np.einsum("fij,fj->fi", turned[:, parent], offsets[:, joint])
            turned[:, joint] = turned[:, parent] @ turned[:, joint]
    return places


def from_root(parents: Sequence[int]) -> list[int]:
    """Joints in an order in which each comes after its parent. Raises InputError for a cycle or an unknown parent."""
    if any(not -1 <= parent < len(parents) for parent in parents):
        raise InputError("a joint's parent is no joint", got=list(parents), expected=f"-1 to {len(parents) - 1}")
    placed, order = {-1}, []
    while len(order) < len(parents):
        ready = [joint for joint, parent in enumerate(parents) if parent in placed and joint not in placed]
        if not ready:
            raise InputError("joints are each other's parents", got=list(parents), expected="a tree")
        order += ready
        placed |= set(ready)
    return order
