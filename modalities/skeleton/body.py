"""What the rest of the modality asks about the sensors of a recording: part, place, parent and mirror image of each.

- Sensors are names, so any subset and any order of joints works.
- Bones follow the tree of the layout that was read, with joints that are absent left out; of the vocabulary for joints
  that the layout does not have. Every person has a tree of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .layout import SkeletonLayout
from .vocabulary import PARTS, VOCABULARY, Place, split_sensor, unknown_joint


@dataclass(frozen=True, eq=False)
class Body:
    """Of the sensors of one recording, in their order; arrays are read-only.

    joint: name without the person's suffix.
    person: [sensor] int64 from 0.
    part: [sensor] int64, index into PARTS.
    slot: [sensor] int64, number in the part's token, -1 = none; no two joints of a part and person share one.
    place: [sensor, 3] float32 (left, up, forward), metres from the pelvis of a standing person.
    parent: [sensor] int64, the sensor of the nearest ancestor present in the same person, -1 = none.
    mirror: [sensor] int64, the sensor of the other side; itself in the middle or where the other side is absent.
    """

    joint: tuple[str, ...]
    person: np.ndarray
    part: np.ndarray
    slot: np.ndarray
    place: np.ndarray
    parent: np.ndarray
    mirror: np.ndarray


def resolve_body(sensors: Sequence[str], layout: SkeletonLayout | None = None) -> Body:
    """What sensors such as "left_knee" or "left_knee#2" are.

    layout: describes joints that the vocabulary does not know.
    Raises InputError, with the nearest name, for a joint that neither knows.
    """
    return _resolve(tuple(sensors), layout)


def index_of(body: Body, joint: str, person: int = 0) -> int:
    """The sensor that is a person's joint, -1 where it has none."""
    found = [i for i, name in enumerate(body.joint) if name == joint and body.person[i] == person]
    return found[0] if found else -1


@dataclass(frozen=True)
class _Known:
    """A joint as the layout or the vocabulary describes it; parent and mirror by name."""

    part: str
    slot: int
    place: Place
    parent: str
    mirror: str


@lru_cache(maxsize=256)  # the same few sets of sensors come back for every window
def _resolve(sensors: tuple[str, ...], layout: SkeletonLayout | None) -> Body:
    found = [split_sensor(sensor) for sensor in sensors]
    names, persons = [name for name, _ in found], [person for _, person in found]
    table = _table(layout)
    for name in names:
        if name not in table:
            raise unknown_joint(name)
    at = {sensor: i for i, sensor in enumerate(found)}
    parent = [_nearest_ancestor(name, person, table, at) for name, person in found]
    mirror = [at.get((table[name].mirror, person), i) for i, (name, person) in enumerate(found)]
    # a layout with one side only, and a sensor of the other from elsewhere
    mirror = [other if mirror[other] == i else i for i, other in enumerate(mirror)]
    return Body(
        joint=tuple(names),
        person=_frozen(persons),
        part=_frozen([PARTS.index(table[name].part) for name in names]),
        slot=_frozen(_slots(names, persons, table)),
        place=_frozen([table[name].place for name in names], np.float32).reshape(-1, 3),
        parent=_frozen(parent),
        mirror=_frozen(mirror),
    )


@lru_cache(maxsize=64)
def _table(layout: SkeletonLayout | None) -> dict[str, _Known]:
    table = {j.name: _Known(j.part, j.slot, j.place, j.parent, j.mirror) for j in VOCABULARY.values()}
    if layout is None:
        return table
    for i, name in enumerate(layout.meaning):
        parent = layout.meaning[layout.parents[i]] if layout.parents[i] >= 0 else ""
        slot = VOCABULARY[name].slot if name in VOCABULARY else -1
        table[name] = _Known(layout.parts[i], slot, layout.places[i], parent, layout.meaning[layout.mirror[i]])
    return table


def _nearest_ancestor(name: str, person: int, table: dict[str, _Known], at: dict[tuple[str, int], int]) -> int:
    while name := table[name].parent:
        if (name, person) in at:
            return at[name, person]
    return -1


def _slots(names: Sequence[str], persons: Sequence[int], table: dict[str, _Known]) -> list[int]:
    """Slots in the order of the vocabulary: where a joint and a marker near it would share one, the joint has it."""
    slots = [-1] * len(names)
    taken: set[tuple[int, str, int]] = set()
    order = {name: i for i, name in enumerate(table)}
    for i in sorted(range(len(names)), key=lambda i: order[names[i]]):
        known = table[names[i]]
        if known.slot >= 0 and (persons[i], known.part, known.slot) not in taken:
            taken.add((persons[i], known.part, known.slot))
            slots[i] = known.slot
    return slots


def _frozen(values: Sequence, dtype: type = np.int64) -> np.ndarray:
    array = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array
