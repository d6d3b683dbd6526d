"""Drawing ids to compare with, where a vocabulary is too large to compare with all of it.

What is drawn stands for all others, so each draw is weighed by how often it was to be expected: the log-Q correction
(Bengio & Senecal 2008, doi:10.1109/TNN.2007.912312; for recommenders Yi et al. 2019, doi:10.1145/3298689.3346996).
Frequent ids score high, so to draw them more often makes the estimate of the whole sum steadier; without the correction
they would be pushed down for being drawn.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from ..known import KnownIds


class IdProposal(nn.Module):
    """Draws ids, with replacement, with odds of (how often they occur + 1) ** popularity.

    popularity: 0 = all alike, 1 = by frequency. All are alike, too, until `tell` has said how often they occur.
    """

    log_share: Tensor
    edges: Tensor

    def __init__(self, ids: int, popularity: float = 0.75) -> None:
        super().__init__()
        if not 0 <= popularity <= 1:
            raise ValueError(f"popularity lies between 0 (all alike) and 1 (by frequency), got {popularity}")
        self.popularity = popularity
        # the modality's numbers, not weights
        self.register_buffer("log_share", torch.full((ids,), -math.log(ids)), persistent=False)
        self.register_buffer("edges", torch.arange(1, ids + 1, dtype=torch.float64) / ids, persistent=False)

    def tell(self, known: KnownIds) -> None:
        """Learn how often ids occur."""
        if known.taken is None:
            return
        odds = (np.asarray(known.taken.sum(axis=0)).ravel().astype(np.float64) + 1.0) ** self.popularity
        share = torch.from_numpy(odds / odds.sum()).to(self.edges.device)
        self.log_share.copy_(share.log())
        self.edges.copy_(share.cumsum(dim=0))

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """[n] ids, and [n] logarithm of how often each is expected among n draws."""
        lot = torch.rand(n, dtype=torch.float64, device=self.edges.device)
        ids = torch.searchsorted(self.edges, lot, right=True).clamp(max=len(self.edges) - 1)
        return ids, self.log_share[ids] + math.log(n)
