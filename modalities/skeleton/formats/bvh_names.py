"""What joints of BVH files are called, in terms of the vocabulary: CMU, Mixamo, Biped, Rigify and others.

A joint carries the name of the bone that begins at it, so "LeftLeg" is a knee and "LeftHand" a wrist. Other programs
call joints by their own names ("LeftKnee"); where a file has such a name, it wins, and "LeftHand" is a hand then.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..vocabulary import known_joint

# bone -> the joint at which it begins
_BEGINS = {
    "arm": "shoulder", "upperarm": "shoulder", "uparm": "shoulder", "forearm": "elbow", "lowerarm": "elbow",
    "hand": "wrist", "upleg": "hip", "upperleg": "hip", "thigh": "hip", "leg": "knee", "lowerleg": "knee",
    "calf": "knee", "shin": "knee", "foot": "ankle", "toebase": "foot", "toe": "foot", "toe0": "foot",
}  # fmt: skip
_MIDDLE = {"hips": "pelvis", "pelvis": "pelvis", "headtopend": "head_top"}
_NAMESPACE = re.compile(r"^.*:|^(mixamorig|character|bip|skel)\d*[_ ]+", re.IGNORECASE)
_SIDE = re.compile(r"^(left|right|[lr](?=[A-Z]))|^([lr])[ _.]|[ _.](left|right|[lr])$", re.IGNORECASE)


def meanings(names: Sequence[str], parents: Sequence[int]) -> list[str]:
    """Names in the vocabulary of joints of a file, "" where it has none; no name twice.

    parents: index of each, -1 = the root.
    """
    bare = [_NAMESPACE.sub("", name) for name in names]
    bones = [_bone(name) for name in bare]
    begun = {side for side, bone in bones if side and bone in ("arm", "upperarm", "uparm")}
    exact = [known_joint(name) or "" for name in bare]
    found = [""] * len(names)

    def settle(joint: int, meaning: str) -> None:
        if meaning and meaning not in found and not found[joint]:
            found[joint] = meaning

    for joint, (side, bone) in enumerate(bones):
        if not side and bone in _MIDDLE:  # before a "root" between the feet, which others call the pelvis
            settle(joint, _MIDDLE[bone])
    for joint, (side, bone) in enumerate(bones):
        if bone == "shoulder" and side in begun:  # the bone from the chest to where the arm begins
            settle(joint, f"{side}_collar")
        elif bone not in _BEGINS or not side:
            settle(joint, exact[joint])
    for joint, (side, bone) in enumerate(bones):
        if side and bone in _BEGINS:
            settle(joint, f"{side}_{_BEGINS[bone]}")
    for joint, meaning in enumerate(exact):
        settle(joint, meaning)
    # numbered bones of the spine: what carries the neck is the chest
    if "neck" in found and parents[found.index("neck")] >= 0:
        settle(parents[found.index("neck")], "chest")
    settle(list(parents).index(-1), "pelvis")
    return found


def _bone(name: str) -> tuple[str, str]:
    """("left", "upleg") of "LeftUpLeg", "upleg_L" or "L UpLeg"; the side is "" where there is none."""
    found = _SIDE.search(name)
    if found is None:
        return "", _plain(name)
    mark = next(group for group in found.groups() if group)
    return {"l": "left", "r": "right"}[mark[0].lower()], _plain(name[: found.start()] + name[found.end() :])


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
