"""Label-safe views of ECG patches: what a different amplifier, electrode or posture would change, and no more.

Polarity is never changed. It is what tells a sinus from a junctional P wave, ischaemia from a normal T wave and the
axis of the heart; and leads of one body follow from each other: turning one of them makes an impossible heart.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...core.rng import RowRandom
from ...core.sequence import PatchSequence

GAIN = 0.15  # log-normal spread of a lead's gain
WANDER, NOISE = 0.05, 0.02  # amplitude in beat heights
DROP = 0.15  # probability that one lead is lost


def augment_patches(batch: PatchSequence, rng: RowRandom, sensors: int, residual: bool) -> PatchSequence:
    """A random gain for each lead, sometimes a lost lead, slow wander and noise.

    sensors: number of slots (joint) or of possible groups (lead). The residual of a lead follows its lead.
    """
    assert batch.values is not None
    joint = len(batch.spec.axes) == 1
    own = sensors // 2 if residual else sensors
    factor = torch.exp(GAIN * rng.normal(own))
    if residual:
        factor = factor.repeat(1, 2)
    shape = batch.flat_value_shape()
    x = batch.values.reshape(shape)
    per_patch = _per_patch(factor, batch, joint)
    noise = WANDER * _wander(batch, rng) + NOISE * rng.normal(*shape[1:])
    x = x * per_patch + noise
    if own > 1:
        x = _drop(x, batch, rng, own, residual, joint)
    return batch.replace(values=x.reshape(batch.values.shape))


def _per_patch(values: Tensor, batch: PatchSequence, joint: bool) -> Tensor:
    """[row, sensor] -> broadcastable to [row, patch, sensor, sample]."""
    if joint:
        return values[:, None, :, None]
    return torch.gather(values, 1, batch.group)[:, :, None, None]


def _wander(batch: PatchSequence, rng: RowRandom) -> Tensor:
    """[row, patch, 1, sample] slow sine of random rate and phase, continuous over patches."""
    patch = batch.spec.patch_shape[-1]
    inside = (torch.arange(patch, device=batch.device) - (patch - 1) / 2) / float(batch.spec.sfreq_hz or 1.0)
    time = batch.coords[..., 0].masked_fill(~batch.valid, 0.0)[:, :, None, None] + inside
    rate, phase = 0.1 + 0.4 * rng.uniform(1, 1, 1), 2 * torch.pi * rng.uniform(1, 1, 1)
    return torch.sin(2 * torch.pi * rate * time + phase)


def _drop(x: Tensor, batch: PatchSequence, rng: RowRandom, own: int, residual: bool, joint: bool) -> Tensor:
    """Lose one lead of some rows, never a row's only one. A lost lead is NaN, as one that was not recorded."""
    if not joint:
        return x  # a lost lead would need invalid patches; mask samplers by group do that
    there = torch.isfinite(x).any(dim=-1).any(dim=1)[:, :own]
    lost = torch.zeros_like(there)
    pick = rng.uniform(own).masked_fill(~there, -1.0).argmax(dim=1)
    wanted = (rng.uniform(1)[:, 0] < DROP) & (there.sum(dim=1) > 1)
    lost[torch.arange(len(lost), device=lost.device), pick] = wanted
    if residual:
        lost = lost.repeat(1, 2)
    return x.masked_fill(lost[:, None, :, None], torch.nan)
