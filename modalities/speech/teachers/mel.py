"""Log-mel itself as the teacher: a token's own content, before any view has changed it. Nothing is loaded or heard.

A band that a whole token lacks is taken for the recording's mean. A token that lacks frames has no state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from einops import rearrange
from torch import Tensor

from ....core.blocks.registry import register
from ....core.sequence import PatchSequence, SequenceSpec
from .states import Block, TokenStates
from .teacher import Batches, Teacher


@register("teacher", "mel")
class MelTeacher(Teacher):
    """The student's own tokens."""

    def states(self, batches: Batches, spec: SequenceSpec, align: str) -> TokenStates:
        return MelStates(batches, spec)


class MelStates(TokenStates):
    """Contents of tokens, one state each."""

    ratio = 1
    fingerprint = "mel"

    def __init__(self, batches: Batches, spec: SequenceSpec) -> None:
        self.batches, self.spec = batches, spec

    def sample(self, size: int, seed: int) -> tuple[int, Iterable[Tensor]]:
        """All of them: reading is cheap, and the quantiser keeps a uniform sample by itself."""
        count = sum(int(self._block(batch).known.sum()) for batch in self.batches())
        blocks = map(self._block, self.batches())
        return count, (block.states[block.known] for block in blocks)

    def blocks(self) -> Iterator[Block]:
        return map(self._block, self.batches())

    def _block(self, batch: PatchSequence) -> Block:
        assert batch.values is not None
        finite = rearrange(
            torch.isfinite(batch.values), "row n (band frame) -> row n band frame", band=self.spec.patch_shape[0]
        )
        whole = batch.valid & finite.any(dim=2).all(dim=-1)
        states = torch.nan_to_num(batch.values.float(), nan=0.0)
        return Block(batch.window, states.unsqueeze(2), whole.unsqueeze(2))
