"""Training of direct-sum codebooks: encode, then solve for all centres at once, and again.

Given the codes, the best centres are a linear least-squares problem (Martinez et al. 2018, "LSQ++"): counts of code
pairs on one side, sums of frames on the other. Solving it replaces thousands of gradient steps, needs no learning rate
and lets nothing drift: the error on the sample cannot rise by it. A weak pull to the present centres keeps unused ones.

Two phases, as in multi_quantization: first twice as many codebooks of the square root of the entries; then pairs are
multiplied out, the most used sums kept, and training goes on. Small codebooks find the coarse structure jointly
before there are many entries to fill. In between, entries that nobody uses begin anew where the error is largest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from ....core.errors import InputError
from .quantizer import Quantizer
from .seeding import residual_codebooks, sample_of

_PULL = 1e-2  # towards the present centres, as a share of an entry's mean count
_RARE = 0.02  # share of the mean count below which an entry begins anew

OnRound = Callable[[int, float], None]  # rounds done, relative error on the sample


def train_quantizer(
    frames: Tensor | np.ndarray | Iterable[Tensor],
    codebooks: int = 8,
    entries: int = 256,
    *,
    rounds: int = 8,
    phases: int = 2,
    sample: int = 40_000,
    width: int = 2,
    seed: int = 0,
    on_round: OnRound | None = None,
) -> Quantizer:
    """Learn a quantiser of [frame, dim], or of a stream of such blocks of which a uniform sample is kept.

    rounds: of encoding and solving, in each phase. phases: 1 begins with codebooks of full size. sample: most frames
    that are learned from. width: states of the search while training. Equal arguments give equal codebooks.

    Raises InputError for impossible sizes, no frames, or fewer frames than entries.
    """
    if codebooks < 1 or entries < 1 or rounds < 1 or phases not in (1, 2):
        raise InputError(
            "impossible size of a quantiser", got=f"{codebooks} codebooks of {entries} entries, {rounds} rounds, "
            f"{phases} phases", expected="at least one of each, one or two phases",
        )  # fmt: skip
    frames = torch.from_numpy(frames) if isinstance(frames, np.ndarray) else frames
    x, mean = sample_of(frames, sample, seed)
    if len(x) < entries:
        raise InputError("too few frames to learn codes from", got=len(x), expected=f"at least {entries}")
    x, draw = x - mean, torch.Generator().manual_seed(seed)
    done = 0
    if phases == 2 and entries > 2:
        small = math.isqrt(entries - 1) + 1
        quantizer = Quantizer(residual_codebooks(x, 2 * codebooks, small, draw))
        codes = _rounds(quantizer, x, rounds, width, draw, on_round, done)
        quantizer, done = Quantizer(multiplied_out(quantizer.centres, codes, entries)), rounds
    else:
        quantizer = Quantizer(residual_codebooks(x, codebooks, entries, draw))
    _rounds(quantizer, x, rounds, width, draw, on_round, done)
    return Quantizer(quantizer.centres, mean)


def _rounds(
    quantizer: Quantizer, x: Tensor, rounds: int, width: int, draw: torch.Generator, on_round: OnRound | None, done: int
) -> Tensor:
    """Train in place; returns the codes of the last round."""
    codes = quantizer.encode(x, width, 1)
    for number in range(rounds):
        quantizer.set_centres(solved(quantizer.centres, x, codes))
        if number + 1 < rounds:  # the last solution stays as it is
            revive(quantizer, x, codes, draw)
        codes = quantizer.encode(x, width, 1)
        if on_round is not None:
            on_round(done + number + 1, quantizer.relative_error(x, codes))
    return codes


def solved(centres: Tensor, x: Tensor, codes: Tensor) -> Tensor:
    """The centres [codebook, entry, dim] whose sums come nearest to x [frame, dim] at these codes."""
    books, entries, dim = centres.shape
    pairs, sums = _statistics(x, codes, books, entries)
    pull = _PULL * len(x) / entries
    pairs.diagonal().add_(pull)
    factor = torch.linalg.cholesky(pairs)
    return torch.cholesky_solve(sums + pull * centres.reshape(-1, dim), factor).view_as(centres)


def _statistics(x: Tensor, codes: Tensor, books: int, entries: int) -> tuple[Tensor, Tensor]:
    """Counts of pairs of codes [all entries, all entries], and sums of frames by code [all entries, dim]."""
    pairs = x.new_zeros(books, entries, books, entries)
    sums = x.new_zeros(books, entries, x.shape[1])
    for one in range(books):
        sums[one].index_add_(0, codes[:, one], x)
        for two in range(one, books):
            count = torch.bincount(codes[:, one] * entries + codes[:, two], minlength=entries**2)
            block = count.view(entries, entries).to(x.dtype)
            pairs[one, :, two], pairs[two, :, one] = block, block.T
    return pairs.view(books * entries, -1), sums.flatten(0, 1)


def revive(quantizer: Quantizer, x: Tensor, codes: Tensor, draw: torch.Generator) -> int:
    """Let entries that are (almost) never chosen begin anew where frames are badly served; returns how many."""
    rest = x + quantizer.mean - quantizer.decode(codes)
    error = rest.square().sum(dim=1).double()
    centres, revived = quantizer.centres.clone(), 0
    if not error.sum() > 0:
        return 0
    for book in range(quantizer.codebooks):
        count = torch.bincount(codes[:, book], minlength=quantizer.entries)
        rare = (count < max(1.0, _RARE * len(x) / quantizer.entries)).nonzero().flatten()
        if len(rare):
            frames = torch.multinomial(error, len(rare), replacement=True, generator=draw)
            centres[book, rare] = centres[book, codes[frames, book]] + rest[frames]
            revived += len(rare)
    quantizer.set_centres(centres)
    return revived


def multiplied_out(centres: Tensor, codes: Tensor, entries: int) -> Tensor:
    """[2 N, k, dim] -> [N, entry, dim]: sums of neighbouring codebooks' entries, those kept that `codes` use most."""
    pairs = []
    for one in range(0, len(centres), 2):
        first, second = centres[one], centres[one + 1]
        sums = (first.unsqueeze(1) + second.unsqueeze(0)).flatten(0, 1)
        used = torch.bincount(codes[:, one] * len(second) + codes[:, one + 1], minlength=len(sums))
        pairs.append(sums[used.argsort(descending=True, stable=True)[:entries]])
    return torch.stack(pairs)
