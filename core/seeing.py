"""How a modality helps to look at a model: names, parts and drawings. All of it is optional.

The core knows that a token stands somewhere and belongs to a group, but not that a group is an electrode, that numbers
of a token are frequencies, or what a head looks like. A modality that can say so returns a `Seeing` of its own from
`Modality.seeing`; reports and notebooks then hide its places and parts by name and draw its maps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .sequence import PatchSequence


@dataclass(frozen=True, eq=False)
class SeenWindow:
    """The patches of one window as an objective sees them.

    values: [patch, value], NaN = missing or invalid. coords: [patch, axis]. hidden: [patch] bool, not shown to the
    encoder. predicted: [patch, value] what a decoder says of hidden patches, NaN elsewhere; None = there is none.
    """

    values: np.ndarray
    coords: np.ndarray
    hidden: np.ndarray
    predicted: np.ndarray | None = None


class Seeing:
    """What a modality knows of its tokens beyond their numbers; without an answer pictures are plainer or left out."""

    def place_names(self, where: np.ndarray) -> list[str]:
        """Names of the places at `where` [place, axis], coordinates in the order of `spec.axes`.

        [] = a `group` of tokens is no place that means the same in every window, so nothing is hidden by place.
        """
        return []

    def draw_places(
        self, axes: Any, where: np.ndarray, values: np.ndarray, limit: float, colours: Any, *, smooth: bool = True
    ) -> bool:
        """Draw `values` [place] as a map on matplotlib axes, lines in any one colour.

        where: as in `place_names`. colours: a matplotlib colormap from -limit to limit. smooth: interpolate between
        places; else each is a field of its own. Returns False where no map can be drawn; bars are drawn then.
        """
        return False

    def draw_window(self, figure: Any, window: SeenWindow, colours: Mapping[str, str]) -> bool:
        """Draw a window as people of the field draw one, on an empty matplotlib figure as wide as the page.

        For patches that are no samples of sensors over time. colours: of "ink", "soft", "hidden", "predicted" things.
        Returns False where there is nothing better than a matrix of the values.
        """
        return False

    def without_parts(self, batch: PatchSequence) -> dict[str, PatchSequence]:
        """{part: the batch without it} for parts of what the tokens say, such as bands of frequency.

        Only values differ from the batch's. `without_values` is what a part in columns of its own needs.
        """
        return {}

    def value_axis(self, kind: int) -> tuple[np.ndarray, str]:
        """Places of the first numbers along the last axis of a patch of one kind, and their unit, e.g. (hertz, "Hz").

        Those that follow are not drawn. ([], "") = numbers have no meaning but their order.
        """
        return np.empty(0), ""


def without_values(batch: PatchSequence, hidden: Tensor) -> PatchSequence:
    """A copy in which `hidden` values say nothing of their own: each is the mean of its fellows over all rows.

    hidden: bool, broadcastable to [batch, patch, value]. Fellows are the numbers at the same position in patches of the
    same kind, group and place, wherever they stand on the first axis. A mean instead of a gap: a model that has never
    met the gap would answer to its strangeness. What was missing stays missing.
    """
    assert batch.values is not None
    values, hidden = batch.values, hidden.expand_as(batch.values)
    real = batch.valid.unsqueeze(-1) & values.isfinite()
    key = torch.cat([torch.stack([batch.kind, batch.group], dim=-1).double(), batch.coords[..., 1:].double()], dim=-1)
    # invalid patches may hold anything
    key = key.masked_fill(~batch.valid.unsqueeze(-1), 0.0).flatten(0, 1)
    _, fellow = key.unique(dim=0, return_inverse=True)
    shape = (int(fellow.max()) + 1, values.shape[-1])
    total = values.new_zeros(shape).index_add_(0, fellow, values.masked_fill(~real, 0.0).flatten(0, 1))
    count = values.new_zeros(shape).index_add_(0, fellow, real.to(values.dtype).flatten(0, 1))
    mean = (total / count.clamp(min=1.0))[fellow].view_as(values)
    return batch.replace(values=torch.where(hidden & real, mean, values))
