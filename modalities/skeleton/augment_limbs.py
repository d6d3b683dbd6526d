"""Arms and legs held a little otherwise: each limb turns as a whole about its shoulder or hip, for the whole clip.

With p the pivot, its positions become p + R (x - p) and its bones R b; speeds follow from the same two formulas, as R
is constant in time. So all bones keep their lengths and all streams agree. Where the pivot is lost, nothing turns.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from ...core.rng import RowRandom
from ...core.sequence import PatchSequence
from .tokens import TokenShape
from .tracks import by_track, place_code, steps, turns
from .vocabulary import PARTS, SLOTS, VOCABULARY

_PIVOTS = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_POSITIONS = ("joint", "motion")  # streams that a turn about a point moves; bones only turn


def limbs_held_otherwise(batch: PatchSequence, x: Tensor, spread: float, rng: RowRandom, shape: TokenShape) -> Tensor:
    """[row, patch, slot, stream, 3, frame] after turns of `spread` (radians, of each angle), drawn for each limb."""
    group = batch.group.masked_fill(~batch.valid, 0)
    turn = turns(spread * by_track(batch, rng, group).normal(3)).view(*group.shape, 3, 3)
    if shape.tokens == "part":
        beyond = _beyond_slots().to(x.device)[group % len(PARTS)]
        pivot = x[:, :, :1]  # shoulders and hips have the first slot of their parts
    else:
        code = place_code(batch)
        beyond = torch.isin(code, _codes(beyond=True).to(x.device)).unsqueeze(-1)
        pivot = _pivots(batch, x, torch.isin(code, _codes(beyond=False).to(x.device)) & batch.valid)
    moved = []
    for number, stream in enumerate(shape.streams):
        own = x[:, :, :, number]
        at = pivot[:, :, :, number] if stream in _POSITIONS else torch.zeros_like(pivot[:, :, :, number])
        known = torch.isfinite(pivot[:, :, :, _known_by(shape)]).any(dim=-2, keepdim=True) & torch.isfinite(own)
        away = (own - at).nan_to_num(nan=0.0)
        turned = torch.einsum("rpij,rpsjf->rpsif", turn, away) + at.nan_to_num(nan=0.0)
        moved.append(torch.where(beyond[..., None, None] & known, turned, own))
    return torch.stack(moved, dim=3)


def _known_by(shape: TokenShape) -> int:
    """Number of the stream that says whether a pivot was seen."""
    return next((n for n, stream in enumerate(shape.streams) if stream in _POSITIONS), 0)


def _pivots(batch: PatchSequence, x: Tensor, is_pivot: Tensor) -> Tensor:
    """[row, patch, 1, stream, 3, frame] of the pivot of each joint token's limb at its time, else NaN."""
    step = steps(batch)
    count = int(step.max()) + 1
    key = batch.group.masked_fill(~batch.valid, 0) * count + step
    where = key.new_full((len(x), int(key.max()) + 2), -1)
    number = torch.arange(batch.n_patches, device=x.device).expand_as(key)
    where.scatter_(1, torch.where(is_pivot, key, where.shape[1] - 1), torch.where(is_pivot, number, -1))
    at = where.gather(1, key)
    found = x[torch.arange(len(x), device=x.device).unsqueeze(1), at.clamp(min=0)]
    return found.masked_fill((at < 0)[..., None, None, None, None], torch.nan)


def _limbs() -> dict[str, str]:
    """{joint: pivot} of the joints beyond shoulders and hips, on the vocabulary's tree."""
    found = {}
    for name in VOCABULARY:
        at = VOCABULARY[name].parent
        while at and at not in _PIVOTS:
            at = VOCABULARY[at].parent
        if at:
            found[name] = at
    return found


@cache
def _beyond_slots() -> Tensor:
    """[part, slot] bool, slots whose joints lie beyond the pivot of their part."""
    table = torch.zeros(len(PARTS), SLOTS, dtype=torch.bool)
    for name in _limbs():
        joint = VOCABULARY[name]
        if joint.slot > 0:
            table[PARTS.index(joint.part), joint.slot] = True
    return table


@cache
def _codes(*, beyond: bool) -> Tensor:
    """Codes of the places of the joints beyond pivots, or of the pivots."""
    names = tuple(_limbs()) if beyond else _PIVOTS
    return place_code(torch.tensor([VOCABULARY[name].place for name in names]))
