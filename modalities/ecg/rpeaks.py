"""R peaks of any leads, polarity, rate and length, batched: where the QRS evidence of all leads has its beats.

The rules are those of Pan & Tompkins (1985, doi:10.1109/TBME.1985.325532), stated on peaks of multi-lead evidence
instead of samples of one lead, and looking both ways in time since recordings are read whole:

- peaks nearer than the refractory period of the ventricles belong to one beat, the highest stays
- a beat reaches a share of the usual QRS height of its surroundings
- a low peak soon after a higher one is its T wave
- a gap much longer than the intervals around it is searched again with a lower threshold

What it does not do: tell beats from artefacts in a recording without any heart in it (that is the quality gate's job),
find single beats inside ventricular flutter or fibrillation, or mark pacemaker spikes.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...core.errors import InputError
from ...core.modality import Annotation, Recording
from .qrs_evidence import BLOCK_S, Evidence, qrs_evidence
from .tasks import UNCLASSED_BEAT

MIN_SFREQ_HZ = 50.0  # slower recordings do not hold the band of the QRS complex
_REFRACTORY_S = 0.2  # ventricles cannot be excited again sooner
# Shares of the usual QRS height of the surroundings; the evidence already carries that height as its unit
_SHARE = 0.3  # from where on a peak is a beat: low enough for small beats between tall ventricular ones
_SECOND_SHARE = 0.15  # the same inside a long gap
_T_WITHIN_S, _T_SHARE = 0.4, 0.5  # a peak so soon after a beat and below this share of its evidence is its T wave
_LONG_GAP = 1.5  # local median intervals; Pan & Tompkins take 1.66, but here a pause holds no peaks to be mistaken
_SECOND_LOOKS = 3  # each finds one beat in a gap, which halves it
_INTERVALS = 9  # whose median is the local interval
_REFINE_S = 0.06  # the extremum lies so near to the middle of the complex


@torch.no_grad()
def detect_r_peaks(x: Tensor, sfreq_hz: float, valid: Tensor | None = None) -> list[Tensor]:
    """Times of the R peaks of each recording, in seconds from its first sample, ascending, float64 [beat].

    x: [batch, lead, sample] in millivolt, any leads; NaN or infinite where nothing was recorded (padding too).
    valid: [batch, lead] bool, False for a lead not to be used.
    Raises InputError.
    """
    if x.ndim != 3:
        raise InputError("signals must be [batch, lead, sample]", got=tuple(x.shape))
    if not MIN_SFREQ_HZ <= sfreq_hz < math.inf:
        raise InputError("sampling rate too low for R peaks", got=sfreq_hz, expected=f"at least {MIN_SFREQ_HZ:g} Hz")
    if 0 in x.shape:
        return [torch.zeros(0, dtype=torch.float64, device=x.device) for _ in x]
    x = x.float()
    if valid is not None:
        x = x.masked_fill(~valid.unsqueeze(-1), torch.nan)
    # every block that overlaps the end is there with and without padding
    x = functional.pad(x, (0, math.ceil(BLOCK_S * sfreq_hz)), value=torch.nan)
    evidence = qrs_evidence(x, sfreq_hz)
    at, height = _candidates(evidence)
    beat = _beats(at.double() / evidence.sfreq_hz, height)
    times = _extremum(evidence, at)
    return [row[chosen] for row, chosen in zip(times, beat, strict=True)]


def r_peaks(signals: np.ndarray, sfreq_hz: float) -> np.ndarray:
    """R peaks of one recording: [lead, sample] in millivolt, NaN where missing -> [beat] seconds. Raises InputError."""
    if np.ndim(signals) != 2:
        raise InputError("signals must be [lead, sample]", got=np.shape(signals), fix="of one lead give signal[None]")
    x = torch.from_numpy(np.array(signals, dtype=np.float32))
    return detect_r_peaks(x.unsqueeze(0), sfreq_hz)[0].numpy()


def detected_beats(recording: Recording) -> tuple[Annotation, ...]:
    """Detected beats of a recording as annotations without a class, for recordings that nobody annotated."""
    times = r_peaks(recording.signals, recording.sfreq_hz)
    return tuple(Annotation(float(at), UNCLASSED_BEAT) for at in times)


def _candidates(evidence: Evidence) -> tuple[Tensor, Tensor]:
    """Highest peak of each refractory period: grid index and height, each [batch, candidate], padded with zeros."""
    height = evidence.height
    reach = round(_REFRACTORY_S * evidence.sfreq_hz)
    highest = functional.max_pool1d(height.unsqueeze(1), 2 * reach + 1, stride=1, padding=reach).squeeze(1)
    peak = (height == highest) & (height > math.log1p(_SECOND_SHARE))
    grid = torch.arange(height.shape[-1], device=height.device).expand_as(peak)
    return _pack(grid, peak, 0), _pack(height, peak, 0.0)


def _beats(time_s: Tensor, height: Tensor) -> Tensor:
    """Which candidates are beats; all [batch, candidate]."""
    beat = height > math.log1p(_SHARE)
    beat = beat & ~_t_wave(beat, time_s, height)
    for _ in range(_SECOND_LOOKS):
        missed = _missed(beat, time_s, height)
        if not missed.any():
            break
        beat = beat | missed
    return beat


def _t_wave(beat: Tensor, time_s: Tensor, height: Tensor) -> Tensor:
    previous = _previous(beat)
    soon = time_s - _pick(time_s, previous) < _T_WITHIN_S
    return (previous >= 0) & soon & (height < _T_SHARE * _pick(height, previous))


def _missed(beat: Tensor, time_s: Tensor, height: Tensor) -> Tensor:
    """The highest candidate of each gap that is too long for the rhythm around it."""
    # gap g lies between beats g and g + 1
    starts = _pack(time_s, beat, torch.nan)
    if starts.shape[-1] < 2:
        return torch.zeros_like(beat)
    interval = starts.diff(dim=-1)
    half = _INTERVALS // 2
    around = functional.pad(interval, (half, half), value=torch.nan).unfold(-1, _INTERVALS, 1)
    long = interval > _LONG_GAP * around.nanmedian(dim=-1).values
    gap = beat.long().cumsum(dim=-1) - 1
    inside = ~beat & (height > 0) & (gap >= 0) & (gap < interval.shape[-1])
    gap = gap.clamp(0, interval.shape[-1] - 1)
    inside &= long.gather(-1, gap) & ~_t_wave(beat, time_s, height)
    # nor just before the next beat: that is its P wave
    inside &= starts.gather(-1, gap + 1) - time_s > _REFRACTORY_S
    size = torch.where(inside, height, 0.0)
    best = torch.zeros_like(interval, dtype=size.dtype).scatter_reduce(-1, gap, size, "amax")
    return inside & (size == best.gather(-1, gap))


def _extremum(evidence: Evidence, at: Tensor) -> Tensor:
    """Time in seconds of the sharpest moment near each candidate, between grid points by a parabola."""
    reach = round(_REFINE_S * evidence.sfreq_hz)
    n = evidence.sharp.shape[-1]
    around = (at.unsqueeze(-1) + torch.arange(-reach, reach + 1, device=at.device)).clamp(1, n - 2)
    values = evidence.sharp.gather(-1, around.flatten(1)).view_as(around)
    best = around.gather(-1, values.argmax(dim=-1, keepdim=True)).squeeze(-1)
    before, middle, after = (evidence.sharp.gather(-1, best + step) for step in (-1, 0, 1))
    bend = before - 2 * middle + after
    shift = torch.where(bend < 0, 0.5 * (before - after) / bend.clamp(max=-1e-9), 0.0).clamp(-0.5, 0.5)
    return (best + shift.double()) / evidence.sfreq_hz


def _pack(values: Tensor, chosen: Tensor, fill: float) -> Tensor:
    """Chosen values of each row moved to its front, [row, n] -> [row, most chosen, at least 1]; the rest is `fill`."""
    most = max(1, int(chosen.sum(dim=-1).max()))
    place = torch.where(chosen, chosen.long().cumsum(dim=-1) - 1, most)
    packed = torch.full((len(values), most + 1), fill, dtype=values.dtype, device=values.device)
    return packed.scatter(-1, place, values)[:, :most]


def _previous(beat: Tensor) -> Tensor:
    """Index of the last beat before each candidate, -1 where there is none."""
    index = torch.arange(beat.shape[-1], device=beat.device)
    last = torch.where(beat, index, -1).cummax(dim=-1).values
    return functional.pad(last[..., :-1], (1, 0), value=-1)


def _pick(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(-1, index.clamp(min=0))
