"""The rows of a layout's joints, checked: names, parents, sides, parts and places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...core.errors import InputError, nearest
from .vocabulary import PARTS, VOCABULARY, Place

JOINT_KEYS = ("name", "meaning", "parent", "mirror", "part", "place")
_MOST_JOINTS = 1000


def checked_rows(rows: Any, source: str) -> list[dict[str, Any]]:
    """The list of joints with known keys only, text where text belongs, and no empty values."""
    if not isinstance(rows, list) or not rows:
        raise InputError("a layout needs a list of joints", source=source, field="joints", got=rows)
    if len(rows) > _MOST_JOINTS:
        raise InputError("too many joints", source=source, got=len(rows), expected=f"at most {_MOST_JOINTS}")
    checked = []
    for number, row in enumerate(rows):
        check_keys(row, JOINT_KEYS, source, f"joint {number + 1}")
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


def check_keys(found: Any, known: tuple[str, ...], source: str, where: str) -> None:
    """Refuse what is no mapping, and keys that nobody reads."""
    if not isinstance(found, Mapping):
        raise InputError("wrong form", source=source, field=where, got=found, expected=f"keys {', '.join(known)}")
    for key in found:
        if key not in known:
            raise InputError("unknown key", source=source, field=where, got=key, fix=nearest(str(key), known))


def refuse_twice(names: tuple[str, ...], source: str, field: str) -> None:
    """A name is a joint's own."""
    for name in names:
        if names.count(name) > 1:
            raise InputError("two joints are called alike", source=source, field=field, got=name)


def choice(content: Mapping[str, Any], key: str, default: str, known: tuple[str, ...], source: str) -> str:
    """A value out of a few."""
    value = content.get(key, default)
    if value not in known:
        raise InputError(f"unknown {key}", source=source, field=key, got=value, expected=f"one of {', '.join(known)}")
    return value


def joint_index(row: Mapping[str, Any], key: str, joints: tuple[str, ...], source: str) -> int:
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


def ancestors(joint: int, parents: tuple[int, ...], joints: tuple[str, ...], source: str) -> Iterator[int]:
    """Joints on the way to the root, nearest first. Raises InputError for a circle."""
    at = parents[joint]
    for _ in parents:
        if at < 0:
            return
        yield at
        at = parents[at]
    raise InputError(
        "parents run in a circle", source=source, field=f"joint {joints[joint]}", fix="leave `parent` out at the root"
    )


def mirrors(rows: list, joints: tuple[str, ...], meaning: tuple[str, ...], source: str) -> tuple[int, ...]:
    """What rows declare, else what the vocabulary says. Raises InputError unless mirroring twice changes nothing."""
    at = {name: i for i, name in enumerate(meaning)}
    declared = [joint_index(row, "mirror", joints, source) for row in rows]
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


def part_and_place(i: int, rows: list, meaning: tuple[str, ...], ancestry: list[int], source: str) -> tuple[str, Place]:
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
