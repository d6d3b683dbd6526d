"""Opens the recording of any source: a file of its own, or one clip of a file that holds a whole data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from ....core.errors import InputError
from ....core.modality import Recording, Source
from ..reading import read_skeleton
from .msr_action3d import MSR_ACTION3D, open_msr_action3d
from .pyskl import PYSKL
from .ui_prmd import UI_PRMD, open_ui_prmd

_OPENERS: Mapping[str, Callable[[Source, float], Recording]] = MappingProxyType(
    {UI_PRMD.name: open_ui_prmd, MSR_ACTION3D.name: open_msr_action3d}
)


class ReadingConfig(Protocol):
    """What of the adapter's configuration says how files are read."""

    @property
    def layout(self) -> str: ...
    @property
    def least_confidence(self) -> float: ...
    @property
    def file_sfreq_hz(self) -> float | None: ...


def open_clip(source: Source, config: ReadingConfig) -> Recording:
    """The whole recording of a source that has a file. Raises what reading does."""
    if source.path is None:
        raise InputError("a generated recording has no file", source=source.record)
    opener = _OPENERS.get(source.extras.get("data_set", ""))
    if opener is not None:
        return opener(source, config.least_confidence)
    record = source.extras.get("clip", "") if source.extras.get("data_set") == PYSKL else ""
    return read_skeleton(source.path, config.layout, config.file_sfreq_hz, config.least_confidence, record)
