"""From item scores to decisions: tasks of unit "record" average the scores of a record's windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..data.items import Items


def per_decision(
    items: Items, chosen: np.ndarray, probability: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels [n] or [n, class], probabilities [n, class] and a representative item [n] of each decision.

    For "event" and "window" tasks these are the chosen items themselves; for "record" tasks one entry a record, with
    the mean probability of its windows.
    """
    if items.unit != "record":
        return items.label[chosen], probability, chosen
    _, first, owner = np.unique(items.record[chosen], return_index=True, return_inverse=True)
    mean = np.zeros((len(first), probability.shape[1]))
    np.add.at(mean, owner, probability)
    mean /= np.bincount(owner)[:, None]
    return items.label[chosen][first], mean, chosen[first]
