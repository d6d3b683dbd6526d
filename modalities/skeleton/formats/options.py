"""What a reader may be told about a file beside its path."""

from __future__ import annotations

from dataclasses import dataclass

from ..clip import LEAST_CONFIDENCE


@dataclass(frozen=True)
class ReadOptions:
    """How to read a file of poses.

    layout: name of a built-in layout or path of a YAML file; "" = what the format says.
    sfreq_hz: frame rate for files that do not hold one; None = what the format says or is used at.
    least_confidence: joints that their detector trusts less count as lost.
    record: which clip of a file that holds several; "" = the only one.
    """

    layout: str = ""
    sfreq_hz: float | None = None
    least_confidence: float = LEAST_CONFIDENCE
    record: str = ""
