"""Random numbers that belong to a window, not to a batch.

Every draw is a pure function of (seed, step, window id, name of the draw, position). So a mask or an augmentation
is the same whichever rank, batch position or padding the window gets, and after a resume: there is no generator
state to save. The mixing function is the 32-bit finaliser of MurmurHash3 (Appleby, public domain), applied twice.

Hashes are int32 tensors whose bits are meant unsigned: sums and products wrap round as 32-bit arithmetic asks, and a
processor mixes many of them at once. With 64 bits a batch of noise took longer than the encoder's step.
"""

from __future__ import annotations

import math
import zlib

import torch
from torch import Tensor


def _signed(number: int) -> int:
    """The int32 with the low 32 bits of a number."""
    return (number + 2**31) % 2**32 - 2**31


def _mix(x: Tensor) -> Tensor:
    """In place."""
    x ^= (x >> 16) & 0xFFFF
    x *= _signed(0x85EBCA6B)
    x ^= (x >> 13) & 0x7FFFF
    x *= _signed(0xC2B2AE35)
    x ^= (x >> 16) & 0xFFFF
    return x


class RowRandom:
    """Per-row random numbers for one step.

    Parameters
    ----------
    seed, step: integers; draws of different steps are independent.
    rows: [batch] int64, unique id of each row's window.

    Every draw advances a counter, so two calls give different numbers; `fork(name)` gives a named stream whose
    numbers do not depend on what was drawn before it.
    """

    def __init__(self, seed: int, step: int, rows: Tensor, stream: str = "") -> None:
        self.seed, self.step, self.rows, self.stream = int(seed), int(step), rows, stream
        self._draws = 0

    def fork(self, name: str, rows: Tensor | None = None) -> RowRandom:
        """An independent stream for the same step, optionally for other rows."""
        return RowRandom(self.seed, self.step, self.rows if rows is None else rows, f"{self.stream}/{name}")

    def of_rows(self, index: Tensor) -> RowRandom:
        """The same stream for some of the rows: each draws what it would draw among all."""
        part = RowRandom(self.seed, self.step, self.rows[index], self.stream)
        part._draws = self._draws
        return part

    def _bits(self, shape: tuple[int, ...]) -> Tensor:
        salt = _signed(zlib.crc32(f"{self.seed}:{self.step}:{self.stream}:{self._draws}".encode()))
        self._draws += 1
        rows = self.rows.long()
        low, high = ((rows >> shift << 32 >> 32).int() for shift in (0, 32))
        row = _mix(_mix(low ^ salt) ^ high).unsqueeze(1)
        place = torch.arange(math.prod(shape), device=rows.device, dtype=torch.int32)
        position = _mix(place * _signed(0x9E3779B1) + salt)
        return _mix(_mix(row ^ position).add_(row)).reshape(len(rows), *shape)

    def uniform(self, *shape: int) -> Tensor:
        """[batch, *shape] float32 in the open interval (0, 1): odd multiples of 2^-24.

        23 bits and not 24: the midpoints of 24-bit cells are no float32 numbers, the last one would round to 1.
        """
        return (self._bits(shape) >> 9 & 0x7FFFFF).to(torch.float32).add_(0.5).mul_(2.0**-23)

    def normal(self, *shape: int) -> Tensor:
        """[batch, *shape] standard normal float32."""
        return math.sqrt(2.0) * torch.erfinv(2.0 * self.uniform(*shape) - 1.0)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """[batch, *shape] int64 in [low, high)."""
        return low + (self.uniform(*shape) * (high - low)).long().clamp_(max=high - low - 1)

    def sign(self, *shape: int) -> Tensor:
        """[batch, *shape] of +1 or -1."""
        return torch.where(self.uniform(*shape) < 0.5, -1.0, 1.0)
