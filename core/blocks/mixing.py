"""Views in which somebody else is heard for a while (WavLM, Chen et al. 2021, https://arxiv.org/abs/2110.13900).

A stretch of another window is added to a stretch of this one. A term whose target is that of the clean window then
learns whom to listen to, and what a room sounds like.

The other window comes from a bank of windows of the pretraining side, not from the batch: so a view stays a function of
(seed, step, window), the same in any batch and on any number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ..errors import InputError
from ..rng import RowRandom
from ..sequence import PatchSequence
from .power import NEPERS_PER_DB, add_power, mean_power
from .registry import register


@register("mix", "log_power")
class LogPowerMix:
    """Mixing where values are logarithms of power: powers are added.

    share: of the windows that are mixed. most: longest stretch, as a share of a window's patches; patches of a row must
    stand in order of time. snr_db: range of the ratio of this window's mean power to the other's. spread: by which the
    natural logarithm of power was divided to give the values. bank: number of windows to mix from.
    """

    def __init__(
        self,
        *,
        share: float = 0.5,
        most: float = 0.5,
        snr_db: tuple[float, float] = (-5.0, 20.0),
        spread: float = 1.0,
        bank: int = 512,
    ) -> None:
        low, high = snr_db
        if not (0 <= share <= 1 and 0 < most <= 1 and low <= high and spread > 0 and bank > 0):
            raise ValueError(
                "need 0 <= share <= 1, 0 < most <= 1, snr_db from low to high, spread > 0 and bank > 0, "
                f"got {share}, {most}, {low} to {high}, {spread}, {bank}"
            )
        self.share, self.most, self.snr_db, self.spread, self.bank = share, most, (low, high), spread, bank
        self.windows: Tensor | None = None  # [window] ids of those in the bank

    def prepare(self, batches: Callable[[], Iterable[PatchSequence]]) -> None:
        """Fill the bank: windows evenly spaced over all, their valid patches one after the other."""
        total = sum(len(batch) for batch in batches())
        wanted = set(torch.linspace(0, total - 1, min(self.bank, total)).round().long().tolist())
        ids, rows, number = [], [], 0
        for batch in batches():
            if batch.values is None or batch.spec.kind_shapes:
                raise InputError("only patches of values of one shape can be mixed", source="objective.views")
            for row in range(len(batch)):
                if number in wanted:
                    ids.append(batch.window[row])
                    rows.append(batch.values[row, batch.valid[row]])
                number += 1
        self.windows = torch.stack(ids)
        self.lengths = torch.tensor([len(row) for row in rows])
        self.values = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=torch.nan)
        self.level = mean_power(self.values, torch.isfinite(self.values), self.spread)

    def __call__(self, batch: PatchSequence, rng: RowRandom) -> PatchSequence:
        """Some rows with a stretch of another window in them. Raises RuntimeError before `prepare`."""
        if self.windows is None:
            raise RuntimeError("`prepare` has not seen the windows")
        assert batch.values is not None
        own = mean_power(batch.values, torch.isfinite(batch.values) & batch.valid.unsqueeze(-1), self.spread)
        pick = self.others(batch.window, rng.fork("other"))
        snr = self.snr_db[0] + (self.snr_db[1] - self.snr_db[0]) * rng.fork("snr").uniform()
        gain = own - self.level[pick].to(own) - NEPERS_PER_DB / self.spread * snr
        inside, place = self._stretch(batch.valid, self.lengths[pick].to(batch.device), rng.fork("stretch"))
        chosen = (rng.fork("share").uniform() < self.share) & torch.isfinite(gain)
        chosen &= self.windows[pick].to(batch.device) != batch.window  # the only one there is
        other = self.values[pick.unsqueeze(1), place.cpu()].to(batch.values) + gain[:, None, None]
        mixed = add_power(batch.values, other, self.spread)
        return batch.replace(values=torch.where((inside & chosen.unsqueeze(1)).unsqueeze(-1), mixed, batch.values))

    def others(self, window: Tensor, rng: RowRandom) -> Tensor:
        """[row] places in the bank, of other windows than the row's own."""
        assert self.windows is not None
        size = len(self.windows)
        pick = rng.integers(0, size).cpu()
        return torch.where(self.windows[pick] == window.cpu(), (pick + 1) % size, pick)

    def _stretch(self, valid: Tensor, length: Tensor, rng: RowRandom) -> tuple[Tensor, Tensor]:
        """[row, patch] bool, what is mixed, and [row, patch] which patch of the other window is added there."""
        count = valid.sum(dim=1)
        width = torch.minimum((self.most * rng.uniform() * count).ceil().long(), length)
        first = ((count - width + 1) * rng.uniform()).long()
        begin = ((length - width + 1) * rng.uniform()).long()
        rank = valid.cumsum(dim=1) - 1 - first.unsqueeze(1)
        inside = valid & (rank >= 0) & (rank < width.unsqueeze(1))
        return inside, torch.where(inside, rank + begin.unsqueeze(1), 0)
