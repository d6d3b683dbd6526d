"""What the models of an evaluation learn from: one trial for each seed and share of the labels, the same for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..config import Recipe
from .few_labels import draw_labels, label_words
from .rows import Evaluation
from .trial import Trial, hide_labels, label_subset, subjects_kept

if TYPE_CHECKING:
    from ..data.items import Items


@dataclass(frozen=True, eq=False)
class Planned:
    """One trial, and where its rows go. fraction: of the labelled subjects; per_class: 0, or how many labels."""

    into: Evaluation
    fraction: float
    trial: Trial
    per_class: int = 0

    @property
    def words(self) -> str:
        """For progress lines."""
        return label_words(self.per_class) if self.per_class else f"{self.fraction:.0%} of the labels"


def plan_trials(
    recipe: Recipe, items: Items, sides: Mapping[str, np.ndarray], scored: np.ndarray, result: Evaluation
) -> Iterator[Planned]:
    """Shares of the labelled subjects, then few labels of each class; `result.few` says how many of those.

    scored: items whose labels no trial may see.
    """
    asked, first, blind = recipe.evaluate, recipe.seed, hide_labels(items, scored)
    labelled = np.concatenate([sides["train"], sides["validation"]])
    people = len(np.unique(items.subject[labelled]))
    for fraction in sorted(set(asked.label_fractions) - {1.0}):
        result.notes.append(
            f"{fraction:.0%} of the labels: those of {subjects_kept(people, fraction)} of {people} people"
        )
    for seed in range(first, first + asked.seeds):
        for fraction in asked.label_fractions:
            train, validation = label_subset(items, sides["train"], sides["validation"], fraction, seed)
            pool = np.setdiff1d(labelled, np.concatenate([train, validation]))
            yield Planned(result, fraction, Trial(blind, train, validation, scored, seed, pool).standardised())
    for per_class, found in result.few.items():
        for seed in range(first, first + asked.label_draws):
            drawn = draw_labels(items, labelled, per_class, seed)
            pool = np.setdiff1d(labelled, drawn)
            yield Planned(found, 1.0, Trial(blind, drawn, drawn[:0], scored, seed, pool), per_class)
