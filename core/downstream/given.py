"""Something known beforehand (`Task.given`): a model for each of it, and one number over all.

Whether an exercise was done well is another question for each exercise, and which one was asked for is known. So every
learner is fitted to the items of one of them alone, and an item is scored by the model of its own; where nothing is
given there is one model of everything. Settings are chosen for all models together: what one exercise has of held-out
people is too little to choose by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .targets import typical
from .trial import Trial

Fit = Callable[..., np.ndarray]


class Models:
    """Models fitted to the items `fitted`, to score the items `asked`.

    make: (trial of one thing given, its fitted items, its asked items) -> a function of settings that returns
    [asked item, class]. Where nobody was fitted for what is given, everybody gets the shares of classes among all.
    """

    def __init__(
        self, trial: Trial, fitted: np.ndarray, asked: np.ndarray, make: Callable[[Trial, np.ndarray, np.ndarray], Fit]
    ) -> None:
        given = trial.items.given
        self.unknown = np.tile(typical(trial.items.label[fitted], trial.classes), (len(asked), 1))
        self.parts: list[tuple[np.ndarray, Any]] = []
        for code, part in enumerate(trial.parts):
            own, rows = fitted[given[fitted] == code], np.flatnonzero(given[asked] == code)
            if len(own) and len(rows):
                self.parts.append((rows, make(part, own, asked[rows])))

    @property
    def fits(self) -> list[Any]:
        """What `make` returned, of each thing given that there was something to fit and to ask of."""
        return [fit for _, fit in self.parts]

    def __call__(self, *settings: Any) -> np.ndarray:
        """[asked item, class] float32."""
        out = self.unknown.copy()
        for rows, fit in self.parts:
            out[rows] = fit(*settings)
        return out


def for_each(trial: Trial, learn: Callable[[Trial], np.ndarray]) -> np.ndarray:
    """[test item, class]: `learn` on the trial of each thing given, which returns those of its test items."""
    return Models(trial, trial.learnable, trial.test, lambda part, fitted, asked: lambda: learn(part))()
