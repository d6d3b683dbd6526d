"""A clip in the mirror: left and right exchanged, in the tokens themselves.

A token's group and place say which side it is of, so exchanging them there moves no numbers between tokens; only the
slots of trunk and head, which hold joints of both sides, change places, and x its sign in every stream.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from ...core.sequence import PatchSequence
from .tokens import TokenShape
from .vocabulary import PARTS, SLOTS, VOCABULARY


def mirrored(batch: PatchSequence, chosen: Tensor, shape: TokenShape) -> PatchSequence:
    """The rows that are `chosen` [row, 1] in the mirror; edges stay, a body has the same bones on both sides."""
    assert batch.values is not None
    other_part, other_slot = (table.to(batch.device) for table in _tables())
    chosen = chosen & batch.valid  # what stands under invalid patches may be anything
    group = torch.where(chosen, batch.group, 0)
    part = group % len(PARTS)
    x = batch.values.view(*batch.valid.shape, -1, len(shape.streams), 3, shape.patch_frames)
    if shape.tokens == "part":
        order = torch.where(chosen.unsqueeze(-1), other_slot[part], torch.arange(SLOTS, device=x.device))
        x = x.gather(2, order[..., None, None, None].expand_as(x))
    sign = torch.tensor([-1.0, 1.0, 1.0], device=x.device)
    x = torch.where(chosen[..., None, None, None, None], x * sign[:, None], x)
    flip = torch.tensor([1.0, 1.0, -1.0, 1.0, 1.0], device=x.device)
    return batch.replace(
        values=x.flatten(2),
        group=torch.where(chosen, group - part + other_part[part], batch.group),
        coords=torch.where(chosen.unsqueeze(-1), batch.coords * flip, batch.coords),
    )


@cache
def _tables() -> tuple[Tensor, Tensor]:
    """[part] the part of the other side; [part, slot] where in it a slot's content comes from."""
    other_part = torch.arange(len(PARTS))
    other_slot = torch.arange(SLOTS).repeat(len(PARTS), 1)
    for joint in VOCABULARY.values():
        twin = VOCABULARY[joint.mirror]
        other_part[PARTS.index(joint.part)] = PARTS.index(twin.part)
        if joint.slot >= 0 and twin.slot >= 0:
            other_slot[PARTS.index(joint.part), twin.slot] = joint.slot
    return other_part, other_slot
