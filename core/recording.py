"""What a file holds, in physical units: the first stage of the way from a file to patches (see `modality`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Annotation:
    """A label with a place in time. `duration_s` 0 = a point (a beat), otherwise a span (a rhythm).

    sensor: the one it was marked in, "" = it holds for all.
    """

    onset_s: float
    label: str
    duration_s: float = 0.0
    sensor: str = ""


@dataclass(frozen=True, eq=False)
class Recording:
    """One file (or graph, or clip) in physical units.

    signals: [sensor, sample] float32 in `unit`; other modalities document their own leading axes. NaN = missing.
    sensors: names of the leading axis, canonical where the modality knows an alias.
    record, subject, site: who it came from; `subject` drives splits ("" = unknown).
    label: names of the classes of the whole recording; several for a multi-label task, empty = none.
    extras: further arrays or values a modality needs (joint confidence, report text, age).
    """

    signals: np.ndarray
    sensors: tuple[str, ...]
    sfreq_hz: float
    unit: str
    record: str
    subject: str = ""
    site: str = ""
    annotations: tuple[Annotation, ...] = ()
    label: tuple[str, ...] = ()
    extras: Mapping[str, Any] = field(default_factory=dict)
