"""NumPy archives (.npz) of one clip: what a script of one's own would save.

    positions    [person, frame, joint, 2 or 3], or without the first axis for one person; NaN = lost
    confidence   [person, frame, joint] from 0 to 1, optional
    sfreq_hz     frames a second, unless it is given when reading
    layout       name of a layout; or
    joint_names  [joint] text, with parents [joint] (index, -1 = the root) where names are not the vocabulary's

A joint at zero in all axes is lost, as most scripts write it. Without a layout the unit is guessed from the size of
people, positions of two axes are pixels, and y is up (down in pixels).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ....core.errors import CorruptFileError, InputError
from ....core.recording import Recording
from ..clip import make_clip, zeros_are_lost
from ..layout import SkeletonLayout, find_layout
from .npz_arrays import read_npz
from .options import ReadOptions
from .own_layout import guessed_unit, in_layout, layout_of_names


def read(path: Path, options: ReadOptions) -> Recording:
    """The clip. Raises CorruptFileError for arrays that do not fit each other, InputError for what is not said."""
    arrays = read_npz(path, ("positions",), ("confidence", "sfreq_hz", "layout", "joint_names", "parents"))
    positions = _positions(path, arrays["positions"])
    confidence = arrays.get("confidence")
    if confidence is not None and confidence.ndim == 2:
        confidence = confidence[None]
    names = [str(name) for name in arrays["joint_names"].ravel()] if "joint_names" in arrays else None
    if names is not None and len(names) != positions.shape[2]:
        raise CorruptFileError(
            "names and positions do not fit", source=path, field="joint_names", got=f"{len(names)} names",
            expected=f"{positions.shape[2]} joints",
        )  # fmt: skip
    layout, chosen = _layout(path, arrays, names, positions, options)
    if chosen and names is not None:
        positions = in_layout(positions, names, layout, path)
        if confidence is not None:
            confidence = in_layout(np.asarray(confidence)[..., None], names, layout, path)[..., 0]
    return make_clip(
        positions, layout, _rate(path, arrays, options), path.stem, confidence=confidence,
        least_confidence=options.least_confidence, source=path,
    )  # fmt: skip


def _positions(path: Path, positions: np.ndarray) -> np.ndarray:
    """[person, frame, joint, axis] float64, NaN = lost."""
    if positions.ndim == 3:
        positions = positions[None]
    if positions.ndim != 4 or positions.shape[-1] not in (2, 3) or positions.dtype.kind not in "iuf":
        raise CorruptFileError(
            "no positions of joints", source=path, field="positions",
            got=f"{positions.dtype} of shape {positions.shape}", expected="numbers [person, frame, joint, 2 or 3]",
        )  # fmt: skip
    return zeros_are_lost(positions)


def _layout(
    path: Path, arrays: dict[str, np.ndarray], names: list[str] | None, positions: np.ndarray, options: ReadOptions
) -> tuple[SkeletonLayout, bool]:
    """The layout, and whether it was chosen by name rather than made from the file's joints."""
    name = options.layout or str(arrays.get("layout", ""))
    if name:
        return find_layout(name), True
    if names is None:
        raise InputError(
            "nothing says which joint is which", source=path, expected="an array `layout` or `joint_names`",
            fix="give --modality.layout NAME",
        )  # fmt: skip
    unit = guessed_unit(positions, path)
    parents = None
    if "parents" in arrays:
        parents = _parents(path, arrays["parents"], len(names))
    return layout_of_names(names, path, parents=parents, unit=unit, up="-y" if unit == "px" else "y"), False


def _parents(path: Path, parents: np.ndarray, joints: int) -> list[int]:
    if parents.shape != (joints,) or parents.dtype.kind not in "iu" or parents.min() < -1 or parents.max() >= joints:
        raise CorruptFileError(
            "no tree of joints", source=path, field="parents", got=parents.tolist(),
            expected=f"{joints} indices from -1 to {joints - 1}",
        )  # fmt: skip
    return parents.tolist()


def _rate(path: Path, arrays: dict[str, np.ndarray], options: ReadOptions) -> float:
    if options.sfreq_hz is not None:
        return options.sfreq_hz
    rate = arrays.get("sfreq_hz")
    if rate is None or rate.size != 1 or rate.dtype.kind not in "iuf":
        raise InputError(
            "nothing says how many frames a second", source=path, field="sfreq_hz", got=rate,
            fix="save it in the file, or give --modality.file_sfreq_hz",
        )  # fmt: skip
    return float(rate.item())
