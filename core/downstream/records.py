"""From item scores to decisions: a decision may be about one item, about a recording, or about a person.

Tasks of unit "record" average the scores of a recording's windows, tasks of unit "subject" those of all windows of all
recordings of a person: a diagnosis is a person's, however often and however long that person was recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from ..data.items import Items

# units whose decisions are means over windows
AVERAGED = ("record", "subject")


def decision_of(items: Items, chosen: np.ndarray) -> np.ndarray:
    """[n] code of what each chosen item is decided with: itself, its recording or its person.

    A recording of an unknown person is a person of its own. What is decided under one thing given is another decision
    than that under another.
    """
    if items.unit not in AVERAGED:
        return np.arange(len(chosen))
    owner = items.record[chosen]
    if items.unit == "subject":
        alone = items.subject.max(initial=-1) + 1 + owner
        owner = np.where(items.subject[chosen] >= 0, items.subject[chosen], alone)
    return owner * items.models + items.given[chosen]


def per_decision(
    items: Items, chosen: np.ndarray, probability: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels [n] or [n, class], probabilities [n, class] and a representative item [n] of each decision.

    For "event", "window" and "dense" tasks these are the chosen items themselves; for "record" and "subject" tasks one
    entry a recording or person, with the mean probability of its windows.
    """
    if items.unit not in AVERAGED:
        return items.label[chosen], probability, chosen
    _, first, owner = np.unique(decision_of(items, chosen), return_index=True, return_inverse=True)
    mean = np.zeros((len(first), probability.shape[1]))
    np.add.at(mean, owner, probability)
    mean /= np.bincount(owner)[:, None]
    return items.label[chosen][first], mean, chosen[first]


def check_decisions_agree(items: Items, subjects: tuple[str, ...]) -> None:
    """Raise InputError where a task decides once a person and a person has recordings of different labels."""
    if items.unit != "subject":
        return
    _, first, owner = np.unique(decision_of(items, np.arange(len(items))), return_index=True, return_inverse=True)
    differs = np.flatnonzero((items.label != items.label[first][owner]).reshape(len(items), -1).any(axis=1))
    if len(differs):
        code = items.subject[differs[0]]
        raise InputError(
            "recordings of one person have different labels, but the task decides once a person", field="data.task",
            got=f"subject {subjects[code]!r}" if code >= 0 else "a recording whose windows differ",
            expected="one label a person", fix="correct the labels, or choose a task that decides once a recording",
        )  # fmt: skip
