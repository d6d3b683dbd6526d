"""What a file's joints are: their names, tree, sides, axes and unit, as data.

- Built-in layouts are YAML files in `layouts/`; a layout of one's own is a file of the same form, and is checked alike.
- Every joint says what it means in the vocabulary. Sides, body parts and places follow from that, so a file states them
  only for joints that the vocabulary does not know.
- Axes: x, y and z in the order of the file. `up` says which of them points up, `handed` whether they turn right-handed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...core.errors import InputError, nearest
from .layout_file import read_layout_file
from .vocabulary import PARTS, VOCABULARY, Place

UPS = ("y", "-y", "z", "-z", "x", "-x")
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "px": 1.0}  # metres; pixels stay pixels
_BUILT_IN = Path(__file__).with_name("layouts")
_KEYS = ("name", "up", "handed", "unit", "joints")
_JOINT_KEYS = ("name", "meaning", "parent", "mirror", "part", "place")


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
    _check_keys(content, _KEYS, source, "the layout")
    rows = _checked_rows(content.get("joints"), source)
    joints = tuple(row["name"] for row in rows)
    _refuse_twice(joints, source, "name")
    meaning = tuple(row.get("meaning", row["name"]) for row in rows)
    _refuse_twice(meaning, source, "meaning")
    for row in rows:
        if "meaning" in row and row["meaning"] not in VOCABULARY:
            raise InputError(
                "the vocabulary has no such joint", source=source, field=f"meaning of joint {row['name']}",
                got=row["meaning"], fix=f"{nearest(row['meaning'], VOCABULARY)}, or leave `meaning` out and give `part`",
            )  # fmt: skip
    parents = tuple(_index(row, "parent", joints, source) for row in rows)
    ancestry = [list(_ancestors(i, parents, joints, source)) for i in range(len(joints))]
    parts, places = zip(
        *(_part_and_place(i, rows, meaning, ancestry[i], source) for i in range(len(rows))), strict=True
    )
    return SkeletonLayout(
        name=str(content.get("name", Path(source).stem)), joints=joints, meaning=meaning, parents=parents,
        mirror=_mirrors(rows, joints, meaning, source), parts=parts, places=places, root=parents.index(-1),
        up=_choice(content, "up", "y", UPS, source), unit=_choice(content, "unit", "m", tuple(UNITS), source),
        handed=_choice(content, "handed", "right", ("right", "left"), source),
    )  # fmt: skip


def _checked_rows(rows: Any, source: str) -> list[dict[str, Any]]:
    """The list of joints with known keys only, text where text belongs, and no empty values."""
    if not isinstance(rows, list) or not rows:
        raise InputError("a layout needs a list of joints", source=source, field="joints", got=rows)
    checked = []
    for number, row in enumerate(rows):
        _check_keys(row, _JOINT_KEYS, source, f"joint {number + 1}")
        row = {key: value for key, value in row.items() if value not in (None, "")}
        for key, value in row.items():
            if key != "place" and not isinstance(value, str):
                raise InputError(f"{key} is not text", source=source, field=f"joint {number + 1}", got=value)
        if "#" in row.get("name", "#"):
            raise InputError(
                "a joint needs a name", source=source, field=f"joint {number + 1}", got=row.get("name"),
                expected="text without #, which numbers persons",
            )  # fmt: skip
        checked.append(row)
    return checked


def _check_keys(found: Any, known: tuple[str, ...], source: str, where: str) -> None:
    if not isinstance(found, Mapping):
        raise InputError("wrong form", source=source, field=where, got=found, expected=f"keys {', '.join(known)}")
    for key in found:
        if key not in known:
            raise InputError("unknown key", source=source, field=where, got=key, fix=nearest(str(key), known))


def _refuse_twice(names: tuple[str, ...], source: str, field: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError("two joints are called alike", source=source, field=field, got=name)


def _choice(content: Mapping[str, Any], key: str, default: str, known: tuple[str, ...], source: str) -> str:
    value = content.get(key, default)
    if value not in known:
        raise InputError(f"unknown {key}", source=source, field=key, got=value, expected=f"one of {', '.join(known)}")
    return value


def _index(row: Mapping[str, Any], key: str, joints: tuple[str, ...], source: str) -> int:
    """Index of the joint that a row names under `key`; -1 where it names none."""
    name = row.get(key)
    if name is None:
        return -1
    if name not in joints:
        raise InputError(
            f"unknown {key}", source=source, field=f"joint {row['name']}", got=name,
            expected=f"a joint of the layout ({nearest(name, joints)})",
        )  # fmt: skip
    return joints.index(name)


def _ancestors(joint: int, parents: tuple[int, ...], joints: tuple[str, ...], source: str) -> Iterator[int]:
    at = parents[joint]
    for _ in parents:
        if at < 0:
            return
        yield at
        at = parents[at]
    raise InputError(
        "parents run in a circle", source=source, field=f"joint {joints[joint]}", fix="leave `parent` out at the root"
    )


def _mirrors(rows: list, joints: tuple[str, ...], meaning: tuple[str, ...], source: str) -> tuple[int, ...]:
    """What rows declare, else what the vocabulary says. Raises InputError unless mirroring twice changes nothing."""
    at = {name: i for i, name in enumerate(meaning)}
    declared = [_index(row, "mirror", joints, source) for row in rows]
    found = []
    for i, name in enumerate(meaning):
        known = at.get(VOCABULARY[name].mirror, i) if name in VOCABULARY else i
        other = next((j for j, back in enumerate(declared) if back == i and declared[j] >= 0), known)
        found.append(declared[i] if declared[i] >= 0 else other)
    for i, j in enumerate(found):
        if found[j] != i:
            raise InputError(
                "mirror is not symmetric", source=source, field=f"joint {joints[i]}", got=joints[j],
                expected=f"{joints[j]} to mirror it, not {joints[found[j]]}",
            )  # fmt: skip
    return tuple(found)


def _part_and_place(
    i: int, rows: list, meaning: tuple[str, ...], ancestry: list[int], source: str
) -> tuple[str, Place]:
    """Of the vocabulary, of the file, or of the nearest ancestor that has one."""
    part, place = None, None
    for j in (i, *ancestry):
        known = VOCABULARY.get(meaning[j])
        part = part or rows[j].get("part") or (known and known.part)
        place = place or rows[j].get("place") or (known and known.place)
    if part not in PARTS:
        raise InputError(
            "a joint that the vocabulary does not know needs a body part" if part is None else "unknown body part",
            source=source, field=f"joint {rows[i]['name']}", got=part, expected=f"part: one of {', '.join(PARTS)}",
        )  # fmt: skip
    return part, _place(place if place is not None else (0.0, 0.0, 0.0), f"{source}: joint {rows[i]['name']}")


def _place(value: Any, source: str) -> Place:
    try:
        x, y, z = (float(v) for v in value)
        if abs(x) + abs(y) + abs(z) < 5.0:  # metres; also refuses NaN
            return x, y, z
    except (TypeError, ValueError):
        pass
    raise InputError("no place in a body", source=source, field="place", got=value, expected="[left, up, forward] in m")
