"""Pairs of windows: for each window another one of the same record that lies near it in time.

What two moments of one recording share is what a contrastive objective then learns: the person and the state, not the
seconds themselves (contrastive predictive coding and relative positioning go the same way; Banville et al. 2021,
https://arxiv.org/abs/2007.16104). A partner is drawn evenly among the near windows. A window without any, because its
record is short, is its own partner: its two views then differ by augmentation alone, as in SimCLR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from .store import WindowStore

_ROUNDING_S = 1e-6  # starts that are equal on paper


class NearWindows:
    """Which of some windows of a store may be the partner of which.

    windows: store indices; none else becomes a partner. within_s: largest distance of two starts in seconds.

    Raises InputError when `within_s` is not positive.
    """

    def __init__(self, store: WindowStore, windows: np.ndarray, within_s: float) -> None:
        if not within_s > 0:
            raise InputError("must be positive", field="pair.within_s", got=within_s)
        self._windows, reach = np.asarray(windows, np.int64), within_s + _ROUNDING_S
        start_s, record = store.start_s[self._windows], store.record_code[self._windows]
        # records one after the other on a single line of time, too far apart to be near each other
        span = float(np.ptp(start_s)) + 2 * reach if len(start_s) else 0.0
        line = start_s - start_s.min(initial=0.0) + record * span
        self._order = np.argsort(line, kind="stable")
        line = line[self._order]
        self._place = np.empty(len(line), np.int64)
        self._place[self._order] = np.arange(len(line))
        self._first = np.searchsorted(line, line - reach)
        self._count = np.searchsorted(line, line + reach) - self._first - 1  # itself is none

    def partners(self, positions: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """[row] store indices of the partners of the windows at `positions`; `draws` [row] uniform in [0, 1)."""
        own = self._place[positions]
        first, count = self._first[own], self._count[own]
        chosen = first + np.floor(draws * count).astype(np.int64)
        chosen = np.where(count == 0, own, chosen + (chosen >= own))
        return self._windows[self._order[chosen]]
