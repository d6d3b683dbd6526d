"""Targets that were known before anything was trained: the place of a row's ids in the graph of all rows.

A teacher that does not learn cannot collapse. In prediction of latents it takes the place of a moving average; as the
other side of a contrast it is the low-rank view of LightGCL (Cai et al. 2023, https://arxiv.org/abs/2302.08191), which
makes its view by a truncated SVD of the graph. There, learned vectors go through the SVD; here, the singular vectors
themselves are the view, so it costs no product with the graph and stays where it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..known import KnownIds
from ..sequence import PatchSequence, SequenceSpec
from .encoder import Encoder, masked_mean
from .registry import register
from .targets import Request, Target, TargetProvider
from .views import select


@register("target", "known_ids")
class KnownOfIdsTarget(TargetProvider):
    """What is known of ids: of a whole row (site `pooled`) the mean over what its view shows, of a patch its own.

    It is as wide as the encoder: numbers beyond that are left out (the first directions are the smoothest), and zeros
    follow where fewer are known. Raises InputError when nothing is known.
    """

    numbers: Tensor

    def __init__(self, spec: SequenceSpec, encoder: Encoder, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if not spec.known_of_ids:
            raise ValueError("nothing is known of what these patches carry")
        # [id, width]; the modality's numbers, not weights
        self.register_buffer("numbers", torch.zeros(spec.vocabulary[0], encoder.width), persistent=False)
        self.told = False

    def tell(self, known: KnownIds) -> None:
        """Learn what is known of ids."""
        if known.numbers:
            own = torch.as_tensor(known.numbers[0])[:, : self.numbers.shape[1]]
            self.numbers.zero_()
            self.numbers[:, : own.shape[1]] = own
            self.told = True

    @torch.no_grad()
    def forward(self, request: Request) -> Target:
        if not self.told:
            raise InputError("nobody has said what is known of ids", fix="use another target, e.g. ema")
        if request.index is not None:
            asked = request.source()
            return Target(self._of(asked), asked.valid)
        view = request.view
        shown = view.batch if view.visible is None else select(view.batch, view.rows, view.visible)
        z, valid = masked_mean(self._of(shown), shown.content), shown.content.any(dim=1)
        if request.rows is not None and view.rows is None:
            z, valid = z[request.rows], valid[request.rows]
        return Target(z, valid)

    def _of(self, batch: PatchSequence) -> Tensor:
        """[row, patch, width] of each patch."""
        assert batch.ids is not None
        return self.numbers[batch.ids[..., 0].masked_fill(~batch.valid, 0)]
