"""Which channels of a file are EEG, and under which name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import CorruptFileError, InputError, nearest
from .channels import INPUT, channel_kind, nearest_sites, numbered_inputs, parse_channel, unknown_channel
from .mne_files import mne_library
from .montage import on_idealised_head
from .recorders import biosemi_inputs, recorder_aliases
from .sites import Place

_INPUT = re.compile(r"[A-Z]\d+", re.IGNORECASE)
_COUNTED = re.compile(r"(?:E|EEG|CH?)[ _]?\d+", re.IGNORECASE)  # electrodes of caps that have no names for them
_MANY = 15


@dataclass
class Selection:
    """The EEG channels of a file.

    rows: {place in the file: name}. positions: {name: place} of those that no site's name describes.
    reference: of the electrodes, "" = the file does not say, "mixed" = several.
    unknown: {name in the file: why it was left out}. other: {name in the file: what else it records}.
    """

    rows: dict[int, str] = field(default_factory=dict)
    positions: dict[str, Place] = field(default_factory=dict)
    reference: str = ""
    unknown: dict[str, str] = field(default_factory=dict)
    other: dict[str, str] = field(default_factory=dict)


def select_channels(
    path: Path,
    raw: Any,
    aliases: Mapping[str, str],
    montage: str,
    notes: list[str],
    electrodes: Mapping[str, Place] | None = None,
) -> Selection:
    """Choose the EEG channels of an MNE Raw. electrodes: places that a table beside the file says.

    Numbers of an amplifier's inputs (BioSemi's A1, A2, ...) are kept as "input A1": nobody should take them for the ear
    A1. They have no place unless `montage` or the file knows one.
    Raises InputError that lists the nearest sites when no channel is understood.
    """
    found, template = Selection(), _template(montage)
    numbered = numbered_inputs(raw.ch_names)
    by_order = biosemi_inputs(montage, list(template)) if numbered else {}
    aliases = {**recorder_aliases(raw.ch_names), **by_order, **aliases}
    references: set[str] = set()
    measured: dict[str, Place] = {}
    for row, (name, kind) in enumerate(zip(raw.ch_names, raw.get_channel_types(), strict=True)):
        kind = channel_kind(name) if kind == "eeg" else kind
        if kind != "eeg" and name not in aliases:
            found.other[name] = kind
            continue
        channel = None if numbered and name not in aliases else parse_channel(name, aliases)
        place = template.get(name) or (electrodes or {}).get(name) or _digitised(raw.info["chs"][row]["loc"])
        known = f"{INPUT}{name}" if channel is None else channel.name
        if channel is None and place is None and not (numbered and _INPUT.fullmatch(name)):
            found.unknown[name] = f"unknown channel, nearest sites {nearest_sites(name)}"
            continue
        if known in found.rows.values():
            found.unknown[name] = f"{known} stands twice"
            continue
        found.rows[row] = known
        if place is not None:
            measured[known] = place
        if channel is not None and not channel.cathode:
            references.add(channel.reference)
    if not found.rows:
        if found.unknown:
            raise unknown_channel(next(iter(found.unknown)), path)
        raise CorruptFileError("no EEG channel", source=path, got=", ".join(found.other) or "no channel")
    counted = [name for name in found.unknown if _COUNTED.fullmatch(name)]
    if len(counted) > max(_MANY, 4 * len(found.rows)):  # nearly all of a cap: its reference alone is not what is meant
        raise InputError(
            "most channels are numbers without a place", source=path,
            got=f"{len(counted)} such as {counted[0]}, and {', '.join(found.rows.values())}",
            expected="a known cap", fix='name it, e.g. modality.montage "GSN-HydroCel-128"',
        )  # fmt: skip
    if numbered and not measured:
        notes.append("channels are numbered inputs without places; set modality.montage or modality.aliases")
    inputs = {name for name in found.rows.values() if name.startswith(INPUT)} & set(measured)
    placed = on_idealised_head(measured) if inputs else {}
    found.positions = {name: placed[name] for name in found.rows.values() if name in inputs}
    found.reference = references.pop() if len(references) == 1 else "mixed" if references else ""
    return found


def _digitised(loc: np.ndarray) -> Place | None:
    """Where an electrode was measured to be (metres, head frame), None where the file does not say."""
    x, y, z = (float(v) for v in loc[:3])
    return (x, y, z) if np.isfinite([x, y, z]).all() and (x or y or z) else None


def _template(montage: str) -> dict[str, Place]:
    """{name: position} of a standard montage of MNE. Raises InputError for an unknown one."""
    if not montage:
        return {}
    mne = mne_library()
    known = mne.channels.get_builtin_montages()
    if montage not in known:
        raise InputError("unknown montage", source="modality.montage", got=montage, fix=nearest(montage, known))
    positions = mne.channels.make_standard_montage(montage).get_positions()["ch_pos"]
    return {name: (float(x), float(y), float(z)) for name, (x, y, z) in positions.items()}
