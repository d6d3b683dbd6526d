"""The decisions that went wrong, the surest first: what to look at before trusting a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..data.numbers import is_number
from ..errors import InputError
from .targets import is_multilabel

if TYPE_CHECKING:
    from ..data.items import Items


@dataclass(frozen=True)
class Mistake:
    """item: index into the items; window: into the store; at: place in that window on the first axis.

    truth, said: class names. sureness: probability of the class that was said. subject, record: codes of the store.
    """

    item: int
    window: int
    at: float
    truth: str
    said: str
    sureness: float
    subject: int
    record: int


def mistakes(items: Items, asked: np.ndarray, probability: np.ndarray) -> list[Mistake]:
    """Wrong decisions of the items `asked` [n] under probabilities [n, class], the surest first.

    Only labelled items of a task with one class an item; raises InputError for a multi-label one and for numbers.
    """
    if is_number(items.label):
        raise InputError("a number is not simply right or wrong", fix="look at the largest differences")
    if is_multilabel(items.label):
        raise InputError("a multi-label decision is not simply right or wrong", fix="look at one class at a time")
    label, said = items.label[asked], probability.argmax(axis=1)
    sureness = probability.max(axis=1)
    wrong = np.flatnonzero((label >= 0) & (label != said))
    return [
        Mistake(
            item=int(asked[i]),
            window=int(items.window[asked[i]]),
            at=float(items.at[asked[i]]),
            truth=items.classes[label[i]],
            said=items.classes[said[i]],
            sureness=float(sureness[i]),
            subject=int(items.subject[asked[i]]),
            record=int(items.record[asked[i]]),
        )
        for i in wrong[np.argsort(-sureness[wrong], kind="stable")]
    ]
