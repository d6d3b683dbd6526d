"""Targets computed from the signal itself: no teacher, cannot collapse.

Patches are viewed in their own shape [row, k, *patch_shape]; the last axis is taken as time. A NaN (a sensor that was
not recorded) stays NaN and is left out by the loss. Where kinds have shapes of their own, each kind is transformed in
its own; what it does not fill is NaN.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ..sequence import SequenceSpec
from .registry import register
from .standardize import NORMALIZE, standardize_patches, standardize_window
from .targets import Request, Target, TargetProvider


class _SignalTarget(TargetProvider):
    def __init__(self, spec: SequenceSpec, encoder, heads) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, request: Request) -> Target:
        part = request.source()
        assert part.values is not None, "signal targets need patches with values"
        values = part.values.float()
        if self.spec.kind_shapes:
            return Target(self._by_kind(values, part.kind), part.valid)
        return Target(self.transform(values.reshape(part.flat_value_shape())).flatten(2), part.valid)

    def _by_kind(self, values: Tensor, kind: Tensor) -> Tensor:
        made = []
        for shape in self.spec.kind_shapes:
            own = values[..., : math.prod(shape)]
            made.append(self.transform(own.reshape(*kind.shape, *shape)).flatten(2))
        longest = max(m.shape[-1] for m in made)
        out = values.new_full((*kind.shape, longest), torch.nan)
        for number, own in enumerate(made):
            size = own.shape[-1]
            out[..., :size] = torch.where((kind == number).unsqueeze(-1), own, out[..., :size])
        return out

    def transform(self, patches: Tensor) -> Tensor:
        """[row, k, *patch_shape] -> [row, k, ...]."""
        raise NotImplementedError


@register("target", "raw")
class RawPatches(_SignalTarget):
    """Patch values, standardised (MAE's normalised pixels).

    normalize: over what, see `standardize`: "sensor" (or True), "patch", "window", or "none" (or False), which keeps
    the values as they are. eps: added to the variance, so that a flat stretch stays small instead of exploding.
    """

    def __init__(self, spec: SequenceSpec, encoder, heads, *, normalize: bool | str = True, eps: float = 1e-2) -> None:
        super().__init__(spec, encoder, heads)
        normalize = {True: "sensor", False: "none"}.get(normalize, normalize)  # type: ignore[call-overload]
        if normalize not in NORMALIZE:
            raise ValueError(f"normalize must be one of {', '.join(NORMALIZE)}, true or false, got {normalize!r}")
        if normalize == "window" and spec.kind_shapes:
            raise ValueError("normalize: window needs patches of one shape")
        self.normalize, self.eps = normalize, eps

    def forward(self, request: Request) -> Target:
        if self.normalize != "window":
            return super().forward(request)
        batch = request.view.batch
        assert batch.values is not None, "signal targets need patches with values"
        values = standardize_window(batch, batch.values.float().reshape(batch.flat_value_shape()), self.eps)
        return request.take(values.flatten(2), batch.valid)

    def transform(self, patches: Tensor) -> Tensor:
        return patches if self.normalize == "none" else standardize_patches(patches, self.normalize, self.eps)


@register("target", "difference")
class Difference(_SignalTarget):
    """First difference over time, padded to the patch length by repeating the first step."""

    def transform(self, patches: Tensor) -> Tensor:
        steps = patches[..., 1:] - patches[..., :-1]
        return torch.cat([steps[..., :1], steps], dim=-1) if steps.shape[-1] else torch.zeros_like(patches)


@register("target", "gradient")
class MultiScaleGradient(_SignalTarget):
    """Log ratio of the mean magnitudes right and left of each sample, at several scales.

    The one-dimensional form of SAR-JEPA's multi-scale gradient (Li et al. 2023, https://arxiv.org/abs/2311.15153): a
    ratio is free of amplitude, so noise that multiplies the signal cancels. radii: half-window lengths in samples.
    """

    def __init__(
        self, spec: SequenceSpec, encoder, heads, *, radii: tuple[int, ...] = (1, 2, 4, 8), eps: float = 1e-1
    ) -> None:
        super().__init__(spec, encoder, heads)
        self.radii, self.eps = tuple(radii), eps

    def transform(self, patches: Tensor) -> Tensor:
        time = patches.shape[-1]
        flat = patches.reshape(-1, 1, time).abs()
        scales = []
        for radius in self.radii:
            padded = F.pad(flat, (radius, radius), mode="replicate")
            mean = F.avg_pool1d(padded, radius, stride=1)  # mean[i] covers padded[i : i + radius]
            left, right = mean[..., :time], mean[..., radius + 1 : radius + 1 + time]
            scales.append(torch.log((right + self.eps) / (left + self.eps)))
        return torch.stack(scales, dim=2).reshape(*patches.shape[:-1], len(self.radii), time)
