"""Beat and rhythm tokens, and the joining of three scales into one sequence.

- patch: time patches (`tokens`). beat: one token at each R mark. rhythm: one token a window.
- A beat of any length becomes a fixed number of points, aligned at R: the QRS complex keeps its true speed, the P and
  the T side are stretched to their share of the interval. A whole-beat stretch would make a fast QRS look wide, a
  fixed window would cut slow beats and show neighbours of fast ones. How long the beat was stands in its intervals.
- Beat content is [lead and residual slots + 1, point]; the last row holds the intervals around the beat.
- The rhythm token stands at the window's start, not in its middle: what reads tokens around a beat must not meet it.
- `group` links the scales: a patch has the number of the beat it lies in, a beat its own; rhythm has one of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange

from ...core.batching import concat_kinds
from ...core.sequence import PatchSequence, SequenceSpec
from .beat_track import WindowBeats
from .features import RHYTHM_FEATURES
from .intervals import RHYTHM_STATISTICS
from .leads import fill_slots
from .tokens import lead_rank

SCALES = ("patch", "beat", "rhythm")
_SIDES = (14, 16, 18)  # points before, across and after the QRS complex
POINTS = sum(_SIDES)
_QRS_S = (0.06, 0.10)  # what keeps its true speed, around R
_LONGEST_S = (0.45, 0.60)  # before and after R: a pause must not squeeze the waves


def scale_spec(patch: SequenceSpec, scales: Sequence[str], beat_slots: int, spans: int) -> SequenceSpec:
    """The spec of the chosen scales, in the order of `SCALES`; that of the patches alone where they are alone."""
    shapes = {
        "patch": patch.patch_shape,
        "beat": (beat_slots + 1, POINTS),
        "rhythm": (spans, len(RHYTHM_STATISTICS)),
    }
    kinds = tuple(name for name in SCALES if name in scales)
    if kinds == ("patch",):
        return patch
    chosen = tuple(shapes[name] for name in kinds)
    return SequenceSpec(
        axes=patch.axes,
        axis_scales=patch.axis_scales,
        patch_shape=(max(int(np.prod(shape)) for shape in chosen),),
        sfreq_hz=patch.sfreq_hz,
        kinds=kinds,
        kind_shapes=chosen,
    )


def sample_beats(values: np.ndarray, sfreq_hz: float, beats: WindowBeats) -> np.ndarray:
    """[sensor, sample] -> [beat, sensor, POINTS] float32 at the points of each beat, NaN outside the window."""
    r_s, edges = beats.r_s[:, None], (beats.start_s - beats.r_s, beats.stop_s - beats.r_s)
    before = np.clip(-edges[0], 2e-3, _LONGEST_S[0])[:, None]
    after = np.clip(edges[1], 2e-3, _LONGEST_S[1])[:, None]
    q, s = np.minimum(_QRS_S[0], before / 2), np.minimum(_QRS_S[1], after / 2)
    share = [np.linspace(0, 1, n, endpoint=False) for n in _SIDES]
    offsets = [-before + (before - q) * share[0], -q + (q + s) * share[1], s + (after - s) * share[2]]
    at = (r_s + np.concatenate(offsets, axis=1)) * sfreq_hz
    low = np.floor(at).astype(int)
    inside = (low >= 0) & (low + 1 < values.shape[1])
    low = np.where(inside, low, 0)
    part = (at - low).astype(np.float32)
    high = np.minimum(low + 1, values.shape[1] - 1)
    cut = np.where(inside, values[:, low] * (1 - part) + values[:, high] * part, np.nan)
    return np.ascontiguousarray(cut.transpose(1, 0, 2), dtype=np.float32)


def beat_tokens(
    values: np.ndarray,
    sensors: Sequence[str],
    slots: Sequence[tuple[str, ...]],
    beats: WindowBeats,
    axes: int,
    sfreq_hz: float,
) -> PatchSequence:
    """One row, a token a beat at its R mark; valid when anything of it was recorded."""
    waves = np.full((len(beats.r_s), len(slots) + 1, POINTS), np.nan, np.float32)
    cut = sample_beats(values, sfreq_hz, beats)
    for slot, source in enumerate(fill_slots(slots, sensors)):
        if source is not None:
            waves[:, slot] = cut[:, source]
    valid = np.asarray(np.isfinite(waves).any(axis=(1, 2)))
    waves[:, -1, : len(RHYTHM_FEATURES)] = beats.features
    coords = _places(beats.r_s, axes)
    spec = SequenceSpec(axes=tuple(map(str, range(axes))), patch_shape=waves.shape[1:])
    return _row(spec, coords, rearrange(waves, "n slot point -> n (slot point)"), valid, beats.group)


def rhythm_token(beats: WindowBeats, axes: int, alive: bool) -> PatchSequence:
    """One row with one token at the window's start; valid when there are intervals and a signal (`alive`)."""
    content = beats.rhythm.reshape(1, -1)
    valid = np.array([alive and bool(np.isfinite(content).any())])
    group = np.array([len(beats.edges_s) + 1])
    spec = SequenceSpec(axes=tuple(map(str, range(axes))), patch_shape=beats.rhythm.shape)
    return _row(spec, _places(np.zeros(1), axes), content, valid, group)


def join(parts: Sequence[PatchSequence], spec: SequenceSpec) -> PatchSequence:
    """The scales of one window, in the order of `spec.kinds`, on one value axis; NaN where a kind has no number."""
    widened = []
    for kind, part in enumerate(parts):
        assert part.values is not None
        values = part.values.new_full((*part.valid.shape, spec.patch_size), torch.nan)
        values[..., : part.values.shape[-1]] = part.values
        widened.append(part.replace(spec=spec, values=values, kind=torch.full_like(part.kind, kind)))
    return concat_kinds(*widened)


def time_patches(sequence: PatchSequence, spec: SequenceSpec) -> PatchSequence:
    """The time patches of a joined sequence in its own places, all else invalid; group = lead again."""
    assert sequence.values is not None
    own = sequence.valid & (sequence.kind == 0)
    coords = sequence.coords.masked_fill(~own.unsqueeze(-1), 0.0)
    group = lead_rank(coords) if len(spec.axes) > 1 else torch.zeros_like(sequence.group)
    return sequence.replace(
        spec=spec,
        values=sequence.values[..., : spec.patch_size],
        valid=own,
        coords=coords,
        kind=torch.zeros_like(sequence.kind),
        group=group.masked_fill(~own, 0),
    )


def owner_of(time_s: np.ndarray, beats: WindowBeats) -> np.ndarray:
    """Number of the beat in which each time lies."""
    return np.searchsorted(beats.edges_s, time_s, "right")


def _places(time_s: np.ndarray, axes: int) -> np.ndarray:
    """Coordinates of tokens over all leads: in time, and in the middle of every other axis."""
    coords = np.zeros((len(time_s), axes), np.float32)
    coords[:, 0] = time_s
    return coords


def _row(
    spec: SequenceSpec, coords: np.ndarray, values: np.ndarray, valid: np.ndarray, group: np.ndarray
) -> PatchSequence:
    return PatchSequence.build(
        spec,
        torch.from_numpy(coords)[None],
        values=torch.from_numpy(values.astype(np.float32, copy=True))[None],
        valid=torch.from_numpy(valid)[None],
        group=torch.from_numpy(np.asarray(group, np.int64))[None],
    )
