"""Channels: one name for each, however a recorder writes it.

- A channel is an electrode ("Fp1") or a difference of two ("Fp1-F7", bipolar). Sites are those of the 10-05 system
  (Oostenveld & Praamstra 2001, doi:10.1016/S1388-2457(00)00527-7), which holds 10-20 and 10-10, and the ears.
- The reference is kept apart from the name: "EEG Fp1-REF", "FP1-LE" and "Fp1-A2" are all the electrode Fp1. So one
  model reads them together; what the reference was stays known. An ear is a reference only as the second pole.
- Only names that mean one place are understood. Numbers of an amplifier's inputs ("E12", "CH3", BioSemi's "A1" to
  "A32") stay unknown until positions or aliases say where they lie.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

from ...core.errors import InputError
from .sites import site_places

# older names of the 10-20 system, and the anterior temporal pair that 10-10 has no name for
_OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8", "T1": "FT9", "T2": "FT10"}
EARS = ("A1", "A2", "M1", "M2")
INPUT = "input "  # before the name of a channel that means no site, but whose position is known
# what stands for a reference as the second pole: named ones, linked ears or mastoids, averages
_REFERENCES = {
    *EARS, "REF", "LE", "LER", "LM", "A1A2", "A1+A2", "M1M2", "M1+M2", "AA", "AVG", "AVE", "AV", "AR", "CAR", "ORG",
    "GND",
}  # fmt: skip
_WORDS = re.compile(r"(?:(?:eeg|pol|chan|ch)[\s:._-]+|eeg(?=[a-z]))*", re.IGNORECASE)
_BETWEEN_POLES = re.compile(r"\s*[-\u2013/:_]\s*")
_KINDS = (
    ("stim", r"status|stim|sti\s?\d+|trig\w*|marker|event\s?marker|photic.*|dc\d+|edf annotations|bdf annotations"),
    ("eog", r".*eog.*|roc|loc|[lr]oc[-/].*|e[12]-[am][12]|h?veo|heo"),
    ("ecg", r".*(?:ecg|ekg).*"),
    ("emg", r".*emg.*|chin.*|\w*leg.*"),
    (
        "misc",
        r"resp.*|.*nasal.*|temp.*|.*sao2.*|spo2.*|pulse.*|pleth.*|thor.*|abdo.*|snore.*|ibi|bursts|suppr|body.*|hr",
    ),
)


@dataclass(frozen=True)
class Channel:
    """What a channel's name says. cathode "" = an electrode against `reference` ("" = the file does not say)."""

    anode: str
    cathode: str = ""
    reference: str = ""

    @property
    def name(self) -> str:
        return f"{self.anode}-{self.cathode}" if self.cathode else self.anode


def parse_channel(name: str, aliases: Mapping[str, str] | None = None) -> Channel | None:
    """Understand a channel's name, None when it names no site. `aliases` {name in the file: known name} come first.

    "EEG FP1-REF" -> Fp1, reference REF; "T3" -> T7; "Fc5." -> FC5; "Fp1-F7" -> bipolar.
    """
    plain = _plain((aliases or {}).get(name, name))
    first, *rest = _BETWEEN_POLES.split(plain)
    if rest and rest[-1].isdigit():  # a name that stands twice in a file gets a number from the library
        rest.pop()
    anode, second = site(first), "".join(rest[:1])
    if anode is None or len(rest) > 1:
        return None
    if second.upper() in _REFERENCES and not (anode in EARS and second.upper() in EARS):
        return Channel(anode, reference=second.upper())
    cathode = site(second)
    if second and cathode in (None, anode):
        return None
    return Channel(anode, cathode or "")


def canonical_channel(name: str, aliases: Mapping[str, str] | None = None) -> str | None:
    """The one name of a channel however it is written, or None: "EEG T3-REF" -> "T7", "FP1-F7" -> "Fp1-F7"."""
    channel = parse_channel(name, aliases)
    return None if channel is None else channel.name


def canonical_channels(names: Iterable[str], aliases: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Names the user wrote, each known and none twice. Raises InputError that lists the nearest known names."""
    found: list[str] = []
    for name in names:
        channel = canonical_channel(name, aliases)
        if channel is None:
            raise unknown_channel(name)
        if channel in found:
            raise InputError("channel stands twice", got=name, field=channel)
        found.append(channel)
    return tuple(found)


def wanted_channels(names: Iterable[str]) -> tuple[str, ...]:
    """`canonical_channels`, and inputs by the name they are kept under where only their position is known."""
    listed = tuple(names)
    inputs = tuple(name for name in listed if name.startswith(INPUT))
    return canonical_channels(name for name in listed if name not in inputs) + inputs


def unknown_channel(name: str, source: object = None) -> InputError:
    """The error for a name that means no site, or for a numbered input without a place."""
    written = name.removeprefix(INPUT)
    fix = f'map it with modality.aliases, e.g. "{written}=Cz", or name the cap: modality.montage'
    if written != name:
        return InputError("numbered inputs have no places", source=source, got=written, expected="a known cap", fix=fix)
    return InputError(
        "unknown EEG channel", source=source, got=name, expected=f"a site of the 10-05 system ({nearest_sites(name)})",
        fix=fix,
    )  # fmt: skip


def nearest_sites(name: str, count: int = 3) -> str:
    """The known sites whose names are most like `name`, joined by commas."""
    first = _BETWEEN_POLES.split(_plain(name))[0]
    close = get_close_matches(first.lower(), list(_by_lower_case()), n=count, cutoff=0.3)
    return ", ".join(_by_lower_case()[found] for found in close) or "Fp1, Cz, O2, ..."


def parse_aliases(pairs: Sequence[str]) -> dict[str, str]:
    """("E12=Fz", "CH1=Fp1-F7", ...) -> {"E12": "Fz", "CH1": "Fp1-F7"}. Raises InputError."""
    found = {}
    for pair in pairs:
        name, equals, known = pair.rpartition("=")
        if not equals or not name:
            raise InputError("bad entry of modality.aliases", got=pair, expected="NAME=SITE")
        if canonical_channel(known) is None:
            raise unknown_channel(known, "modality.aliases")
        found[name] = known
    return found


def channel_kind(name: str) -> str:
    """What the name says is recorded: eog, ecg, emg, stim or misc, else eeg (EDF files seldom say it themselves)."""
    plain = re.sub(r"^eeg\s+|-ref$|-le$", "", name.strip(), flags=re.IGNORECASE)
    return next((kind for kind, words in _KINDS if re.fullmatch(words, plain, re.IGNORECASE)), "eeg")


def numbered_inputs(names: Iterable[str]) -> bool:
    """True when names count an amplifier's inputs ("A1", "A2", "A3", ...): then "A1" is no ear and "C3" no site."""
    return {"A1", "A2", "A3", "A4"} <= {name.strip().upper() for name in names}


def site(name: str) -> str | None:
    """A site in its usual spelling, by any older name and in any case; None when there is none of that name."""
    return _by_lower_case().get(name.strip(" .").lower())


def _plain(name: str) -> str:
    """A name without the words before it and the dots that fill it up."""
    words = _WORDS.match(name.strip())
    return name.strip()[words.end() if words else 0 :].strip(" .")


@cache
def _by_lower_case() -> dict[str, str]:
    return {name.lower(): name for name in site_places()} | {old.lower(): name for old, name in _OLD_NAMES.items()}
