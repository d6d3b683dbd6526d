"""Random lead presence: a training window keeps a random subset of its leads, so a model meets every set of them.

- How many leads stay is uniform between one and all that were recorded, so small sets are met as often as large ones;
  which ones is uniform too (MELP and ECG-FM drop each lead with a fixed probability and hardly ever show a few).
- Two limb leads give the other four (`leads.derive_limb_leads`), as they will in a recording. So they come back here.
- A lost lead is one that was never recorded: NaN inside a joint patch or a beat, `valid=False` for a token of its own.
  It is never a flat line.
- Draws belong to the window and sets are drawn for the whole batch at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.rng import RowRandom
from ...core.sequence import PatchSequence, SequenceSpec
from .leads import LIMB_LEADS
from .scales import POINTS, time_patches


@dataclass(frozen=True)
class LeadDropout:
    """Which leads can be lost.

    share: probability that a window loses any. slots: the leads that may fill each slot (or group) of a lead, residuals
    left out.
    """

    share: float
    slots: tuple[tuple[str, ...], ...]

    def lost(self, recorded: Tensor, rng: RowRandom) -> Tensor:
        """[row, lead] bool, which of the recorded leads [row, lead] each row loses; one at least stays."""
        leads = recorded.shape[1]
        most = 1 + (rng.uniform(1) * recorded.sum(dim=1, keepdim=True)).floor()
        rank = rng.uniform(leads).masked_fill(~recorded, 2.0).argsort(dim=1).argsort(dim=1)
        kept = recorded & (rank < most)
        # a slot that different leads may fill does not say which one it holds
        limb = torch.tensor([len(s) == 1 and s[0] in LIMB_LEADS for s in self.slots], device=recorded.device)
        derived = (kept & limb).sum(dim=1, keepdim=True) >= 2
        return recorded & ~kept & ~(limb & derived) & (rng.uniform(1) < self.share)

    def __call__(self, batch: PatchSequence, rng: RowRandom, patch: SequenceSpec) -> PatchSequence:
        """The batch with a random subset of each row's leads. patch: spec of the time patches alone."""
        recorded = recorded_leads(batch, patch, len(self.slots))
        return without_leads(batch, patch, self.lost(recorded, rng))


def recorded_leads(batch: PatchSequence, patch: SequenceSpec, leads: int) -> Tensor:
    """[row, lead] bool, whether time patches or beats hold anything of each lead itself (not of its residual)."""
    found = batch.valid.new_zeros(len(batch), leads)
    times = _time_patches(batch, patch)
    if times is not None and len(patch.axes) == 1:
        assert times.values is not None
        measured = torch.isfinite(times.values.reshape(times.flat_value_shape())[:, :, :leads]).any(dim=-1)
        found = found | (measured & times.valid.unsqueeze(-1)).any(dim=1)
    elif times is not None:
        own = times.valid & (times.group < leads)
        group = times.group.masked_fill(~own, 0)
        found = found | (torch.zeros_like(found, dtype=torch.long).scatter_add(1, group, own.long()) > 0)
    beats = _beats(batch)
    if beats is not None:
        own = batch.valid & (batch.kind == batch.spec.kinds.index("beat"))
        measured = torch.isfinite(beats[:, :, :leads]).any(dim=-1)
        found = found | (measured & own.unsqueeze(-1)).any(dim=1)
    return found


def without_leads(batch: PatchSequence, patch: SequenceSpec, lost: Tensor) -> PatchSequence:
    """The batch as if the leads of `lost` [row, lead] had not been recorded; their residuals go with them."""
    assert batch.values is not None
    values, valid = batch.values, batch.valid
    times, beats = _time_patches(batch, patch), _beats(batch)
    if times is not None and len(patch.axes) == 1:
        assert times.values is not None
        x = times.values.reshape(times.flat_value_shape())
        x = x.masked_fill(_slots(lost, x.shape[2]), torch.nan)
        values, valid = _written(batch, "patch", values, valid, x, times.valid)
    elif times is not None:
        gone = torch.gather(lost, 1, times.group.masked_fill(~times.valid, 0) % lost.shape[1])
        valid = valid & ~(times.valid & gone)
    if beats is not None:
        # the last row holds intervals, which belong to no lead
        waves, intervals = beats[:, :, :-1], beats[:, :, -1:]
        waves = waves.masked_fill(_slots(lost, waves.shape[2]), torch.nan)
        alive = batch.valid & torch.isfinite(waves).any(dim=-1).any(dim=-1)
        values, valid = _written(batch, "beat", values, valid, torch.cat([waves, intervals], dim=2), alive)
    return batch.replace(values=values, valid=valid)


def _written(
    batch: PatchSequence, kind: str, values: Tensor, valid: Tensor, x: Tensor, alive: Tensor
) -> tuple[Tensor, Tensor]:
    """Values and validity with patches `x` [row, patch, slot, sample] of one kind in place; empty ones are invalid."""
    here = batch.kind == batch.spec.kinds.index(kind) if len(batch.spec.kinds) > 1 else torch.ones_like(batch.valid)
    flat = x.flatten(2)
    changed = torch.where(here.unsqueeze(-1), flat, values[..., : flat.shape[-1]])
    alive = alive & torch.isfinite(flat).any(dim=-1)
    return torch.cat([changed, values[..., flat.shape[-1] :]], dim=-1), torch.where(here, valid & alive, valid)


def _slots(lost: Tensor, slots: int) -> Tensor:
    """[row, 1, slot, 1] the leads and, behind them, their residuals."""
    return lost.repeat(1, slots // lost.shape[1])[:, None, :, None]


def _time_patches(batch: PatchSequence, patch: SequenceSpec) -> PatchSequence | None:
    if batch.spec.kinds == patch.kinds:
        return batch
    return time_patches(batch, patch) if "patch" in batch.spec.kinds else None


def _beats(batch: PatchSequence) -> Tensor | None:
    """[row, patch, slot, point] every patch read as a beat; only beats mean something."""
    if "beat" not in batch.spec.kinds:
        return None
    assert batch.values is not None
    shape = batch.spec.shape_of(batch.spec.kinds.index("beat"))
    return batch.values[..., : shape[0] * POINTS].reshape(*batch.valid.shape, -1, POINTS)
