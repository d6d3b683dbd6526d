"""A layout for files that name their joints themselves: made from the names, or one that the user has chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ....core.errors import CorruptFileError, InputError, nearest
from ..layout import SkeletonLayout, layout_from
from ..vocabulary import VOCABULARY, known_joint

_MOST_JOINTS = 1000
# largest diagonal of a box around a person, arms and legs spread, in each unit
_LARGEST = {"m": 8.0, "cm": 800.0, "mm": 8000.0}


def layout_of_names(
    names: Sequence[str],
    source: Path,
    *,
    parents: Sequence[int] | None = None,
    unit: str = "m",
    up: str = "y",
) -> SkeletonLayout:
    """A layout of joints by their names, each the vocabulary's joint that is called so ("LKnee", "knee_left").

    parents: index of each, -1 = the root; None = as in the vocabulary. A joint that the vocabulary does not know keeps
    its name, and belongs where its parent does. Raises InputError for one without such a parent.
    """
    if not 0 < len(names) <= _MOST_JOINTS:
        raise CorruptFileError("implausible number of joints", source=source, got=len(names), expected="1 to 1000")
    meant: dict[str, str] = {}  # the first that means a joint of the vocabulary is it
    for name in names:
        known = known_joint(name)
        if known is not None and known not in meant.values():
            meant[name] = known
    if parents is None:
        above = [_known_above(meant.get(name, ""), meant) for name in names]
    else:
        above = [names[parent] if parent >= 0 else None for parent in parents]
    rows = [
        {"name": name, "parent": parent, **({"meaning": meant[name]} if name in meant else {})}
        for name, parent in zip(names, above, strict=True)
    ]
    return layout_from({"name": source.stem, "up": up, "unit": unit, "joints": rows}, str(source))


def in_layout(x: np.ndarray, names: Sequence[str], layout: SkeletonLayout, source: Path) -> np.ndarray:
    """Arrange [person, frame, name, value] as [person, frame, joint of the layout, value], NaN = not in the file.

    A name is a joint's in the layout or what it means. Raises InputError for one that the layout does not have.
    """
    known = {name: number for number, name in enumerate(layout.meaning)}
    known |= {name: number for number, name in enumerate(layout.joints)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            "a joint is not in the layout", source=source, field="layout", got=unknown[0],
            expected=f"a joint of layout {layout.name}", fix=nearest(unknown[0], layout.joints),
        )  # fmt: skip
    placed = np.full((*x.shape[:2], len(layout.joints), x.shape[3]), np.nan)
    placed[:, :, [known[name] for name in names]] = x
    return placed


def guessed_unit(positions: np.ndarray, source: Path) -> str:
    """Unit of positions [person, frame, joint, axis] by the size of a person: "px" where there is no depth.

    Raises InputError where nobody could be that large.
    """
    if positions.shape[-1] == 2:
        return "px"
    there = np.isfinite(positions).all(axis=-1).mean(axis=-1)
    if not there.any():
        return "m"
    seen = positions[there >= 0.9 * there.max()]  # [person in a frame, joint, axis], as whole as they come
    size = float(np.median(np.linalg.norm(np.nanmax(seen, axis=1) - np.nanmin(seen, axis=1), axis=-1)))
    unit = next((unit for unit, largest in _LARGEST.items() if size <= largest), None)
    if unit is None:
        raise InputError(
            "nobody is that large", source=source, field="positions", got=f"a person of {size:.3g} across",
            expected="metres, centimetres or millimetres", fix="give a layout whose unit is that of the file",
        )  # fmt: skip
    return unit


def _known_above(meaning: str, meant: dict[str, str]) -> str | None:
    """The name of the nearest ancestor in the vocabulary that is in the file."""
    names = {known: name for name, known in meant.items()}
    while meaning := VOCABULARY[meaning].parent if meaning else "":
        if meaning in names:
            return names[meaning]
    return None
