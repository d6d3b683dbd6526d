"""Vocabulary of ranking tasks: all ids of a vocabulary in the order in which they are likely to belong to a row.

The core asks a modality two things: how ids are ranked without any training (`Modality.rankers`), each in variants of
which validation chooses one, and how good a ranking is (`Modality.judge_ranking`), because that differs between fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

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
