"""Mined positives: a window is also to predict other windows that already look like it.

MYOW, "mine your own view" (Azabou et al. 2021, https://arxiv.org/abs/2102.10106), on top of BYOL: two augmented views
of one window say what does not matter to it; its nearest neighbours say which other moments, and other people, are
alike. Neighbours are looked up by the embeddings of a moving average and predicted through heads of their own, because
a neighbour is only alike.

- The pool is the other rows of the batch (of all ranks), and with `queue` what was embedded in earlier steps.
- It borrows the encoder of an `ema` target: one moving average and one pass of it serve both.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..distributed import gather_rows
from ..errors import InputError, nearest
from ..sequence import SequenceSpec
from .encoder import Encoder
from .latent_targets import EMATarget, move_towards
from .projections import chain, project
from .registry import names_of, register
from .targets import Request, Target, TargetProvider


@register("target", "mined")
class MinedNeighbours(TargetProvider):
    """The projection of one of the `k` nearest other windows, at random, without gradient; for whole rows only.

    of: name of the `ema` target whose encoder and momentum it shares. head: names of heads whose moving average is
    applied to the neighbour's embedding. other_subjects: mine windows of other people only. queue: how many windows of
    earlier steps stay in the pool.
    """

    reads_targets: ClassVar[bool] = True
    keys: Tensor
    values: Tensor
    origin: Tensor  # (window, subject) of each
    filled: Tensor

    def __init__(
        self,
        spec: SequenceSpec,
        encoder: Encoder,
        heads: Mapping[str, nn.Module],
        targets: Mapping[str, nn.Module],
        *,
        of: str,
        head: str | list[str],
        k: int = 3,
        other_subjects: bool = False,
        queue: int = 0,
    ) -> None:
        super().__init__()
        teachers = {name: target for name, target in targets.items() if isinstance(target, EMATarget)}
        if of not in teachers:
            what = "mined neighbours need an ema target that is defined before them"
            raise InputError(what, got=of, fix=nearest(of, teachers))
        if k < 1 or queue < 0:
            raise ValueError(f"k must be positive and queue not negative, got {k} and {queue}")
        self.k, self.other_subjects, self.queue = k, other_subjects, queue
        self._teacher = [teachers[of]]  # in a plain list: neither it nor the online heads are ours to save
        self._online = chain(heads, names_of(head))
        self.average = nn.ModuleList(copy.deepcopy(m) for m in self._online)
        self.average.requires_grad_(False)
        rows = max(queue, 1)  # one that is never filled, where there is no queue: a pool is never empty
        self.register_buffer("keys", torch.zeros(rows, encoder.width))
        self.register_buffer("values", torch.zeros(rows, getattr(self._online[-1], "out", encoder.width)))
        self.register_buffer("origin", torch.zeros(rows, 2, dtype=torch.long))
        self.register_buffer("filled", torch.zeros(rows, dtype=torch.bool))
        self._seen: list[tuple[Tensor, ...]] = []

    @torch.no_grad()
    def forward(self, request: Request) -> Target:
        """Raises InputError at another site than "pooled"."""
        if request.index is not None:
            raise InputError("mined neighbours are whole rows", fix="use them in a term at site pooled")
        view = request.view
        encoded = request.encode(self._teacher[0].encoder, view, True, 0)
        valid = encoded.valid.any(dim=1)
        batch = view.batch if view.rows is None else view.batch.rows(view.rows)
        origin = torch.stack([batch.window, batch.subject], dim=1)
        key = F.normalize(encoded.pooled.float(), dim=-1)
        value = project(self.average, encoded.pooled, valid).float()
        fresh = tuple(gather_rows(x[valid]) for x in (key, value, origin, valid))
        if self.training and self.queue:
            self._seen.append(fresh)
        pool = [torch.cat(pair) for pair in zip(fresh, self._remembered(), strict=True)]
        chosen, found = self._choose(key, origin, pool, request)
        target = Target(pool[1][chosen], valid & found)
        if request.rows is not None and view.rows is None:
            target = Target(target.values[request.rows], target.valid[request.rows])
        return target

    def _choose(self, key: Tensor, origin: Tensor, pool: list[Tensor], request: Request) -> tuple[Tensor, Tensor]:
        """[row] place in the pool of a neighbour, and whether there is any."""
        assert request.rng is not None
        keys, _, origins, filled = pool
        allowed = filled & (origin[:, None, 0] != origins[:, 0])
        if self.other_subjects:
            allowed = allowed & ((origin[:, None, 1] != origins[:, 1]) | (origin[:, None, 1] < 0))
        nearest_first = (key @ keys.T).masked_fill(~allowed, -torch.inf).argsort(dim=1, descending=True, stable=True)
        count = allowed.sum(dim=1)
        draw = request.rng.fork("mined", origin[:, 0]).integers(0, self.k, 1) % count.clamp(min=1).unsqueeze(1)
        return nearest_first.gather(1, draw).squeeze(1), count > 0

    @torch.no_grad()
    def after_step(self, step: int, total: int) -> None:
        move_towards(self.average, self._online, 1.0 - self._teacher[0].momentum(step, total))
        for fresh in self._seen:
            for new, memory in zip(fresh, self._remembered(), strict=True):
                memory.copy_(torch.cat([new, memory])[: self.queue])
        self._seen.clear()

    def _remembered(self) -> tuple[Tensor, ...]:
        return self.keys, self.values, self.origin, self.filled
