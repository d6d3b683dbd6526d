"""Modalities by name, through the entry-point group `omnipatch.modalities`.

Names are read from package metadata without importing anything; a class is imported when it is asked for. A broken
plug-in is listed as broken with its reason and never stops the others. `OMNIPATCH_NO_PLUGINS=1` leaves only the
built-ins.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from .errors import InputError, nearest

if TYPE_CHECKING:
    from .modality import Modality

GROUP = "omnipatch.modalities"


@dataclass(frozen=True)
class Entry:
    """A registered name, the distribution it came from, and why it cannot be used ("" = usable)."""

    name: str
    distribution: str
    version: str
    target: str
    problem: str = ""


def _found() -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        own = point.dist is not None and point.dist.name == "omnipatch"
        if own or os.environ.get("OMNIPATCH_NO_PLUGINS") != "1":
            others = found.setdefault(point.name, [])
            if all(_origin(point) != _origin(other) for other in others):
                others.append(point)
    return found


def _origin(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name if point.dist else "?", point.value)


def list_modalities(*, probe: bool = False) -> list[Entry]:
    """Registered modalities by name. With `probe` each is imported and `problem` says what is wrong with it."""
    entries = []
    for name, points in sorted(_found().items()):
        point = points[0]
        problem = ""
        if probe:
            try:
                load_modality(name)
            except Exception as error:  # a plug-in may fail in any way; the list must still be printed
                problem = str(error) or type(error).__name__
        version = point.dist.version if point.dist else "?"
        entries.append(Entry(name, _origin(point)[0], version, point.value, problem))
    return entries


def load_modality(name: str) -> type[Modality]:
    """The class registered as `name`.

    Raises InputError for an unknown name (with the nearest one), for a name claimed by two distributions, for a
    plug-in that cannot be imported and for one written for another version of the contract.
    """
    from .modality import API_VERSION, Modality

    found = _found()
    if name not in found:
        raise InputError(f"unknown modality {name!r}", fix=nearest(name, found))
    points = found[name]
    if len(points) > 1:
        owners = " and ".join(sorted(_origin(p)[0] for p in points))
        raise InputError(f"modality {name!r} is registered by {owners}", fix="uninstall one of them")
    try:
        cls = points[0].load()
    except Exception as error:
        raise InputError(
            f"modality {name!r} from {_origin(points[0])[0]} cannot be imported",
            got=f"{type(error).__name__}: {error}",
            fix=f"install its dependencies (for a built-in: pip install 'omnipatch[{name}]')",
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, Modality)):
        raise InputError(f"modality {name!r} is not a subclass of omnipatch.Modality", got=points[0].value)
    if cls.api_version != API_VERSION:
        raise InputError(
            f"modality {name!r} was written for another version of the adapter contract",
            got=cls.api_version,
            expected=API_VERSION,
            fix=f"install a version of {_origin(points[0])[0]} made for it",
        )
    return cls
