"""A cap on how often pretraining passes over the same windows (`trainer.max_passes`).

A recipe's steps fit the data it was tried on; few windows are learned by heart in as many. The cap shortens the run
before its schedule is built, so that warm-up and decay fit what is trained.
"""

from __future__ import annotations

from dataclasses import replace

from ..config import Recipe


def within_passes(recipe: Recipe, windows: int) -> Recipe:
    """The recipe with at most as many steps as `trainer.max_passes` passes over so many training windows need (at
    least one step), and monitored at its end at the latest. Twice is the same as once."""
    trainer = recipe.trainer
    if not trainer.max_passes:
        return recipe
    most = max(1, int(trainer.max_passes * windows / trainer.batch_size))
    if trainer.max_steps <= most:
        return recipe
    return replace(recipe, trainer=replace(trainer, max_steps=most, monitor_every=min(trainer.monitor_every, most)))


def shortening(asked: Recipe, capped: Recipe, windows: int) -> str:
    """What the cap changed, for the user: "1,700 steps would be 1,088 passes over 400 windows: 114 steps"; "" where
    nothing."""
    steps, left = asked.trainer.max_steps, capped.trainer.max_steps
    if steps == left:
        return ""
    passes = steps * asked.trainer.batch_size / windows
    return f"{steps:,} steps would be {passes:,.0f} passes over {windows:,} windows: {left:,} step{'s' * (left > 1)}"
