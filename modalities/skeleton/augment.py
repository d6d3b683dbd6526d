"""Label-safe views of skeleton tokens: what another camera, body or tracker would change, and no more.

- camera: turned about the vertical, tilted a little, sheared;
- body: larger or smaller, arms and legs held a little otherwise. A limb turns as a whole about its shoulder or hip, so
  that bones keep their lengths, which noise on coordinates would not;
- tracker: joints and whole parts that are lost, the beginning or end of the clip;
- the other side, and another pace, only where asked for: both may be what is asked about.

Every stream is a position, or a difference of positions in space or time, so a linear map of x, y and z acts on all of
them alike, and they stay consistent exactly. Depth that a flat pose does not have counts as none while it is turned,
and is missing again after it: it is foreshortened like the flat thing it is.

Everything is drawn by window (`RowRandom`), so a window gets the same view in any batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.errors import InputError
from ...core.rng import RowRandom
from ...core.sequence import PatchSequence
from .augment_limbs import limbs_held_otherwise
from .augment_time import other_pace, shorter
from .mirror import mirrored
from .tokens import TokenShape
from .tracks import by_track, place_code, turns


@dataclass(frozen=True)
class AugmentConfig:
    """How far views of a clip go."""

    augment_turn_deg: float = 20.0  # largest turn about the vertical; 180 where facing means nothing
    augment_tilt_deg: float = 5.0  # largest tilt to the front and to the side
    augment_shear: float = 0.05  # largest share by which an axis leans along another
    augment_scale: float = 1.1  # largest factor of the size (1.1: from 1 / 1.1); 1 = none
    augment_limb_deg: float = 5.0  # spread of the turns of arms and legs about shoulders and hips
    augment_mirror: bool = False  # left and right exchanged in every other view; never where the side is the question
    augment_pace: float = 1.0  # largest factor of the pace; 1 = none
    augment_crop: float = 0.2  # largest share of the time that is cut off, at either end
    augment_lost_joints: float = 0.1  # largest share of the joints that is lost
    augment_lost_parts: float = 0.1  # share of the body parts that is lost

    def check_augment(self) -> None:
        """Raises InputError for what cannot be."""
        for name, most in (("augment_turn_deg", 180), ("augment_tilt_deg", 90), ("augment_shear", 1),
                           ("augment_limb_deg", 90)):  # fmt: skip
            if not 0 <= getattr(self, name) <= most:
                raise InputError("out of range", source=f"modality.{name}", got=getattr(self, name),
                                 expected=f"0 to {most}")  # fmt: skip
        for name in ("augment_scale", "augment_pace"):
            if not 1 <= getattr(self, name) <= 2:
                raise InputError("no such factor", source=f"modality.{name}", got=getattr(self, name),
                                 expected="1 (none) to 2")  # fmt: skip
        for name in ("augment_crop", "augment_lost_joints", "augment_lost_parts"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError("must lie in [0, 1)", source=f"modality.{name}", got=getattr(self, name))


def augment_tokens(batch: PatchSequence, rng: RowRandom, config: AugmentConfig, shape: TokenShape) -> PatchSequence:
    """A random view of each row."""
    whole = batch
    if config.augment_mirror:
        batch = mirrored(batch, rng.fork("mirror").uniform(1) < 0.5, shape)
    assert batch.values is not None
    x = batch.values.view(*batch.valid.shape, -1, len(shape.streams), 3, shape.patch_frames)
    x = x.masked_fill(~batch.valid[..., None, None, None, None], torch.nan)
    if config.augment_pace > 1:
        x = other_pace(batch, x, _factor(config.augment_pace, rng.fork("pace")), shape)
    if config.augment_limb_deg:
        x = limbs_held_otherwise(batch, x, math.radians(config.augment_limb_deg), rng.fork("limbs"), shape)
    x = mapped(x, _seen_by_another(config, rng))
    known = torch.isfinite(x).flatten(2).any(dim=-1)  # a slower clip loses its ends
    if config.augment_lost_joints:
        x = x.masked_fill(_lost_joints(batch, x.shape[2], config, rng.fork("joints"))[..., None, None, None], torch.nan)
    valid = torch.isfinite(x).flatten(2).any(dim=-1)
    if config.augment_lost_parts:
        lost = by_track(batch, rng.fork("parts"), batch.group).uniform(1).view_as(valid) < config.augment_lost_parts
        valid = _or_all(valid & ~lost, valid)
    if config.augment_crop:
        valid = _or_all(valid & shorter(batch, config.augment_crop, rng.fork("crop")), valid)
    # a row of which nothing would be left stays as it was
    kept = valid.any(dim=1, keepdim=True) & known.any(dim=1, keepdim=True)
    values = torch.where((kept & whole.valid).unsqueeze(-1), x.flatten(2), whole.values)  # type: ignore[arg-type]
    return batch.replace(
        values=values,
        valid=torch.where(kept, valid, whole.valid),
        coords=torch.where(kept.unsqueeze(-1), batch.coords, whole.coords),
        group=torch.where(kept, batch.group, whole.group),
    )


def mapped(x: Tensor, matrix: Tensor) -> Tensor:
    """[row, patch, slot, stream, 3, frame] with every triplet through each row's matrix [row, 3, 3]; what was missing
    stays missing, and counts as zero for the other axes."""
    missing = torch.isnan(x)
    return torch.einsum("rij,rpscjf->rpscif", matrix, x.masked_fill(missing, 0.0)).masked_fill_(missing, torch.nan)


def _or_all(valid: Tensor, otherwise: Tensor) -> Tensor:
    """[row, patch] bool, of a row that would keep nothing the other."""
    return torch.where(valid.any(dim=1, keepdim=True), valid, otherwise)


def _seen_by_another(config: AugmentConfig, rng: RowRandom) -> Tensor:
    """[row, 3, 3]: size, shear, tilt and turn."""
    most = torch.tensor([config.augment_tilt_deg, config.augment_turn_deg, config.augment_tilt_deg])
    turn = turns(torch.deg2rad(most.to(rng.rows.device)) * (2 * rng.fork("turn").uniform(3) - 1))
    lean = config.augment_shear * (2 * rng.fork("shear").uniform(3, 3) - 1)
    lean = torch.eye(3, device=lean.device) + lean * (1 - torch.eye(3, device=lean.device))
    return _factor(config.augment_scale, rng.fork("scale")).unsqueeze(-1) * lean @ turn


def _lost_joints(batch: PatchSequence, slots: int, config: AugmentConfig, rng: RowRandom) -> Tensor:
    """[row, patch, slot] bool, joints that a row loses for all of its time."""
    share = config.augment_lost_joints * rng.fork("share").uniform(1, 1)
    track = batch.group + (place_code(batch) << 8)  # parts of people are few, places many
    return by_track(batch, rng, track).uniform(slots).view(*batch.valid.shape, slots) < share


def _factor(most: float, rng: RowRandom) -> Tensor:
    """[row, 1] between 1 / most and most, even in the logarithm."""
    return torch.exp(math.log(most) * (2 * rng.uniform(1) - 1))
