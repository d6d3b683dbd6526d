"""A teacher's states at the tokens of all windows: a sample to learn a quantiser from, and block by block to encode.

To run a large teacher costs far more than anything else here, so it hears every recording once. The quantiser learns
from recordings in random order until there are enough states; these stay in memory, and only the others are heard when
all are encoded. So memory is bounded by the sample, whatever the size of the corpus.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ....core.blocks.corpus import Corpus
from .align import aligned
from .track import Listener


@dataclass(frozen=True)
class Block:
    """window: [row] ids. states: [row, patch, ratio, dim]. known: [row, patch, ratio] bool, False = meaningless."""

    window: Tensor
    states: Tensor
    known: Tensor


class TokenStates(ABC):
    """ratio: states of a token. fingerprint: of everything they depend on but the windows."""

    ratio: int
    fingerprint: str

    @abstractmethod
    def sample(self, size: int, seed: int) -> tuple[int, Iterable[Tensor]]:
        """What to learn a quantiser from: how many states [state, dim] there are, and these, block by block."""

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """All windows, in a fixed order."""


class HeardStates(TokenStates):
    """Of a teacher that listens to recordings."""

    def __init__(self, corpus: Corpus, listener: Listener, token_s: float, ratio: int) -> None:
        self.corpus, self.listener, self.token_s, self.ratio = corpus, listener, token_s, ratio
        self.fingerprint = f"{listener.fingerprint} x{ratio}"
        self._heard: dict[int, Block] = {}

    def sample(self, size: int, seed: int) -> tuple[int, Iterable[Tensor]]:
        count = 0
        for number in np.random.default_rng(seed).permutation(self.corpus.records).tolist():
            self._heard[number] = self._hear(number)
            count += int(self._heard[number].known.sum())
            if count >= size:
                break
        return count, (block.states[block.known] for block in self._heard.values())

    def blocks(self) -> Iterator[Block]:
        for number in range(self.corpus.records):
            heard = self._heard.pop(number, None)
            yield self._hear(number) if heard is None else heard

    def _hear(self, number: int) -> Block:
        found = self.corpus.record(number)
        batch, start_s = found.batch, torch.from_numpy(found.start_s)
        track = self.listener.listen(found.recording)
        middle_s = start_s.unsqueeze(1) + batch.coords[..., 0].double().masked_fill(~batch.valid, 0.0)
        states, known = aligned(track, middle_s, self.token_s, self.ratio)
        return Block(batch.window, states, known & batch.valid.unsqueeze(-1))
