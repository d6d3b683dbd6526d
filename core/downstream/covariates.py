"""What is known of a person without any signal, age and sex for instance, as a model of its own.

Groups of a clinical data set often differ in age and sex, and a network may learn those instead of the disease. The
control is a logistic regression on the covariates that a data set declares (or a manifest has columns for), on the
same labels and splits as every other row. A model that is not clearly above it may have heard nothing else.

- Numbers stay numbers, everything else becomes one 0/1 column a category; what is missing becomes the training mean.
- Covariates are never given to any other model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .bootstrap import Bootstrap
from .rows import Evaluation

if TYPE_CHECKING:
    from ..data.items import Items
    from ..data.sources import SourceList

LINE = ("covariates", "linear")
_LARGEST = 1e30  # in size; a text beyond that is no number of this world
_MISSING = {"", "?", "na", "n/a", "nan", "none", "unknown"}


@dataclass(frozen=True, eq=False)
class Covariates:
    """names: of the covariates. columns: [record, column] float32, NaN = missing; one covariate may have several."""

    names: tuple[str, ...]
    columns: np.ndarray

    @classmethod
    def of(cls, sources: SourceList, records: Sequence[str]) -> Covariates | None:
        """Those that the sources declare and know, for `records` of a store; None where there are none."""
        known: dict[str, Mapping[str, Any]] = {source.record: source.extras for source in sources}
        found = {
            name: columns
            for name in sources.covariates
            if (columns := to_columns([known.get(record, {}).get(name) for record in records])).shape[1]
        }
        return cls(tuple(found), np.concatenate(list(found.values()), axis=1)) if found else None

    def of_items(self, items: Items) -> np.ndarray:
        """[item, column]; NaN for items of unknown records."""
        nobody = np.full((1, self.columns.shape[1]), np.nan, np.float32)
        return np.concatenate([self.columns, nobody])[items.record]  # code -1 is the last


def to_columns(values: Iterable[Any]) -> np.ndarray:
    """[value, column] float32: one column of numbers, or one of 0/1 for each category; none where all are missing."""
    said = [_said(value) for value in values]
    numbers = [_number(text) for text in said]
    if all(number is not None for number, text in zip(numbers, said, strict=True) if text):
        column = np.array([np.nan if number is None else number for number in numbers], np.float32)
        return column[:, None][:, : int(np.isfinite(column).any())]
    categories = sorted({text for text in said if text})
    columns = np.array([[text == category for category in categories] for text in said], np.float32)
    columns[[not text for text in said]] = np.nan
    return columns


def over_covariates(evaluation: Evaluation, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """How far each model with an encoder lies above the covariates; {} where there is no such row.

    names: of the covariates. differences: entries of model, protocol, label_fraction, metric, mean, ci_low, ci_high,
    paired over subjects.
    """
    lines = [line for line in evaluation.lines() if line[0] in ("pretrained", "scratch", "random-init")]
    entries = []
    bootstrap = Bootstrap(evaluation, resamples, seed) if evaluation.covariates else None
    for line in lines:
        other = (*LINE, line[2])
        if bootstrap is None or not evaluation.runs(*other):
            continue
        head = dict(zip(("model", "protocol", "label_fraction"), line, strict=True))
        for metric in dict.fromkeys(name for row in evaluation.runs(*line) for name in row.metrics):
            entries.append({**head, "metric": metric, **bootstrap.difference(line, other, metric).plain()})
    return {"names": list(evaluation.covariates), "differences": entries} if entries else {}


def _said(value: Any) -> str:
    text = "" if value is None else str(value).strip().casefold()
    return "" if text in _MISSING else text


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < _LARGEST else None
