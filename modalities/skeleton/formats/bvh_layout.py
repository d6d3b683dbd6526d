"""The layout of a BVH file, made from the file itself: names, tree, size and which way is up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ....core.errors import InputError
from ..layout import SkeletonLayout, layout_from
from ..vocabulary import VOCABULARY
from .bvh_names import meanings

# metres in what files are written in; the last is of the CMU library: inches at a scale of 0.45
_UNITS_M = (1.0, 0.01, 0.001, 0.0254, 0.0254 / 0.45)
_LONGEST_WAY_M = (0.6, 2.2)  # from the pelvis along the bones to the farthest tip, from a child to a giant with fingers
_USUAL_WAY_M = 1.3
_FLOOR_M = 0.25  # feet nearer to zero stand on it


def bvh_layout(
    names: Sequence[str], parents: Sequence[int], rest: np.ndarray, places: np.ndarray, source: Path
) -> tuple[SkeletonLayout, float]:
    """The layout, in metres, and how many of them are in a unit of the file.

    rest: [joint, 3] the rest pose. places: [frame, joint, 3], NaN = lost; both in the file's unit.
    Raises InputError for a skeleton without size.
    """
    meant = meanings(names, parents)
    metres = _metres(parents, rest, source)
    up = _up(meant, rest * metres, places * metres)
    standing = rest * metres
    if up == "z":  # as the vocabulary has it: left, up, forward
        standing = standing[:, [0, 2, 1]] * (1.0, 1.0, -1.0)
    rows = []
    for joint, (name, parent) in enumerate(zip(names, parents, strict=True)):
        row: dict[str, object] = {"name": name, "parent": names[parent] if parent >= 0 else None}
        if meant[joint]:
            row["meaning"] = meant[joint]
        else:
            row |= _described(joint, parents, meant, standing)
        rows.append(row)
    return layout_from({"name": source.stem, "up": up, "unit": "m", "joints": rows}, str(source)), metres


def _described(joint: int, parents: Sequence[int], meant: list[str], standing: np.ndarray) -> dict[str, object]:
    """Part and place of a joint that the vocabulary does not know: as far from a known ancestor as in the rest pose."""
    above = parents[joint]
    while above >= 0 and not meant[above]:
        above = parents[above]
    if above < 0:
        return {"part": "trunk", "place": [0.0, 0.0, 0.0]}
    known = VOCABULARY[meant[above]]
    away = np.clip(standing[joint] - standing[above], -1.0, 1.0)
    return {"part": known.part, "place": [round(float(v), 3) for v in np.add(known.place, away)]}


def _metres(parents: Sequence[int], rest: np.ndarray, source: Path) -> float:
    """Metres in a unit of the file, by the length of bones: they are the same in every pose."""
    way = np.zeros(len(parents))
    for joint, parent in enumerate(parents):  # parents come first
        if parent >= 0:
            way[joint] = way[parent] + np.linalg.norm(rest[joint] - rest[parent])
    longest = float(way.max())
    if not longest > 0:
        raise InputError("bones without length", source=source, field="OFFSET")
    least, most = _LONGEST_WAY_M
    return next((unit for unit in _UNITS_M if least <= unit * longest <= most), _USUAL_WAY_M / longest)


def _up(meant: list[str], rest: np.ndarray, places: np.ndarray) -> str:
    """The axis along which the body stands, "y" or "z"; both poses in metres.

    Who moves along z may also lie in a file with y up. They do not where the rest pose stands along z too, or where the
    feet are at the height of the floor.
    """
    heads = [i for i, name in enumerate(meant) if name in ("head", "neck", "chest")]
    feet = [i for i, name in enumerate(meant) if name.endswith(("_ankle", "_foot"))]
    seen = places[np.isfinite(places).all(axis=(1, 2))]
    if not heads or not feet or not len(seen):
        return "y"
    pose = np.median(seen, axis=0)
    on_floor = abs(float(np.min(pose[feet, 2]))) < _FLOOR_M
    return "z" if _along_z(pose, heads, feet) and (on_floor or _along_z(rest, heads, feet)) else "y"


def _along_z(pose: np.ndarray, heads: list[int], feet: list[int]) -> bool:
    x, y, z = np.abs(pose[heads].mean(axis=0) - pose[feet].mean(axis=0))
    return bool(z > 2 * max(x, y))
