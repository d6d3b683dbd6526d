"""Atrial fibrillation burden: the share of a long record spent in fibrillation, with its episodes.

From the times of beats, or from the probabilities that a model gives to windows, to episodes (start, stop) and a
share of time with an interval.

- Beats: fibrillation makes intervals irregular. What is measured is how far consecutive intervals differ, relative to
  their length, in the middle of a stretch of beats (a robust form of the normalised RMSSD of Dash et al. 2009,
  doi:10.1007/s10439-009-9740-z). Frequent ectopic beats make intervals as irregular, so intervals that touch one are
  left out: give the marks, or what a beat model says. Flutter with changing conduction cannot be told apart this way.
  Stretch and limit were chosen on the records of MIT-BIH's DS1.
- Episodes shorter than 30 s do not count and gaps shorter than 30 s do not end one: the usual definition of an episode
  (2020 ESC guideline, doi:10.1093/eurheartj/ehaa612).
- The interval resamples blocks of a few minutes (moving block bootstrap, Kuensch 1989, doi:10.1214/aos/1176347265),
  because neighbouring moments are anything but independent. It says how far the burden of another record of this
  length from the same heart could lie, given this record; it is wide when there are few episodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError

# changes of interval in the stretch that decides about the interval in its middle
STRETCH = 60
# a stretch is irregular when its median relative change is larger
IRREGULAR = 0.10
EPISODE_S = 30.0
BLOCK_S = 120.0
# longer than any beat interval of a beating heart: marks are missing here
LOST_S = 3.0
# seconds of the grid on which the interval is resampled
_GRID_S = 1.0


@dataclass(frozen=True)
class Episode:
    """A stretch of fibrillation in seconds from the start of the record."""

    start_s: float
    stop_s: float


@dataclass(frozen=True)
class Burden:
    """share: time in fibrillation over time analysed, 0 to 1; low, high: its 95 % interval.

    episodes: in order of time. analysed_s: how long the record is known.
    """

    share: float
    low: float
    high: float
    episodes: tuple[Episode, ...]
    analysed_s: float


def burden_from_beats(r_s: np.ndarray, duration_s: float, ectopic: np.ndarray | None = None, seed: int = 0) -> Burden:
    """Burden of a record from its R peaks in seconds, ascending.

    ectopic: [beat] bool, beats that do not follow the rhythm of the atria. The record is analysed from the first to the
    last beat; intervals of more than 3 s are lost marks and left out.
    Raises InputError when too few beats follow each other, or times are not ascending within the record.
    """
    r_s = np.asarray(r_s, float)
    if np.any(np.diff(r_s) <= 0) or (len(r_s) and (r_s[0] < 0 or r_s[-1] > duration_s)):
        raise InputError("beat times are not ascending within the record", field="r_s")
    ectopic = np.zeros(len(r_s), bool) if ectopic is None else np.asarray(ectopic, bool)
    rr = np.diff(r_s)
    kept = rr <= LOST_S
    normal = kept & ~ectopic[1:] & ~ectopic[:-1]
    return burden(r_s[:-1][kept], r_s[1:][kept], fibrillating(rr, normal)[kept], seed)


def burden_from_windows(start_s: np.ndarray, window_s: float, probability: np.ndarray, seed: int = 0) -> Burden:
    """Burden from the probability of fibrillation in windows that start at `start_s`, ascending.

    Where windows overlap, a moment belongs to the window in whose middle it lies most nearly; between windows that do
    not meet nothing is analysed. Raises InputError for an empty record, shapes that do not
    agree, starts that do not ascend and what is no probability.
    """
    start_s, probability = np.asarray(start_s, float), np.asarray(probability, float)
    if not len(start_s) or start_s.shape != probability.shape:
        raise InputError("need one probability a window", field="probability", got=f"{probability.shape}")
    if not (np.isfinite(start_s).all() and np.all(np.diff(start_s) > 0) and 0 < window_s < np.inf):
        raise InputError("windows must start one after the other and have a length", field="start_s")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise InputError("a probability lies outside 0 to 1", field="probability", fix="leave out windows without one")
    stop_s = start_s + window_s
    meet = (start_s[1:] + stop_s[:-1]) / 2
    overlap = start_s[1:] < stop_s[:-1]
    first = np.concatenate([start_s[:1], np.where(overlap, meet, start_s[1:])])
    last = np.concatenate([np.where(overlap, meet, stop_s[:-1]), stop_s[-1:]])
    return burden(first, last, probability >= 0.5, seed)


def fibrillating(rr: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """[interval] bool: whether the normal intervals around each one are irregular.

    rr: [interval] seconds. normal: [interval] bool; only changes between two that follow each other count.
    Raises InputError when there are fewer such changes than a stretch has.
    """
    index = np.flatnonzero(normal[1:] & normal[:-1]) if len(rr) else np.empty(0, int)
    if len(index) < STRETCH:
        raise InputError("too few normal beats follow each other", got=len(index), expected=f"{STRETCH} or more")
    change = np.abs(np.diff(rr))[index] / (0.5 * (rr[1:] + rr[:-1]))[index]
    middle = np.median(np.lib.stride_tricks.sliding_window_view(change, STRETCH), axis=1)
    # at the ends the nearest full stretch decides, at an interval that is not normal the next one that is
    of_change = np.clip(np.arange(len(index)) - STRETCH // 2, 0, len(middle) - 1)
    nearest = np.clip(np.searchsorted(index + 0.5, np.arange(len(rr))), 0, len(index) - 1)
    return middle[of_change[nearest]] > IRREGULAR


def burden(start_s: np.ndarray, stop_s: np.ndarray, positive: np.ndarray, seed: int = 0) -> Burden:
    """Burden of a record that was decided piece by piece.

    start_s, stop_s: [piece] ascending pieces that do not overlap; positive: [piece] bool. Time in no piece is unknown.
    """
    episodes = join(start_s, stop_s, positive)
    analysed_s = float(np.sum(stop_s - start_s))
    known, inside = _grid(start_s, stop_s, episodes)
    share = _share(inside[known])
    low, high = _interval(inside[known], seed)
    return Burden(share, min(low, share), max(high, share), tuple(episodes), analysed_s)


def join(start_s: np.ndarray, stop_s: np.ndarray, positive: np.ndarray) -> list[Episode]:
    """Episodes of positive pieces: gaps shorter than 30 s are bridged first, then short episodes dropped."""
    found: list[Episode] = []
    for start, stop, yes in zip(start_s, stop_s, positive, strict=True):
        if not yes:
            continue
        if found and start - found[-1].stop_s < EPISODE_S:
            found[-1] = Episode(found[-1].start_s, float(stop))
        else:
            found.append(Episode(float(start), float(stop)))
    return [e for e in found if e.stop_s - e.start_s >= EPISODE_S]


def _grid(start_s: np.ndarray, stop_s: np.ndarray, episodes: list[Episode]) -> tuple[np.ndarray, np.ndarray]:
    """Whether each second of the record is known, and whether it lies in an episode."""
    at = np.arange(float(start_s[0]), float(stop_s[-1]), _GRID_S) + 0.5 * _GRID_S
    piece = np.clip(np.searchsorted(start_s, at, side="right") - 1, 0, None)
    inside = np.zeros(len(at), bool)
    for episode in episodes:
        inside |= (at >= episode.start_s) & (at < episode.stop_s)
    return at < stop_s[piece], inside


def _share(inside: np.ndarray) -> float:
    return float(inside.mean()) if len(inside) else 0.0


def _interval(inside: np.ndarray, seed: int, resamples: int = 1000) -> tuple[float, float]:
    """95 % percentile interval of the share, by blocks of the record on a ring."""
    n, block = len(inside), int(BLOCK_S / _GRID_S)
    if n <= block:
        return 0.0, 1.0  # one block says nothing about its spread
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, n, (resamples, -(-n // block)))
    total = np.concatenate([[0], np.cumsum(np.concatenate([inside, inside[:block]]))])
    shares = (total[starts + block] - total[starts]).mean(axis=1) / block
    low, high = np.percentile(shares, [2.5, 97.5])
    return float(low), float(high)
