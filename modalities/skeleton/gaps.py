"""Tracking faults of one clip, and another rate: jumps, gaps, frames a second. All of it knows lost joints as NaN.

- A jump is a joint far from its own running median: cameras lose a hand for a frame and find it elsewhere. A movement,
  however fast, carries its median along.
- Short gaps are bridged by straight lines; a longer one stays a gap, and so does what touches it at another rate.
- Between frames a monotone cubic is laid (Fritsch & Carlson 1980), which never swings beyond what was seen. Towards
  fewer frames a second the clip is smoothed first, so that jitter does not turn into slow movement.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d, median_filter

from ...core.signals import fill_gaps

_MEDIAN_S = 0.2  # a running median of about this length, five frames at least
_SMOOTH = 0.5  # spread of the smoothing in frames of the new rate: a third is left at the highest frequency it can hold


def without_jumps(x: np.ndarray, limit: float, sfreq_hz: float) -> np.ndarray:
    """[sensor, 3, frame] with joints lost where they are farther than `limit` from their running median."""
    width = max(5, 2 * round(_MEDIAN_S / 2 * sfreq_hz) + 1)
    if x.shape[-1] < width:
        return x
    filled = fill_gaps(x.reshape(-1, x.shape[-1]))[0].reshape(x.shape)
    away = filled - median_filter(filled, size=(1, 1, width), mode="mirror")
    jumped = np.linalg.norm(away, axis=1, keepdims=True) > limit
    return np.where(jumped, np.float32(np.nan), x)


def bridged(x: np.ndarray, longest: float) -> np.ndarray:
    """[..., frame] with gaps of up to `longest` frames filled by straight lines; the ends are left as they are."""
    flat = x.reshape(-1, x.shape[-1])
    filled, gaps = fill_gaps(flat)
    if not gaps.any():
        return x
    frame = np.arange(x.shape[-1])
    before = np.maximum.accumulate(np.where(gaps, -1, frame), axis=1)
    after = np.minimum.accumulate(np.where(gaps, x.shape[-1], frame)[:, ::-1], axis=1)[:, ::-1]
    short = (before >= 0) & (after < x.shape[-1]) & (after - before - 1 <= longest)
    return np.where(gaps & ~short, np.float32(np.nan), filled).reshape(x.shape)


def at_frames(x: np.ndarray, place: np.ndarray) -> np.ndarray:
    """[..., frame] at the fractional frames `place` [k]; what lies beside a lost frame is lost."""
    flat = x.reshape(-1, x.shape[-1])
    filled, gaps = fill_gaps(flat)
    frames = x.shape[-1]
    place = np.clip(place, 0, frames - 1)
    low, high = np.floor(place + 1e-6).astype(int), np.ceil(place - 1e-6).astype(int)
    if frames == 1:
        found = np.repeat(filled, len(place), axis=1)
    else:
        step = (frames - 1) / max(len(place) - 1, 1)
        smooth = gaussian_filter1d(filled, _SMOOTH * step, axis=1, mode="nearest") if step > 1.05 else filled
        found = PchipInterpolator(np.arange(frames), smooth, axis=1)(place)
    lost = gaps[:, low] | gaps[:, high]
    return np.where(lost, np.nan, found).astype(np.float32).reshape(*x.shape[:-1], len(place))


def frames_at(frames: int, from_hz: float, to_hz: float) -> np.ndarray:
    """[k] fractional frames of a clip of `frames` at `from_hz` that stand at whole frames of `to_hz`."""
    return np.arange(max(1, round(frames * to_hz / from_hz))) * (from_hz / to_hz)
