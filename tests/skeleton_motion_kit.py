"""What tests of motion share: a walking-stick person as a BVH file, with places that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

# (name, parent, offset in centimetres) of a person with CMU's names; y up, x to the left
BODY = (
    ("Hips", -1, (0, 0, 0)),
    ("LeftUpLeg", 0, (9, -3, 0)),
    ("LeftLeg", 1, (0, -42, 0)),
    ("LeftFoot", 2, (0, -41, 0)),
    ("LeftToeBase", 3, (0, -6, 14)),
    ("RightUpLeg", 0, (-9, -3, 0)),
    ("RightLeg", 5, (0, -42, 0)),
    ("RightFoot", 6, (0, -41, 0)),
    ("RightToeBase", 7, (0, -6, 14)),
    ("Spine", 0, (0, 25, 0)),
    ("Spine1", 9, (0, 22, 0)),
    ("Neck", 10, (0, 7, 0)),
    ("Head", 11, (0, 12, 0)),
    ("LeftShoulder", 10, (5, 0, 0)),
    ("LeftArm", 13, (13, 0, 0)),
    ("LeftForeArm", 14, (28, 0, 0)),
    ("LeftHand", 15, (26, 0, 0)),
    ("RightShoulder", 10, (-5, 0, 0)),
    ("RightArm", 17, (-13, 0, 0)),
    ("RightForeArm", 18, (-28, 0, 0)),
    ("RightHand", 19, (-26, 0, 0)),
)
NAMES = tuple(name for name, _, _ in BODY)
PARENTS = tuple(parent for _, parent, _ in BODY)
TIPS = {"Head": (0, 12, 0), "LeftToeBase": (0, 0, 5)}  # end sites


def bvh_text(
    degrees: np.ndarray,
    root: np.ndarray,
    order: str = "ZXY",
    scale: float = 1.0,
    frame_s: str = "0.0333333",
    turn: tuple[int, int, int] = (0, 1, 2),
) -> str:
    """A BVH file of angles [frame, joint, 3] (columns in `order`) and places of the root [frame, 3] in centimetres.

    turn: which of a body's axes is written as x, y and z.
    """
    lines = ["HIERARCHY"]

    def offset(xyz) -> str:
        return " ".join(f"{scale * xyz[axis]:.6f}" for axis in turn)

    def joint(number: int, depth: int) -> None:
        name, parent, xyz = BODY[number]
        pad = "\t" * depth
        lines.append(f"{pad}{'JOINT' if parent >= 0 else 'ROOT'} {name}")
        lines.append(f"{pad}{{")
        lines.append(f"{pad}\tOFFSET {offset(xyz)}")
        channels = [f"{axis}rotation" for axis in order]
        channels = channels if parent >= 0 else ["Xposition", "Yposition", "Zposition", *channels]
        lines.append(f"{pad}\tCHANNELS {len(channels)} {' '.join(channels)}")
        for child in np.flatnonzero(np.array(PARENTS) == number):
            joint(int(child), depth + 1)
        if name in TIPS:
            lines.extend([f"{pad}\tEnd Site", f"{pad}\t{{", f"{pad}\t\tOFFSET {offset(TIPS[name])}", f"{pad}\t}}"])
        lines.append(f"{pad}}}")

    joint(0, 0)
    lines += ["MOTION", f"Frames: {len(degrees)}", f"Frame Time: {frame_s}"]
    for angles, place in zip(degrees, root, strict=True):
        moved = [f"{scale * place[axis]:.6f}" for axis in turn]
        lines.append(" ".join([*moved, *(f"{angle:.6f}" for angle in angles[depth_first()].ravel())]))
    return "\n".join(lines) + "\n"


def depth_first() -> list[int]:
    """Joints in the order in which the file lists them."""
    order: list[int] = []

    def visit(number: int) -> None:
        order.append(number)
        for child in np.flatnonzero(np.array(PARENTS) == number):
            visit(int(child))

    visit(0)
    return order


def movement(seed: int = 0, frames: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Angles and places of the root of someone who moves."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-40, 40, (frames, len(BODY), 3)), rng.normal((0, 95, 0), 5, (frames, 3))


def write_bvh(path: Path, **options) -> Path:
    path.write_text(bvh_text(*movement(), **options))
    return path
