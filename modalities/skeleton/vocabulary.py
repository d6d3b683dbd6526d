"""The joints that every skeleton layout is described with: one name, body part, place and mirror image for each.

- A joint means a place in the body, not a word in a file: OpenPose's "Neck" is the middle of the shoulders and
  therefore the `chest` of this vocabulary. A model that knows joints by name and place serves every layout.
- `vocabulary.csv` is the table. Places are those of a standing person of 1.7 m with the arms a little away from the
  body, in proportions as in Winter, Biomechanics and Motor Control of Human Movement (4th edition, 2009).
- A slot is the number of a joint in the token of its part. Markers that stand near a joint share its slot (the front of
  the pelvis that of the hip), because no layout has both.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from ...core.errors import InputError, nearest

PARTS = ("trunk", "head", "left_arm", "right_arm", "left_leg", "right_leg")
Place = tuple[float, float, float]

_PERSON = "#"
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_SIDES = {"left": "left", "l": "left", "lt": "left", "right": "right", "r": "right", "rt": "right"}


@dataclass(frozen=True)
class Joint:
    """A joint or a marker on the skin.

    part: one of PARTS.
    parent: the next joint towards the pelvis, "" for the pelvis itself.
    mirror: the joint of the other side, itself in the middle of the body.
    place: (to the person's left, up, forward) in metres from the pelvis of a standing person of 1.7 m.
    slot: number in the token of its part, from 0 to SLOTS - 1; -1 = too fine to be there.
    """

    name: str
    part: str
    parent: str
    mirror: str
    place: Place
    slot: int


def _rows() -> list[dict[str, str]]:
    with Path(__file__).with_name("vocabulary.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _read() -> Mapping[str, Joint]:
    joints = (
        Joint(row["joint"], row["part"], row["parent"], row["mirror"],
              (float(row["x"]), float(row["y"]), float(row["z"])), int(row["slot"]))
        for row in _rows()
    )  # fmt: skip
    return MappingProxyType({joint.name: joint for joint in joints})


VOCABULARY: Mapping[str, Joint] = _read()
SLOTS = 1 + max(joint.slot for joint in VOCABULARY.values())


def known_joint(name: str) -> str | None:
    """The name in the vocabulary of a joint however it is written, or None: "LKnee", "knee_left", "Left Knee"."""
    side, plain = _words(name)
    found = _by_words().get((side, plain))
    if found is None and not side and name.isupper() and plain[:1] in _SIDES:  # markers: "LKNE"
        return _by_words().get((_SIDES[plain[0]], plain[1:]))
    return found


def unknown_joint(name: str, source: object = None) -> InputError:
    """The error for a joint that neither the vocabulary nor a layout knows."""
    return InputError(
        "unknown joint", source=source, got=name, expected=f"a joint of the vocabulary ({nearest(name, VOCABULARY)})",
        fix="describe it in a layout of your own (--modality.layout FILE.yaml)",
    )  # fmt: skip


def sensor_name(joint: str, person: int) -> str:
    """Name of a joint of one person: "left_knee" of the first (0), "left_knee#2" of the second."""
    return joint if person == 0 else f"{joint}{_PERSON}{person + 1}"


def split_sensor(sensor: str) -> tuple[str, int]:
    """(joint, person from 0): the inverse of `sensor_name`."""
    joint, mark, number = sensor.rpartition(_PERSON)
    if mark and number.isdecimal() and int(number) > 1:
        return joint, int(number) - 1
    return sensor, 0


@cache
def _by_words() -> Mapping[tuple[str, str], str]:
    """{(side, words joined): name in the vocabulary}."""
    found: dict[tuple[str, str], str] = {}
    for row in _rows():
        side, plain = _words(row["joint"])
        for alias in (plain, *row["aliases"].split("|")):
            if alias:
                found[side, alias.replace("_", "")] = row["joint"]
    return MappingProxyType(found)


def _words(name: str) -> tuple[str, str]:
    """("left", "handtip") of "Left Hand-Tip", "hand_tip_l" or "LHandTip"."""
    words = [word.lower() for word in _WORD.findall(name)]
    sides = {_SIDES[word] for word in words if word in _SIDES}
    plain = "".join(word for word in words if word not in _SIDES)
    return (sides.pop() if len(sides) == 1 else ""), plain
