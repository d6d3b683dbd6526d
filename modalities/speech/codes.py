"""Codes of the clean spectrum as targets: predict, of what is hidden, which entry of each codebook it would get.

The idea of SPEAR and of the MVQ distillation before it, with log-mel itself as the teacher: before the first step a
quantiser learns the tokens of the windows that are trained on, and each of them is encoded once. A code belongs to a
token of a window, so a view may change the signal as it likes: what is asked for stays that of the clean one.

A band that a whole token lacks is taken for the recording's mean. A token that lacks frames has no codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from einops import rearrange
from torch import Tensor

from ...core.blocks.registry import register
from ...core.blocks.targets import Request, Target, TargetProvider
from ...core.blocks.views import gather
from ...core.errors import InputError
from ...core.sequence import PatchSequence, SequenceSpec
from .mvq import Quantizer, Usage, train_quantizer, usage


@register("target", "codes")
class CodeTarget(TargetProvider):
    """codebooks, entries: size of the quantiser; fewer entries where there are fewer tokens. rounds, sample: of its
    training. width: states of the search. seed: of the quantiser. quantizer: file of one that is learned already.
    """

    def __init__(
        self,
        spec: SequenceSpec,
        encoder,
        heads,
        *,
        codebooks: int = 8,
        entries: int = 64,
        rounds: int = 6,
        sample: int = 40_000,
        width: int = 4,
        seed: int = 0,
        quantizer: str | None = None,
    ) -> None:
        super().__init__()
        self.spec, self.codebooks, self.entries = spec, codebooks, entries
        self.rounds, self.sample, self.width, self.seed = rounds, sample, width, seed
        # not a submodule: a function of the windows, which every process and every resume makes anew
        self._quantizer = (None if quantizer is None else Quantizer.load(quantizer),)
        self.usage: Usage | None = None
        self._codes: Tensor | None = None  # [token of all windows, codebook], -1 = none
        self._places: dict[int, tuple[int, int]] = {}  # window -> its first token among all, and how many it has

    @property
    def quantizer(self) -> Quantizer | None:
        """Learned in `prepare`, or read from a file."""
        return self._quantizer[0]

    def prepare(self, batches: Callable[[], Iterable[PatchSequence]]) -> None:
        """Learn the quantiser, unless there is one, and encode every token. Raises InputError when none is whole."""
        quantizer = self.quantizer or self._learn(batches)
        if (quantizer.codebooks, quantizer.dim) != (self.codebooks, self.spec.patch_size):
            raise InputError(
                "the quantiser is of another size", source="objective.targets.quantizer",
                got=f"{quantizer.codebooks} codebooks in {quantizer.dim} dimensions",
                expected=f"{self.codebooks} in {self.spec.patch_size}",
            )  # fmt: skip
        found, done = [], 0
        for batch in batches():
            frames, known = self._frames(batch)
            codes = torch.full((*known.shape, self.codebooks), -1)
            codes[known] = quantizer.encode(frames[known], self.width)
            for row, window in enumerate(batch.window.tolist()):
                self._places[window] = (done + row * batch.n_patches, batch.n_patches)
            done += known.numel()
            found.append(codes.flatten(0, 1))
        self._codes = torch.cat(found).to(torch.int32)
        self.usage = usage(self._codes[self._codes[:, 0] >= 0].long(), quantizer.entries)
        self._quantizer = (quantizer,)

    @torch.no_grad()
    def forward(self, request: Request) -> Target:
        """Codes [row, k, codebook] as numbers, NaN = none."""
        if self._codes is None:
            raise RuntimeError("`prepare` has not seen the windows")
        assert request.index is not None, "codes are of tokens: give the term the site target, visible or all"
        windows = request.view.batch.window
        windows = windows if request.rows is None else windows[request.rows]
        places = torch.tensor([self._places.get(window, (0, 0)) for window in windows.tolist()])
        first, count = places[:, :1], places[:, 1:]
        index = request.index.index.cpu()
        there = index < count
        codes = self._codes[torch.where(there, first + index, 0)].float()
        codes = codes.masked_fill(~there.unsqueeze(-1) | (codes < 0), torch.nan).to(windows.device)
        valid = request.index.valid & gather(request.view.batch.valid, request.rows, request.index.index)
        return Target(codes, valid)

    def _learn(self, batches: Callable[[], Iterable[PatchSequence]]) -> Quantizer:
        """A quantiser of all whole tokens; they are counted first, as there cannot be more entries than tokens."""
        count = sum(int(self._frames(batch)[1].sum()) for batch in batches())
        whole = (frames[known] for frames, known in map(self._frames, batches()))
        entries = max(1, min(self.entries, count))
        return train_quantizer(whole, self.codebooks, entries, rounds=self.rounds, sample=self.sample, seed=self.seed)

    def _frames(self, batch: PatchSequence) -> tuple[Tensor, Tensor]:
        """Content [row, patch, value] without NaN, and [row, patch] whether a token is whole."""
        assert batch.values is not None
        finite = rearrange(
            torch.isfinite(batch.values), "row n (band frame) -> row n band frame", band=self.spec.patch_shape[0]
        )
        whole = batch.valid & finite.any(dim=2).all(dim=-1)
        return torch.nan_to_num(batch.values.float(), nan=0.0), whole
