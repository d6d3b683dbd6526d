"""Label-safe views of ECG patches: what a different amplifier, electrode or posture would change, and no more.

Polarity is never changed. It is what tells a sinus from a junctional P wave, ischaemia from a normal T wave and the
axis of the heart; and leads of one body follow from each other: turning one of them makes an impossible heart.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...core.rng import RowRandom
from ...core.sequence import PatchSequence, SequenceSpec
from .scales import POINTS, time_patches

GAIN = 0.15  # log-normal spread of a lead's gain
WANDER, NOISE = 0.05, 0.02  # amplitude in beat heights
LOSE = 0.15  # probability that one lead is lost
JITTER = 0.02  # of the logarithm of intervals: R marks are off by a few milliseconds


def augment_patches(
    batch: PatchSequence, rng: RowRandom, sensors: int, residual: bool, lose: float = LOSE
) -> PatchSequence:
    """A random gain for each lead, sometimes a lost lead, slow wander and noise.

    sensors: number of slots (joint) or of possible groups (lead). The residual of a lead follows its lead.
    lose: probability that a row loses one lead (joint patches only; see `lead_presence` for more).
    """
    own = sensors // 2 if residual else sensors
    x = _changed(batch, _gains(rng, own, residual), rng)
    if own > 1 and len(batch.spec.axes) == 1:  # a lost lead token would need invalid patches; masks of leads do that
        there = (torch.isfinite(x).any(dim=-1) & batch.valid.unsqueeze(-1)).any(dim=1)[:, :own]
        x = x.masked_fill(_lost(there, rng, residual, lose)[:, None, :, None], torch.nan)
    return batch.replace(values=x.flatten(2))


def augment_scales(
    batch: PatchSequence, rng: RowRandom, patch: SequenceSpec, sensors: int, residual: bool, lose: float = LOSE
) -> PatchSequence:
    """The same for sequences of several scales: a lead's gain and loss are those of the patient, so patches and beats
    share them; intervals get the error of their marks.

    patch: spec of the time patches alone.
    """
    assert batch.values is not None
    kinds, own = batch.spec.kinds, sensors // 2 if residual else sensors
    factor = _gains(rng.fork("gain"), own, residual)
    lost = torch.zeros_like(factor, dtype=torch.bool)
    beats = batch.values[..., : math.prod(batch.spec.shape_of(kinds.index("beat")))] if "beat" in kinds else None
    made: dict[str, Tensor] = {}
    if "patch" in kinds:
        alone = time_patches(batch, patch)
        made["patch"] = _changed(alone, factor, rng.fork("patch"))
    if beats is not None:
        beats = beats.reshape(*batch.valid.shape, -1, POINTS)
        waves, intervals = beats[:, :, :-1], beats[:, :, -1:]
        waves = waves * factor[:, None, :, None] + NOISE * rng.fork("beat").normal(*waves.shape[1:])
        intervals = intervals + JITTER * rng.fork("interval").normal(*intervals.shape[1:])
        made["beat"] = torch.cat([waves, intervals], dim=2)
    if own > 1 and len(batch.spec.axes) == 1 and made:
        there = torch.stack([_recorded(batch, kinds.index(k), x)[:, :own] for k, x in made.items()]).any(dim=0)
        lost = _lost(there, rng.fork("drop"), residual, lose)
    values = batch.values
    for name, x in made.items():
        gone = torch.nn.functional.pad(lost, (0, x.shape[2] - lost.shape[1])) if x.shape[2] > 1 else lost[:, :1]
        x = x.masked_fill(gone[:, None, :, None], torch.nan).flatten(2)
        here = (batch.kind == kinds.index(name)).unsqueeze(-1)
        changed = torch.where(here, x, values[..., : x.shape[-1]])
        values = torch.cat([changed, values[..., x.shape[-1] :]], dim=-1)
    return batch.replace(values=values)


def _changed(batch: PatchSequence, factor: Tensor, rng: RowRandom) -> Tensor:
    """[row, patch, sensor, sample] with gains, wander and noise."""
    assert batch.values is not None
    shape = batch.flat_value_shape()
    noise = WANDER * _wander(batch, rng) + NOISE * rng.normal(*shape[1:])
    joint = len(batch.spec.axes) == 1
    per_patch = factor[:, None, :, None] if joint else torch.gather(factor, 1, batch.group)[:, :, None, None]
    return batch.values.reshape(shape) * per_patch + noise


def _gains(rng: RowRandom, own: int, residual: bool) -> Tensor:
    """[row, sensor] gain of each lead, that of its residual behind."""
    factor = torch.exp(GAIN * rng.normal(own))
    return factor.repeat(1, 2) if residual else factor


def _wander(batch: PatchSequence, rng: RowRandom) -> Tensor:
    """[row, patch, 1, sample] slow sine of random rate and phase, continuous over patches."""
    patch = batch.spec.patch_shape[-1]
    inside = (torch.arange(patch, device=batch.device) - (patch - 1) / 2) / float(batch.spec.sfreq_hz or 1.0)
    time = batch.coords[..., 0].masked_fill(~batch.valid, 0.0)[:, :, None, None] + inside
    rate, phase = 0.1 + 0.4 * rng.uniform(1, 1, 1), 2 * torch.pi * rng.uniform(1, 1, 1)
    return torch.sin(2 * torch.pi * rate * time + phase)


def _recorded(batch: PatchSequence, kind: int, x: Tensor) -> Tensor:
    """[row, sensor] whether patches of a kind [row, patch, sensor, sample] hold anything of each sensor."""
    own = (batch.valid & (batch.kind == kind))[:, :, None, None]
    return (torch.isfinite(x) & own).any(dim=-1).any(dim=1)


def _lost(there: Tensor, rng: RowRandom, residual: bool, lose: float) -> Tensor:
    """[row, sensor] one lead of some rows, never a row's only one. A lost lead is NaN, as one that was not recorded.

    there: [row, lead] which leads were recorded.
    """
    lost = torch.zeros_like(there)
    pick = rng.uniform(there.shape[1]).masked_fill(~there, -1.0).argmax(dim=1)
    wanted = (rng.uniform(1)[:, 0] < lose) & (there.sum(dim=1) > 1)
    lost[torch.arange(len(lost), device=lost.device), pick] = wanted
    return lost.repeat(1, 2) if residual else lost
