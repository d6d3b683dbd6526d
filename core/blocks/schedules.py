"""Schedules: a number as a pure function of the step.

Any named scalar of an objective (EMA momentum, a term's weight) may be a number or the options of a schedule; the
learning rate uses the same functions. No state, so a resumed run needs nothing but its step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from .registry import build, register

Schedule = Callable[[int, int], float]  # (step, total steps) -> value


@register("schedule", "constant")
class Constant:
    """The same value at every step."""

    def __init__(self, *, value: float) -> None:
        self.value = float(value)

    def __call__(self, step: int, total: int) -> float:
        return self.value


@register("schedule", "linear")
class Linear:
    """A straight line from `start` to `end`."""

    def __init__(self, *, start: float, end: float) -> None:
        self.start, self.end = float(start), float(end)

    def __call__(self, step: int, total: int) -> float:
        return self.start + (self.end - self.start) * min(1.0, step / max(1, total))


@register("schedule", "cosine")
class Cosine:
    """Half a cosine from `start` to `end` (EMA momentum in BYOL and DINO)."""

    def __init__(self, *, start: float, end: float) -> None:
        self.start, self.end = float(start), float(end)

    def __call__(self, step: int, total: int) -> float:
        progress = min(1.0, step / max(1, total))
        return self.end + (self.start - self.end) * 0.5 * (1.0 + math.cos(math.pi * progress))


@register("schedule", "warmup_cosine")
class WarmupCosine:
    """Linear rise over the `warmup` share of the steps, then a cosine down to `final` times the peak."""

    def __init__(self, *, peak: float, warmup: float = 0.1, final: float = 0.01) -> None:
        self.peak, self.warmup, self.final = float(peak), float(warmup), float(final)

    def __call__(self, step: int, total: int) -> float:
        rise = max(1, round(self.warmup * total))
        if step < rise:
            return self.peak * (step + 1) / rise
        progress = min(1.0, (step - rise) / max(1, total - rise))
        low = self.peak * self.final
        return low + (self.peak - low) * 0.5 * (1.0 + math.cos(math.pi * progress))


@register("schedule", "infinite")
class Infinite:
    """Infinite learning rate (Singh et al. 2025, https://arxiv.org/abs/2503.02844).

    Linear warm-up to `peak`, cosine cool-down to `constant`, then constant without end; the last `anneal` share of the
    run decays exponentially to `final`. New data resumes from a checkpoint of the constant phase. Shares are of the
    total steps, so a run made longer needs smaller ones to keep its phases; all rates are absolute.
    """

    def __init__(
        self,
        *,
        peak: float,
        constant: float,
        final: float,
        warmup: float = 0.05,
        cooldown: float = 0.25,
        anneal: float = 0.1,
    ) -> None:
        if not 0 < final <= constant <= peak:
            raise ValueError(f"need 0 < final <= constant <= peak, got {final}, {constant}, {peak}")
        if warmup + cooldown + anneal > 1:
            raise ValueError(f"the shares of the phases add up to more than 1: {warmup} + {cooldown} + {anneal}")
        self.peak, self.constant, self.final = float(peak), float(constant), float(final)
        self.warmup, self.cooldown, self.anneal = warmup, cooldown, anneal

    def __call__(self, step: int, total: int) -> float:
        rise, cool = max(1, round(self.warmup * total)), round(self.cooldown * total)
        start = total - round(self.anneal * total)
        if step < rise:
            return self.peak * (step + 1) / rise
        if step < rise + cool:
            progress = (step - rise) / max(1, cool)
            return self.constant + (self.peak - self.constant) * 0.5 * (1.0 + math.cos(math.pi * progress))
        if step < start:
            return self.constant
        progress = min(1.0, (step - start) / max(1, total - start))
        return self.constant * (self.final / self.constant) ** progress


def schedule(value: float | Mapping[str, Any] | Schedule, where: str = "schedule") -> Schedule:
    """A schedule from a plain number, the options of a registered schedule, or a schedule itself."""
    if isinstance(value, int | float):
        return Constant(value=float(value))
    if callable(value):
        return value
    return build("schedule", value, where=where)
