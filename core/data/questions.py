"""Sides of a ranking task: who is asked for what, and which windows may be learned from.

Everybody may be on every side: what is held out is ids of each person, not people ("within"). Windows that say that a
person is held out make sides of people. A window that shows what another one of the same person is asked for is only
there to be asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .store import WindowStore

WITHIN = "within"  # kind of a split by ids of each person
WITHIN_STAMP = "split by what each person took, not by person: everybody was seen in pretraining, not what is asked for"


def ranks(store: WindowStore) -> bool:
    """Whether the store's task asks for ids."""
    return store.asked_side is not None


def held_out_people(store: WindowStore) -> dict[str, frozenset[str]]:
    """Names of who is held out for validation and for the test, where the windows say that people are; else {}."""
    held = store.asked_held_out
    if held is None or not held.any():
        return {}
    assert store.asked_side is not None
    names = np.array(store.subjects)
    return {
        side: frozenset(names[store.subject_code[held & (store.asked_side == side)]].tolist())
        for side in ("validation", "test")
    }


def in_question(store: WindowStore, side: str) -> np.ndarray:
    """[window] bool: what of the windows a side may use: those that are asked on it, or those that may be learned from
    (train). All of them unless the task ranks."""
    if store.asked_side is None:
        return np.ones(len(store), bool)
    if side != "train":
        return store.asked_side == side
    learned = (store.asked_side != "test") | ~_asked_twice(store)
    return learned if store.asked_held_out is None else learned & ~store.asked_held_out


def _asked_twice(store: WindowStore) -> np.ndarray:
    """[window] bool: the same person is asked for validation in another window."""
    assert store.asked_side is not None
    chooses = np.unique(store.subject_code[store.asked_side == "validation"])
    return np.isin(store.subject_code, chooses) & (store.asked_side != "validation")
