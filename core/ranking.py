"""Vocabulary of ranking tasks: all ids of a vocabulary in the order in which they are likely to belong to a row.

What a good ranking is and how one comes about without training differs between fields, so a modality says it
(`RankingField`); who is asked for what, what may choose and what is compared with what is the core's (`downstream`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# [row] row numbers -> [row, id] float32, the higher the better; who asked may write into them
Score: TypeAlias = Callable[[np.ndarray], np.ndarray]
# fit on who has which ids [row, id]; then score all ids for rows of the same form
Ranker: TypeAlias = Callable[["csr_matrix"], Callable[["csr_matrix"], np.ndarray]]


@dataclass(frozen=True, eq=False)
class Ranked:
    """How good a ranking is. per_row: {metric: [row]}, NaN where a metric does not apply to a row; overall: metrics of
    all rows together, which have no mean over rows."""

    per_row: Mapping[str, np.ndarray]
    overall: Mapping[str, float]


@dataclass(frozen=True)
class Leaks:
    """What one recording lets slip between what is learned from and what is tested. numbers: {name: count or share},
    None = cannot be known; sentences: what of it a reader of scores should know, in plain words."""

    record: str
    numbers: Mapping[str, float | int | None]
    sentences: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """An entry of `leaks` in the results."""
        return {"record": self.record, "numbers": dict(self.numbers), "sentences": list(self.sentences)}


@dataclass(frozen=True)
class Lists:
    """How rankings are scored. cutoffs: lengths of the lists, () = those usual in the field. negatives: 0 = all ids are
    ranked; else what a row is asked for is ranked among so many drawn ids, which compares with no full ranking."""

    cutoffs: tuple[int, ...] = ()
    negatives: int = 0


FULL = Lists()


class RankingField(ABC):
    """What a modality brings for its ranking tasks. metric: of `judge`, by which everything is chosen.

    `shown` and `asked` are [row, id]: what the rows show, which is not ranked, and what they are asked for.
    """

    metric: ClassVar[str]

    @abstractmethod
    def rankers(self) -> Mapping[str, Sequence[Ranker]]:
        """Ways to rank without training: {name: variants, of which one is chosen}. The first is the simplest, the prior
        of the results. One that the data are too large for raises InputError when it is fitted."""

    @abstractmethod
    def judge(self, score: Score, shown: csr_matrix, asked: csr_matrix, lists: Lists = FULL) -> Ranked:
        """How well `score` ranks what is asked for among all that is not shown, by `metric` and others."""

    @abstractmethod
    def choose_weight(self, first: Score, second: Score, shown: csr_matrix, asked: csr_matrix) -> tuple[float, float]:
        """(weight of the second, metric) of their best blend."""

    @abstractmethod
    def blend(self, first: Score, second: Score, weight: float) -> Score:
        """Both as one; weight 0 = the first, 1 = the second."""
