"""Files of poses to recordings: which reader a file gets.

A folder is a clip of OpenPose frames; files go by their ending, those of UI-PRMD by their name. A file that holds many
clips (a pickle of pyskl) is asked for one by `record`.
"""

from __future__ import annotations

from pathlib import Path

from ...core.errors import CorruptFileError, InputError
from ...core.recording import Recording
from .clip import LEAST_CONFIDENCE
from .formats import bvh, npz, ntu, openpose, pyskl, table, ui_prmd_raw
from .formats.options import ReadOptions

_READERS = {
    ".skeleton": ntu.read,
    ".pkl": pyskl.read, ".pickle": pyskl.read,
    ".json": openpose.read,
    ".csv": table.read, ".tsv": table.read,
    ".npz": npz.read,
    ".bvh": bvh.read,
}  # fmt: skip


def read_skeleton(
    path: Path | str,
    layout: str = "",
    sfreq_hz: float | None = None,
    least_confidence: float = LEAST_CONFIDENCE,
    record: str = "",
) -> Recording:
    """Read a clip of any format.

    layout: a built-in one or a YAML file, "" = what the format says. sfreq_hz: frame rate where the file holds none, or
    instead of its own. record: which clip of a file that holds several.
    Returns signals [sensor, 3, frame] float32 in metres (or pixels, see `Recording.unit`), NaN = lost; see `make_clip`.
    Raises InputError and CorruptFileError.
    """
    path = Path(path)
    options = ReadOptions(layout, sfreq_hz, least_confidence, record)
    if path.is_dir():
        return openpose.read(path, options)
    if not path.is_file():
        raise CorruptFileError("no such file", source=path)
    if ui_prmd_raw.is_ui_prmd(path):
        return ui_prmd_raw.read(path, options)
    ending = path.suffix.lower()
    if ending not in _READERS:
        raise InputError(
            "unknown format of poses", source=path, got=ending or "no ending", expected=f"one of {', '.join(_READERS)}"
        )
    return _READERS[ending](path, options)
