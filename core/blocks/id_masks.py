"""Masks of ids: neighbourhoods of their graph, the analogue of a span of a signal.

An id that is hidden alone is told by those that always come with it. As a span of a signal hides what would give a
moment away, a neighbourhood hides an id together with what lies near it on the graph: the rest of the row must tell.

Around which ids it is worth while is the idea of AutoCF (Xia et al. 2023, https://arxiv.org/abs/2303.07797): centres
that agree little with their surroundings, for those that agree are told by any neighbour. What differs from there
- Agreement is that of an id's spectral position with the mean position of what it occurred with. It is known beforehand
  and costs nothing in a step; there it is taken from embeddings that are being learned.
- Nearness is that of spectral positions, not the number of hops: two hops of a market reach most of its items.
- The number of hidden patches is exact for each row, as of every mask here; no edge is lost to a row of few.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from ..known import KnownIds
from ..rng import RowRandom
from ..sequence import PatchSequence
from .masks import RandomMask, axis_index
from .registry import register
from .views import patch_uniform

AMONG = ("own", "all")


@register("mask", "id_neighbourhood")
class IdNeighbourhoodMask(RandomMask):
    """Ids in the order of their nearness to a centre: the centres first, then what lies next to any of them.

    centres: how many are drawn. among: "own", of the ids of each row, for the row alone; "all", of the vocabulary, for
        all rows of a step, so that a region of the graph is hidden from everybody.
    temperature: of the choice by low agreement; at large ones every id is as likely.

    Raises InputError when nothing is known of ids.
    """

    def __init__(self, *, centres: int = 1, among: str = "own", temperature: float = 0.5, **common: Any) -> None:
        super().__init__(**common)
        if centres < 1:
            raise ValueError(f"centres must be at least 1, got {centres}")
        if among not in AMONG:
            raise ValueError(f"centres are drawn among {' or '.join(AMONG)}, got {among!r}")
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        self.centres, self.among, self.temperature = centres, among, float(temperature)
        self.places: Tensor | None = None  # [id, number] of length one, or zero where nothing is known
        self.lot = torch.zeros(0)  # [id] what speaks for an id as a centre

    def tell(self, known: KnownIds) -> None:
        """Learn where ids lie and how much they agree with what they occurred with."""
        if not known.numbers:
            return
        own = F.normalize(torch.as_tensor(known.numbers[0], dtype=torch.float32), dim=1)
        agreement = torch.zeros(len(own))
        if known.taken is not None:
            # each row counts once, however long it is; an id's own share is taken out again
            weight = 1.0 / np.maximum(np.asarray(known.taken.sum(axis=1)).ravel(), 1.0)
            around = known.taken.T @ ((known.taken @ own.numpy()) * weight[:, None])
            around -= own.numpy() * np.asarray(known.taken.T @ weight).reshape(-1, 1)
            agreement = F.cosine_similarity(own, torch.as_tensor(around, dtype=torch.float32), dim=1)
        self.places, self.lot = own, -agreement / self.temperature

    def priority(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        if self.places is None or batch.ids is None:
            raise InputError(
                "a mask of neighbourhoods needs to know where ids lie", field="mask.name", got="id_neighbourhood",
                fix="use the mask random",
            )  # fmt: skip
        places, lot = self.places.to(batch.device), self.lot.to(batch.device)
        ids = batch.ids[..., 0].masked_fill(~batch.valid, 0)
        draw, near = rng.fork("centres"), self._near_any if self.among == "all" else self._near_own
        return ((1.0 - near(places, lot, ids, batch.valid, draw)) / 2.0).clamp(0.0, 1.0)

    def _near_any(self, places: Tensor, lot: Tensor, ids: Tensor, valid: Tensor, rng: RowRandom) -> Tensor:
        """[row, patch] cosine with the nearest of the centres of a step."""
        # one draw for the whole batch, every rank alike
        step = RowRandom(rng.seed, rng.step, torch.zeros(1, dtype=torch.long, device=ids.device), rng.stream)
        chosen = (lot + _gumbel(step.uniform(len(lot))[0])).topk(min(self.centres, len(lot))).indices
        return (places @ places[chosen].T).amax(dim=1)[ids]

    def _near_own(self, places: Tensor, lot: Tensor, ids: Tensor, valid: Tensor, rng: RowRandom) -> Tensor:
        """[row, patch] cosine with the nearest of the row's own centres."""
        odds = (lot[ids] + _gumbel(patch_uniform(rng, valid))).masked_fill(~valid, -torch.inf)
        odds, at = odds.topk(min(self.centres, ids.shape[1]), dim=1)
        none = torch.isinf(odds)  # rows with fewer patches than centres
        near = places[ids] @ places[ids.gather(1, at)].transpose(1, 2)
        near = near.masked_fill(none.unsqueeze(1), -1.0).amax(dim=2)
        # a centre is near itself, also where nothing is known of it
        return near.scatter_reduce(1, at, (~none).to(near.dtype) * 2.0 - 1.0, "amax")


@register("mask", "random_end")
class RandomEndMask(RandomMask):
    """Each patch for itself, and always the one at the end of an axis: what comes next must be told from what was, as
    well as what lies between (BERT4Rec, Sun et al. 2019, https://arxiv.org/abs/1904.06690, which hides the last of some
    rows only).

    axis: by name, None = the first. end: "low" or "high". Of several patches at the end one is hidden for sure.
    """

    def __init__(self, *, axis: str | None = None, end: str = "high", **common: Any) -> None:
        super().__init__(**common)
        if end not in ("low", "high"):
            raise ValueError(f"an axis ends low or high, got {end!r}")
        self.axis, self.sign = axis, 1.0 if end == "low" else -1.0

    def priority(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        axis = 0 if self.axis is None else axis_index(batch, self.axis, "random_end")
        drawn = super().priority(batch, rng)
        place = (self.sign * batch.coords[..., axis]).masked_fill(~batch.valid, torch.inf)
        last = (place == place.amin(dim=1, keepdim=True)) & batch.valid
        first = drawn.masked_fill(~last, 2.0).argmin(dim=1, keepdim=True)
        return drawn.scatter(1, first, -1.0)


def _gumbel(uniform: Tensor) -> Tensor:
    return -(-uniform.log()).log()
