"""Decoded patches compared with the true ones in the space of a frozen teacher, not number by number.

The idea of LM-SPT (few tokens a second that keep what matters for language) in feature space: what a decoder makes of
a few tokens is heard by a teacher, and need not be alike, only be understood alike. The teacher may cut time more
finely than the student; its features are then matched without tying each to a moment:

- `pooled`: mean and spread over each row;
- `attention`: each true feature against a mixture of decoded ones that it chooses itself.

Beside it stands a term on the numbers themselves: a teacher alone leaves the decoder free where it is deaf.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from ..sequence import PatchSequence, SequenceSpec
from .encoder import Encoded, Encoder, masked_mean
from .losses import Loss
from .registry import register
from .targets import Request, Target, TargetProvider


@dataclass(frozen=True)
class Heard(Target):
    """What a teacher makes of the true patches, [row, place, width], and `hear`, which makes the same of others
    [row, k, value] at the places that were asked for."""

    hear: Callable[[Tensor], Tensor]


@register("target", "heard")
class HeardTarget(TargetProvider):
    """Features of a frozen teacher: the encoder of an earlier run, or a copy of the untrained encoder.

    run: folder of the run. Its patches may be a whole number of times shorter. At site all, visible or target.
    """

    def __init__(self, spec: SequenceSpec, encoder: Encoder, heads, *, run: str | None = None) -> None:
        super().__init__()
        self.run, self.spec = run, spec
        self.teacher: Encoder = copy.deepcopy(encoder).requires_grad_(False)

    def prepare(self, batches) -> None:
        if self.run is not None:
            self.teacher = batches.trained(self.run)[0].requires_grad_(False)
        check_finer(self.spec, self.teacher.spec)

    def forward(self, request: Request) -> Heard:
        asked = request.source()
        known = asked.valid.unsqueeze(-1) & torch.isfinite(asked.values)  # type: ignore[arg-type]

        def hear(values: Tensor) -> Encoded:
            # what was not recorded is not decoded either
            return self.teacher(
                in_time(asked.replace(values=values.float().masked_fill(~known, torch.nan)), self.teacher.spec)
            )

        assert asked.values is not None
        with torch.no_grad():
            true = hear(asked.values)
        return Heard(true.tokens, true.valid, lambda values: hear(values).tokens)


@register("loss", "heard")
class HeardLoss(Loss):
    """Distance of decoded patches [row, k, value] to the true ones as the teacher of target `heard` hears them.

    match: "pooled" or "attention". temperature: of the attention, on cosines. Items are rows.
    """

    def __init__(self, *, match: Literal["pooled", "attention"] = "attention", temperature: float = 0.1) -> None:
        super().__init__()
        if match not in ("pooled", "attention"):
            raise ValueError(f"match must be 'pooled' or 'attention', got {match!r}")
        self.match, self.temperature = match, temperature

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        if not isinstance(target, Heard):
            raise InputError("the loss `heard` compares in a teacher's space", source="objective.terms",
                             fix="give the term a target of the name heard")  # fmt: skip
        decoded, true, valid = target.hear(prediction).float(), target.values.float(), target.valid
        if self.match == "pooled":
            value = (statistics(decoded, valid) - statistics(true, valid)).square().mean(dim=-1)
        else:
            gap = (attended(true, decoded, valid, self.temperature) - true).square().mean(dim=-1)
            value = gap.masked_fill(~valid, 0.0).sum(dim=1) / valid.sum(dim=1).clamp(min=1)
        return value, valid.any(dim=1).to(value.dtype)


def statistics(x: Tensor, valid: Tensor) -> Tensor:
    """[row, place, width] -> [row, 2 width]: mean and standard deviation over the valid places."""
    mean = masked_mean(x, valid)
    var = masked_mean((x - mean.unsqueeze(1)).square(), valid)
    return torch.cat([mean, (var + 1e-6).sqrt()], dim=-1)


def attended(ask: Tensor, x: Tensor, valid: Tensor, temperature: float) -> Tensor:
    """[row, place, width]: for each place of `ask` a mixture of the valid places of `x`, the more alike the more."""
    likeness = F.normalize(ask, dim=-1) @ F.normalize(x, dim=-1).transpose(1, 2) / temperature
    share = torch.softmax(likeness.masked_fill(~valid.unsqueeze(1), -1e4), dim=-1)
    return share @ x


def check_finer(spec: SequenceSpec, finer: SequenceSpec) -> None:
    """Raises InputError unless patches of `spec` are a whole number of those of `finer` in a row."""
    *others, length = spec.patch_shape
    *same, shorter = finer.patch_shape
    fits = others == same and length % shorter == 0 and spec.axes == finer.axes and spec.kinds == finer.kinds
    if not fits or spec.kind_shapes or finer.kind_shapes:
        raise InputError(
            "the teacher's patches do not fit", source="objective.targets.run", got=finer.patch_shape,
            expected=f"{tuple(others)} and a divisor of {length}",
        )  # fmt: skip


def in_time(batch: PatchSequence, finer: SequenceSpec) -> PatchSequence:
    """Each patch cut into shorter ones along its last axis; the first coordinate is the middle of a patch."""
    parts = batch.spec.patch_shape[-1] // finer.patch_shape[-1]
    assert batch.values is not None
    values = rearrange(
        batch.values, "row n (slot part sample) -> row (n part) (slot sample)", part=parts, sample=finer.patch_shape[-1]
    )
    offset = (torch.arange(parts, device=batch.device) - (parts - 1) / 2) * finer.axis_scales[0]
    coords = batch.coords.repeat_interleave(parts, dim=1).clone()
    coords[..., 0] += offset.repeat(batch.n_patches)
    return PatchSequence.build(
        finer, coords, values=values, valid=batch.valid.repeat_interleave(parts, dim=1),
        kind=batch.kind.repeat_interleave(parts, dim=1), group=batch.group.repeat_interleave(parts, dim=1),
    )  # fmt: skip
