"""Leads: names, aliases and directions.

A lead is known by its name. Its direction (a unit vector in the body: x to the left, y to the feet, z to the back) is
what token coordinates carry, so that a lead that was never seen in training still has a place. Frontal directions follow
the hexaxial system, chest directions the usual electrode angles; both are conventions, not measurements of a patient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ...core.errors import InputError, nearest

STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

_FRONTAL_DEGREES = {"I": 0, "II": 60, "III": 120, "aVR": -150, "aVL": -30, "aVF": 90}
_CHEST_DEGREES = {"V1": 115, "V2": 95, "V3": 70, "V4": 50, "V5": 20, "V6": 0}  # from left, towards the front


def _directions() -> dict[str, tuple[float, float, float]]:
    found = {}
    for name, degrees in _FRONTAL_DEGREES.items():
        angle = math.radians(degrees)
        found[name] = (math.cos(angle), math.sin(angle), 0.0)
    for name, degrees in _CHEST_DEGREES.items():
        angle = math.radians(degrees)
        found[name] = (math.cos(angle), 0.0, -math.sin(angle))
    return found


DIRECTIONS = _directions()

_ALIASES = {
    "mlii": "II", "mli": "I", "mliii": "III", "ml2": "II", "ml1": "I", "ml3": "III", "l1": "I", "l2": "II", "l3": "III",
    "1": "I", "2": "II", "3": "III", "mv1": "V1", "mv2": "V2", "mv5": "V5", "cm5": "V5", "cm2": "V2", "v": "V1",
    **{name.lower(): name for name in STANDARD_LEADS},
}  # fmt: skip
_PREFIXES = ("ecg", "ekg", "lead", "channel")


def canonical_lead(name: str, aliases: Mapping[str, str] | None = None) -> str | None:
    """The standard name of a lead however it is written ("avr", "ECG II", "MLII"), or None when it is unknown."""
    if aliases and name in aliases:
        return aliases[name]
    plain = name.strip().lower().replace("_", " ").replace("-", " ")
    for prefix in _PREFIXES:
        plain = plain.removeprefix(prefix).strip(" :.")
    return _ALIASES.get(plain.replace(" ", ""))


def parse_aliases(pairs: Sequence[str]) -> dict[str, str]:
    """("ECG1=II", ...) -> {"ECG1": "II"}."""
    found = {}
    for pair in pairs:
        name, equals, lead = pair.partition("=")
        if not equals or lead not in STANDARD_LEADS:
            raise InputError(
                "bad entry of modality.aliases", got=pair, expected="NAME=LEAD", fix=nearest(lead, STANDARD_LEADS)
            )
        found[name] = lead
    return found


def parse_slots(slots: Sequence[str]) -> list[tuple[str, ...]]:
    """Lead slots of a joint patch; "II|I" = lead II, or lead I where there is no II."""
    parsed = []
    for slot in slots:
        choices = tuple(slot.split("|"))
        for lead in choices:
            if lead not in STANDARD_LEADS:
                raise InputError("unknown lead in modality.leads", got=lead, fix=nearest(lead, STANDARD_LEADS))
        parsed.append(choices)
    return parsed


def fill_slots(slots: Sequence[tuple[str, ...]], sensors: Sequence[str]) -> list[int | None]:
    """Place in `sensors` of the lead that fills each slot, None where no choice was recorded. No lead is used twice."""
    taken: set[str] = set()
    chosen: list[int | None] = []
    for choices in slots:
        lead = next((lead for lead in choices if lead in sensors and lead not in taken), None)
        if lead is not None:
            taken.add(lead)
        chosen.append(None if lead is None else list(sensors).index(lead))
    return chosen


def derive_limb_leads(signals: np.ndarray, sensors: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Add the limb leads that follow from two recorded ones (Einthoven, Goldberger); recorded leads stay as they are.

    signals: [lead, sample].
    """
    have = {name: signals[i] for i, name in enumerate(sensors)}
    if not {"I", "II", "III"} & set(have) or len({"I", "II", "III"} & set(have)) < 2:
        return signals, tuple(sensors)
    one = have.get("I", have["II"] - have["III"] if "II" in have and "III" in have else None)
    two = have.get("II", have["I"] + have["III"] if "I" in have and "III" in have else None)
    assert one is not None
    assert two is not None
    derived = {
        "I": one, "II": two, "III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2,
    }  # fmt: skip
    new = [name for name in derived if name not in have]
    return np.concatenate([signals, np.stack([derived[n] for n in new])]) if new else signals, (*sensors, *new)
