"""Whether codes are worth their bits: how many entries are used, how evenly, and what codebooks repeat of others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ....core.errors import InputError


@dataclass(frozen=True)
class Usage:
    """used: [codebook] share of entries that occur. entropy_bits: [codebook], at most log2(entries).
    shared_bits: [codebook, codebook] mutual information of pairs of codebooks, zero on the diagonal."""

    entries: int
    frames: int
    used: Tensor
    entropy_bits: Tensor
    shared_bits: Tensor

    @property
    def perplexity(self) -> Tensor:
        """[codebook] number of equally likely entries with the same entropy."""
        return 2.0**self.entropy_bits

    def table(self) -> list[tuple[str, str]]:
        """(what, value) in words."""
        pairs = self.shared_bits.numel() - len(self.used)
        shared = float(self.shared_bits.sum()) / pairs if pairs else 0.0
        return [
            ("frames", str(self.frames)),
            ("codebooks x entries", f"{len(self.used)} x {self.entries}"),
            ("entries used", f"{100 * float(self.used.mean()):.1f} % (least {100 * float(self.used.min()):.1f} %)"),
            ("entropy", f"{float(self.entropy_bits.mean()):.2f} of {math.log2(self.entries):.2f} bits a codebook"),
            ("shared by two codebooks", f"{shared:.2f} bits"),
        ]


def usage(codes: Tensor, entries: int) -> Usage:
    """Of [frame, codebook]. With few frames an entropy comes out too low and shared bits too high.

    Raises InputError when there are no frames or a code is no entry.
    """
    if codes.ndim != 2 or not codes.numel():
        raise InputError("no codes to report on", got=list(codes.shape), expected="[frame, codebook]")
    if not 0 <= int(codes.min()) <= int(codes.max()) < entries:
        raise InputError("a code is not an entry", got=int(codes.max()), expected=f"0 to {entries - 1}")
    codes = codes.long()  # a pair is numbered beyond what a byte holds
    count = torch.stack([torch.bincount(book, minlength=entries) for book in codes.T])
    entropy = torch.stack([_bits(row) for row in count])
    shared = torch.zeros(len(count), len(count), dtype=torch.double)
    for one in range(len(count)):
        for two in range(one + 1, len(count)):
            joint = _bits(torch.unique(codes[:, one] * entries + codes[:, two], return_counts=True)[1])
            shared[one, two] = shared[two, one] = (entropy[one] + entropy[two] - joint).clamp(min=0.0)
    return Usage(entries, len(codes), (count > 0).double().mean(dim=1), entropy, shared)


def _bits(count: Tensor) -> Tensor:
    share = count.double() / count.sum()
    return -(share * share.clamp(min=1e-300).log2()).sum()
