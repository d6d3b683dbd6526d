"""What a file's joints are: their names, tree, sides, axes and unit, as data.

- Built-in layouts are YAML files in `layouts/`; a layout of one's own is a file of the same form, and is checked alike.
- Every joint says what it means in the vocabulary. Sides, body parts and places follow from that, so a file states them
  only for joints that the vocabulary does not know.
- Axes: x, y and z in the order of the file. `up` says which of them points up, `handed` whether they turn right-handed.

A layout of one's own, joints in the order of the file:

    name: our-lab
    up: z
    unit: mm
    joints:
      - {name: Hips, meaning: pelvis}
      - {name: LThigh, meaning: left_hip, parent: Hips}
      - {name: RThigh, meaning: right_hip, parent: Hips}
      - {name: cane_grip, parent: Hips, part: right_arm, place: [-0.35, -0.1, 0.1]}
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from ...core.errors import InputError, nearest
from .layout_file import read_layout_file
from .layout_rows import (
    ancestors,
    check_keys,
    checked_rows,
    choice,
    joint_index,
    mirrors,
    part_and_place,
    refuse_twice,
)  # fmt: skip
from .vocabulary import VOCABULARY, Place

UPS = ("y", "-y", "z", "-z", "x", "-x")
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "px": 1.0}  # metres; pixels stay pixels
_BUILT_IN = Path(__file__).with_name("layouts")
_KEYS = ("name", "up", "handed", "unit", "joints")


@dataclass(frozen=True)
class SkeletonLayout:
    """The joints of a kind of file. All sequences are in the file's order of joints.

    joints: names in the file.
    meaning: names in the vocabulary, or the file's own where it has none.
    parents: index of the next joint towards the root, -1 = the root (there may be several).
    mirror: index of the joint of the other side, the joint's own in the middle of the body or without a partner.
    parts: one of PARTS for each joint.
    places: (left, up, forward) in metres from the pelvis of a standing person, see `Joint.place`.
    root: index of the first joint without a parent.
    up: the axis that points up, one of UPS. handed: "right" or "left".
    unit: one of UNITS; "px" = an image pose.
    """

    name: str
    joints: tuple[str, ...]
    meaning: tuple[str, ...]
    parents: tuple[int, ...]
    mirror: tuple[int, ...]
    parts: tuple[str, ...]
    places: tuple[Place, ...]
    root: int
    up: str = "y"
    unit: str = "m"
    handed: str = "right"

    @property
    def image(self) -> bool:
        """Whether positions are pixels of an image."""
        return self.unit == "px"


def layout_names() -> tuple[str, ...]:
    """Names of the built-in layouts."""
    return tuple(sorted(path.stem for path in _BUILT_IN.glob("*.yaml")))


def layouts_of(count: int) -> tuple[str, ...]:
    """Built-in layouts with so many joints."""
    return tuple(name for name in layout_names() if len(find_layout(name).joints) == count)


def find_layout(name: str | Path) -> SkeletonLayout:
    """A built-in layout by name, or the user's by the path of its YAML file.

    Raises InputError for an unknown name, with the nearest, and for a file that describes no skeleton.
    """
    if str(name) in layout_names():
        return _built_in(str(name))
    path = Path(name)
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise InputError(
            "unknown skeleton layout", field="layout", got=str(name), expected=nearest(str(name), layout_names()),
            fix="give a built-in name or the path of a YAML file",
        )  # fmt: skip
    return _own(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=16)  # every clip of a data set asks for it
def _own(path: Path, _changed_ns: int) -> SkeletonLayout:
    return layout_from(read_layout_file(path), str(path))


@cache
def _built_in(name: str) -> SkeletonLayout:
    path = _BUILT_IN / f"{name}.yaml"
    return layout_from(read_layout_file(path), path.name)


def layout_from(content: Any, source: str) -> SkeletonLayout:
    """Build and check a layout from the plain data of its YAML file.

    Keys: name, up ("y"), handed ("right"), unit ("m") and joints, a list of {name, meaning, parent, mirror, part,
    place} of which only `name` is always needed. A joint without `meaning` is the vocabulary's of that very name.
    Raises InputError that names file, joint and what is wrong.
    """
    check_keys(content, _KEYS, source, "the layout")
    rows = checked_rows(content.get("joints"), source)
    joints = tuple(row["name"] for row in rows)
    refuse_twice(joints, source, "name")
    meaning = tuple(row.get("meaning", row["name"]) for row in rows)
    refuse_twice(meaning, source, "meaning")
    for row in rows:
        if "meaning" in row and row["meaning"] not in VOCABULARY:
            raise InputError(
                "the vocabulary has no such joint", source=source, field=f"meaning of joint {row['name']}",
                got=row["meaning"], fix=f"{nearest(row['meaning'], VOCABULARY)}, or leave it out and give `part`",
            )  # fmt: skip
    parents = tuple(joint_index(row, "parent", joints, source) for row in rows)
    ancestry = [list(ancestors(i, parents, joints, source)) for i in range(len(joints))]
    parts, places = zip(*(part_and_place(i, rows, meaning, ancestry[i], source) for i in range(len(rows))), strict=True)
    return SkeletonLayout(
        name=str(content.get("name", Path(source).stem)), joints=joints, meaning=meaning, parents=parents,
        mirror=mirrors(rows, joints, meaning, source), parts=parts, places=places, root=parents.index(-1),
        up=choice(content, "up", "y", UPS, source), unit=choice(content, "unit", "m", tuple(UNITS), source),
        handed=choice(content, "handed", "right", ("right", "left"), source),
    )  # fmt: skip
