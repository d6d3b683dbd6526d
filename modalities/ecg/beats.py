"""Beats against the record's own normal beat, all label-free and computed from given R marks.

The normal beat is the median of late beats that look alike: ectopic beats come early, so those that end the longest
intervals of a record are the heart's own even where ectopic beats are the majority, which a median over all beats would
take for normal. Differences to it are what tells a ventricular beat from a patient's own bundle-branch block; its
height is the unit of amplitude.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .features import intervals, rhythm_features

BEFORE_S, AFTER_S = 0.40, 0.50
_WAVES_S = {"p": (-0.28, -0.09), "qrs": (-0.09, 0.11), "t": (0.12, 0.45), "beat": (-0.25, 0.40)}

_LATE = 0.3  # share of the beats, those after the longest intervals, among which the normal one is looked for
_FEWEST = 8  # of a short recording

_HEIGHTS = (0.25, 4.0)  # plausible normal QRS heights, in the beat heights of preprocessing


@dataclass(frozen=True, eq=False)
class Beats:
    """Windows around R marks.

    windows: [beat, lead, sample], zero where nothing was recorded; normal: [lead, sample]; r_s: [beat] seconds.
    """

    windows: np.ndarray
    normal: np.ndarray
    r_s: np.ndarray
    sfreq_hz: float

    def span(self, wave: str) -> slice:
        """Samples of a wave inside a window."""
        start, stop = _WAVES_S[wave]
        return slice(round((start + BEFORE_S) * self.sfreq_hz), round((stop + BEFORE_S) * self.sfreq_hz))


def cut_beats(x: np.ndarray, r_s: np.ndarray, sfreq_hz: float) -> np.ndarray:
    """[lead, sample] and R marks in seconds -> [beat, lead, sample'], linearly interpolated, edges repeated."""
    x = np.nan_to_num(x)
    offsets = np.arange(-round(BEFORE_S * sfreq_hz), round(AFTER_S * sfreq_hz) + 1)
    at = np.clip(r_s[:, None] * sfreq_hz + offsets, 0, max(0.0, x.shape[1] - 1.001))
    low = at.astype(int)
    share = (at - low).astype(np.float32)
    high = np.minimum(low + 1, x.shape[1] - 1)
    cut = x[:, low] * (1 - share) + x[:, high] * share
    return np.ascontiguousarray(cut.transpose(1, 0, 2), dtype=np.float32)


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson correlation over the last axis, 0 where either side is flat."""
    a = a - a.mean(axis=-1, keepdims=True)
    b = b - b.mean(axis=-1, keepdims=True)
    return (a * b).sum(axis=-1) / (np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1)) + 1e-6)


def find_beats(x: np.ndarray, r_s: np.ndarray, sfreq_hz: float) -> Beats:
    """Cut all beats of a record [lead, sample] and find its normal beat."""
    windows = cut_beats(x, r_s, sfreq_hz)
    beats = Beats(windows, np.zeros(windows.shape[1:], np.float32), r_s, sfreq_hz)
    if not len(r_s):
        return beats
    before, _ = intervals(r_s)
    count = max(round(_LATE * len(r_s)), min(_FEWEST, len(r_s)))
    pool = np.sort(np.argsort(-before, kind="stable")[:count])
    # a median over a few hundred beats is as good as over all, and sorting is what costs here
    pool = pool[np.linspace(0, len(pool) - 1, min(len(pool), 400)).astype(int)]
    qrs = beats.span("qrs")
    normal = np.median(windows[pool], axis=0)
    for _ in range(2):
        alike = correlation(windows[pool][..., qrs], normal[None, :, qrs]).mean(axis=-1)
        normal = np.median(windows[pool[alike >= np.median(alike)]], axis=0)
    return Beats(windows, normal.astype(np.float32), r_s, sfreq_hz)


def beat_height(beats: Beats) -> np.ndarray:
    """[lead] height of the normal QRS complex."""
    return np.ptp(beats.normal[:, beats.span("qrs")], axis=-1)


def in_normal_heights(x: np.ndarray, beats: Beats) -> tuple[np.ndarray, Beats]:
    """Signal [lead, sample] and beats in units of each lead's normal QRS height, where there is one."""
    height = beat_height(beats)
    unit = np.where(height > 0, np.clip(height, *_HEIGHTS), 1.0).astype(np.float32)[:, None]
    return x / unit, Beats(beats.windows / unit, beats.normal / unit, beats.r_s, beats.sfreq_hz)


def residual(x: np.ndarray, beats: Beats) -> np.ndarray:
    """[lead, sample] signal minus the normal beat laid at every R mark, tapered towards its neighbours.

    What is left is what does not look like the record's normal beat; NaN stays NaN.
    """
    length = beats.windows.shape[-1]
    before = round(BEFORE_S * beats.sfreq_hz)
    t = (np.arange(length) - before) / beats.sfreq_hz
    taper = np.clip(np.minimum((t + BEFORE_S) / 0.1, (AFTER_S - t) / 0.1), 0, 1)
    at = np.round(beats.r_s * beats.sfreq_hz).astype(int)[:, None] + np.arange(-before, length - before)
    inside = (at >= 0) & (at < x.shape[1])
    weight = np.zeros(x.shape[1])
    np.add.at(weight, at[inside], np.broadcast_to(taper, at.shape)[inside])
    laid = np.empty_like(x)
    for lead in range(len(x)):
        total = np.bincount(
            at[inside], np.broadcast_to(beats.normal[lead] * taper, at.shape)[inside], minlength=x.shape[1]
        )
        laid[lead] = total / np.maximum(weight, 1.0)
    return x - laid


def shape_features(beats: Beats) -> np.ndarray:
    """[beat, feature] float32: correlation with and distance from the normal beat by wave, heights, widths, slopes,
    likeness to the neighbours and evidence of a P wave; in units of the normal beat's height."""
    w, normal = beats.windows, beats.normal
    n = len(w)
    if n == 0:
        return np.zeros((0, 0), np.float32)
    unit = np.maximum(beat_height(beats), 0.05)[:, None]
    w, normal = w / unit, normal / unit
    difference = w - normal
    columns: list[np.ndarray] = []
    for wave in ("p", "qrs", "t"):
        s = beats.span(wave)
        columns.append(correlation(w[..., s], normal[None, :, s]))
        columns.append(np.log(np.sqrt((difference[..., s] ** 2).mean(axis=-1)) + 0.02))
    qrs = beats.span("qrs")
    columns += [np.log(np.ptp(w[..., qrs], axis=-1) + 0.05), w[..., qrs].max(axis=-1), w[..., qrs].min(axis=-1)]
    steep, steep_normal = np.abs(np.diff(w[..., qrs])), np.abs(np.diff(normal[:, qrs]))
    width, width_normal = _width(steep), _width(steep_normal)
    columns += [width, width - width_normal]
    columns.append(np.log(steep.max(axis=-1) / (steep_normal.max(axis=-1) + 1e-3) + 0.05))
    previous, following = np.clip(np.arange(n) - 1, 0, n - 1), np.clip(np.arange(n) + 1, 0, n - 1)
    columns += [correlation(w[..., qrs], w[other][..., qrs]) for other in (previous, following)]
    p = w[..., beats.span("p")]
    columns += [np.log(np.ptp(p, axis=-1) + 0.01), p.argmax(axis=-1) / p.shape[-1]]
    return np.concatenate(columns, axis=1).astype(np.float32)


def _width(steepness: np.ndarray) -> np.ndarray:
    """Share of a QRS window that is steep (over 15 % of its steepest step)."""
    return (steepness > 0.15 * steepness.max(axis=-1, keepdims=True)).mean(axis=-1)


def hand_features(beats: Beats) -> np.ndarray:
    """[beat, feature] float32: the field's hand-made description of a beat for the baseline row.

    The window scaled by the record's normal beat, its difference to that beat (both at a third of the rate), the shape
    features and the rhythm features.
    """
    if not len(beats.windows):
        return np.zeros((0, 0), np.float32)
    unit = np.maximum(beat_height(beats), 0.05)[:, None]
    s = beats.span("beat")
    scaled = (beats.windows / unit)[..., s][..., ::3]
    difference = ((beats.windows - beats.normal) / unit)[..., s][..., ::3]
    parts = [scaled.reshape(len(scaled), -1), difference.reshape(len(scaled), -1)]
    return np.concatenate([*parts, shape_features(beats), rhythm_features(beats.r_s)], axis=1).astype(np.float32)
