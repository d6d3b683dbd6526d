"""Targets that are motion: how the numbers of a patch change in time (MAMP, Mao et al. 2023,
https://arxiv.org/abs/2308.07092).

The last axis of a patch is time and patches of a place follow each other without overlap, so the motion of a patch's
last numbers reaches into the patch after it. Where none follows (the end of a window, a place that is lost next), the
published target is zero; here it is missing and left out by the loss, unless asked otherwise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from ..sequence import SequenceSpec, gather
from .registry import register
from .standardize import NORMALIZE, standardize_patches, standardize_window
from .targets import Request, Target, TargetProvider
from .tracks import at_neighbour, neighbours

ENDS = ("missing", "zero")


@register("target", "motion")
class Motion(TargetProvider):
    """x[t + stride] - x[t] of every number of a patch.

    stride: in numbers along the last axis, at most the length of a patch. normalize: "patch" (published), "sensor",
    "window" or "none", see `standardize`. end: "missing" or "zero" (published), where nothing follows. eps: added to
    the variance, in the squared unit of the values; 1e-6 is a millimetre of movement where they are metres.
    """

    def __init__(
        self,
        spec: SequenceSpec,
        encoder,
        heads,
        *,
        stride: int = 1,
        normalize: str = "patch",
        end: str = "missing",
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        if spec.vocabulary or spec.kind_shapes:
            raise InputError("motion is that of patches of values of one shape", source="target 'motion'")
        if not 1 <= stride <= spec.patch_shape[-1]:
            raise ValueError(f"stride lies between 1 and the {spec.patch_shape[-1]} numbers of a patch, got {stride}")
        if normalize not in NORMALIZE:
            raise ValueError(f"normalize must be one of {', '.join(NORMALIZE)}, got {normalize!r}")
        if end not in ENDS:
            raise ValueError(f"end must be {' or '.join(ENDS)}, got {end!r}")
        self.stride, self.normalize, self.end, self.eps = stride, normalize, end, eps

    def forward(self, request: Request) -> Target:
        batch, index = request.view.batch, request.index
        assert batch.values is not None
        assert index is not None
        patches = batch.values.reshape(batch.flat_value_shape()).float()
        motion = self.motion(patches, neighbours(batch)[1])
        if self.normalize == "window":
            motion = standardize_window(batch, motion, self.eps)
        valid = index.valid & gather(batch.valid, request.rows, index.index)
        wanted = gather(motion, request.rows, index.index)
        if self.normalize in ("patch", "sensor"):
            wanted = standardize_patches(wanted, self.normalize, self.eps, ddof=1)
        return Target(wanted.flatten(2), valid)

    def motion(self, patches: Tensor, after: Tensor) -> Tensor:
        """[row, patch, *patch_shape] differences; after: [row, patch] position of the patch that follows, -1 = none."""
        following = at_neighbour(patches[..., : self.stride], after)
        motion = torch.cat([patches, following], dim=-1)[..., self.stride :] - patches
        if self.end == "zero":
            ends = torch.zeros_like(motion, dtype=torch.bool)
            ends[..., -self.stride :] = (after < 0).view(*after.shape, *[1] * (motion.ndim - 2))
            motion = motion.masked_fill(ends, 0.0)
        return motion
