"""Leads: names, aliases and directions.

- A lead is known by its name. Its direction (a unit vector in the body: x to the left, y to the feet, z to the back) is
  what token coordinates carry, so that a lead that was never seen in training still has a place. Frontal directions
  follow the hexaxial system, chest directions the usual electrode angles; both are conventions, not measurements.
- Only names that mean one electrode position are understood. `ECG1`, `Lead 1`, `Channel 2` or MIMIC's `V` are numbers
  of a recorder's inputs: they stay unknown until the user says what they are (`modality.aliases`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np

from ...core.errors import InputError, nearest

STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
LIMB_LEADS = STANDARD_LEADS[:6]

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
# Where the tokens of a lead stand. Chest electrodes lie nearer to the heart: V6 looks along the line of lead I, and two
# leads at one place would be one lead to whatever reads coordinates.
_CHEST_DISTANCE = 0.7
PLACES = {
    name: (x, y, z) if name in LIMB_LEADS else (_CHEST_DISTANCE * x, _CHEST_DISTANCE * y, _CHEST_DISTANCE * z)
    for name, (x, y, z) in DIRECTIONS.items()
}

_SYNONYMS = {
    **{name.lower(): name for name in STANDARD_LEADS},
    # modified limb and chest leads of ambulatory recorders, named after the lead they resemble
    "mli": "I", "mlii": "II", "mliii": "III", "ml1": "I", "ml2": "II", "ml3": "III",
    "mv1": "V1", "mv2": "V2", "mv5": "V5", "mcl1": "V1", "cm2": "V2", "cm5": "V5",
    # derivacion, derivazione, Ableitung
    "di": "I", "dii": "II", "diii": "III",
}  # fmt: skip
# words before the name, then a minus that turns the lead round ("-aVR", "ECG -aVR"; the hyphen of "ECG-II" joins)
_WORDS = re.compile(r"(?:(?:ecg|ekg|lead|channel|ch)(?:[\s:._]+|-(?=\w)|(?=\w)))*", re.IGNORECASE)
_NAME = re.compile(r"(?P<minus>[-\u2212]?)(?P<lead>\w+(?:[\s_.-]\d)?)[\s:.]*")


def canonical_lead(name: str, aliases: Mapping[str, str] | None = None) -> tuple[str, int] | None:
    """Standard name and sign of a lead however it is written, or None when it is unknown.

    "avr", "EKG aVR" -> ("aVR", 1); "MLII" -> ("II", 1); "-aVR" -> ("aVR", -1); "ECG1" -> None. `aliases` come first.
    """
    if aliases and name in aliases:
        name = aliases[name]
    plain = name.strip()
    words = _WORDS.match(plain)
    found = _NAME.fullmatch(plain[words.end() :] if words else plain)
    if found is None:
        return None
    lead = _SYNONYMS.get(re.sub(r"[\s_.-]", "", found["lead"]).lower())
    return None if lead is None else (lead, -1 if found["minus"] else 1)


def parse_aliases(pairs: Sequence[str]) -> dict[str, str]:
    """("ECG1=II", "ECG2=-V1", ...) -> {"ECG1": "II", "ECG2": "-V1"}; a minus says that it is recorded inverted."""
    found = {}
    for pair in pairs:
        name, equals, lead = pair.rpartition("=")
        if not equals or not name or lead.removeprefix("-") not in STANDARD_LEADS:
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


# each limb lead as a sum of leads I and II (Einthoven, Goldberger)
_OF_I_AND_II = {
    "I": (1.0, 0.0), "II": (0.0, 1.0), "III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0),
}  # fmt: skip


def derive_limb_leads(signals: np.ndarray, sensors: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Add the limb leads that follow from any two recorded ones; recorded leads stay as they are.

    signals: [lead, sample]. The first two in the order of `LIMB_LEADS` count.
    """
    have = [name for name in LIMB_LEADS if name in sensors][:2]
    if len(have) < 2:
        return signals, tuple(sensors)
    recorded = [signals[list(sensors).index(name)] for name in have]
    (a, b), (c, d) = (_OF_I_AND_II[name] for name in have)
    size = a * d - b * c
    one, two = _mix((d / size, -b / size), recorded), _mix((-c / size, a / size), recorded)
    new = [name for name in LIMB_LEADS if name not in sensors]
    derived = [_mix(_OF_I_AND_II[name], (one, two)) for name in new]
    return np.concatenate([signals, np.stack(derived)]) if new else signals, (*sensors, *new)


def _mix(weights: Sequence[float], signals: Sequence[np.ndarray]) -> np.ndarray:
    """Weighted sum of two signals; one of weight 0 is not looked at, its gaps are none of the sum's."""
    return np.sum([w * x for w, x in zip(weights, signals, strict=True) if w], axis=0)
