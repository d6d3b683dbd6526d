"""Channels of a recording that should not be trusted: silent, clipped, mostly missing, or a constant offset.

Judged on the samples as they were recorded, before anything is resampled or normalised.
"""

from __future__ import annotations

import numpy as np

SILENT_FS = 1e-5  # -100 dB of full scale: below the last bit of 16
_CLIPPED_RUN = 3  # samples of equal extreme value in a row; a peak rarely has two
_CLIPPED_SHARE = 1e-3
_PRESENT = 0.9
_OFFSET = 5.0  # times the spread around it


def channel_quality(signals: np.ndarray, sensors: tuple[str, ...]) -> dict[str, str]:
    """{channel: reason} for the channels of [channel, sample] full scale that have a fault."""
    found = {}
    for name, x in zip(sensors, np.asarray(signals), strict=True):
        reason = _fault(x)
        if reason:
            found[name] = reason
    return found


def is_silent(x: np.ndarray) -> bool:
    """Whether [sample] holds no sound at all: nothing finite, or no movement."""
    heard = x[np.isfinite(x)]
    return not len(heard) or float(np.abs(heard - heard.mean(dtype=float)).max()) < SILENT_FS


def _fault(x: np.ndarray) -> str:
    if is_silent(x):
        return "no finite sample" if not np.isfinite(x).any() else "silent"
    missing = 1.0 - float(np.isfinite(x).mean())
    if missing > 1.0 - _PRESENT:
        return f"{100 * missing:.0f} % of the samples are missing"
    clipped = _clipped(x)
    if clipped > _CLIPPED_SHARE:
        return f"clipped, {100 * clipped:.1f} % of the samples"
    heard = x[np.isfinite(x)].astype(float)
    if abs(heard.mean()) > _OFFSET * heard.std():
        return f"a constant offset of {heard.mean():.2g} of full scale"
    return ""


def _clipped(x: np.ndarray) -> float:
    """Share of samples in runs at the largest or smallest value: how an overdriven input looks at any gain."""
    share = 0.0
    for extreme in (np.nanmax(x), np.nanmin(x)):
        at = np.concatenate([[0], (x == extreme).astype(np.int8), [0]])
        edges = np.flatnonzero(np.diff(at))
        lengths = edges[1::2] - edges[::2]
        share += lengths[lengths >= _CLIPPED_RUN].sum() / len(x)
    return float(share)
