"""What every reader of a data set returns, and finding its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ....core.errors import wrong_layout
from ..side_graphs import SideGraph
from ..splits import InteractionSplit


@dataclass(frozen=True, eq=False)
class Market:
    """A recommender data set, read and split. sides: {name: what is known beside the interactions}."""

    split: InteractionSplit
    sides: Mapping[str, SideGraph] = field(default_factory=dict)


@dataclass(frozen=True)
class MarketReader:
    """folder: where it lies under `$OMNIPATCH_DATA`. read: (root, seed of a cut validation part) -> Market, raises
    InputError that says which layout was expected. protocol: how others split and score it.
    """

    name: str
    folder: str
    read: Callable[[Path, int], Market]
    protocol: str
    licence: str
    citation: str
    instructions: str


def existing(root: Path, name: str, *files: str) -> list[Path]:
    """Paths of a data set's files. Raises InputError when one is missing."""
    paths = [root / file for file in files]
    for path in paths:
        if not path.is_file():
            raise wrong_layout(root, name, f"no {path.name}", ", ".join(files))
    return paths
