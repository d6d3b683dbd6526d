"""Items: what a task labels, flat, one entry an event, a window, or a step of a dense task.

Downstream protocols work on items only; they never look into windows for labels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .numbers import is_number, number_bins

if TYPE_CHECKING:
    from .store import WindowStore


@dataclass(frozen=True, eq=False)
class Items:
    """Labelled items; unlabelled events and windows are left out, and those of which nothing is known that should be.

    window: [item] int64 index into the store. at: [item] float32 place on the first axis (0 for windows).
    label: [item] int64, [item, class] float32 of 0/1 for a multi-label task, or [item] float32 numbers.
    features: [item, f] float32 side features. hand: [item, h] float32 hand-made features, NaN = not available.
    subject, record: [item] int64 codes of the store, -1 = unknown.
    unit: "event", "window", "record" or "subject" (scores of all windows of either are averaged) or "dense".
    classes: in code order; () where labels are numbers, of an ordinal task too.
    place: [item] float64 place in the recording on the first axis; dense tasks only.
    given: [item] int64 code of what is known beforehand (`Task.given`), 0 for all where nothing is.
    given_names: in code order. ungiven: how many labelled items were left out because theirs is unknown.
    """

    window: np.ndarray
    at: np.ndarray
    label: np.ndarray
    features: np.ndarray
    hand: np.ndarray
    subject: np.ndarray
    record: np.ndarray
    unit: str
    classes: tuple[str, ...]
    place: np.ndarray | None = None
    given: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    given_names: tuple[str, ...] = ()
    ungiven: int = 0

    def __post_init__(self) -> None:
        if not self.given_names and len(self.given) != len(self.window):
            object.__setattr__(self, "given", np.zeros(len(self.window), np.int64))

    @property
    def models(self) -> int:
        """How many heads or models a task needs: one for each of what is given."""
        return max(1, len(self.given_names))

    def __len__(self) -> int:
        return len(self.window)


def collect_items(store: WindowStore) -> Items:
    """Labelled items of a store. Raises InputError when it has no task or nothing is labelled."""
    if store.task is None:
        raise InputError("these recordings have no labels", field="data.task", fix="choose a task, or only pretrain")
    if store.task.unit == "event":
        window, at, label, features, hand = _event_items(store)
    elif store.task.unit == "ranking":
        _refuse_silence(store)
        window, at, label, features, hand = _asked_windows(store)
    elif store.task.unit == "dense":
        window, at, label, features, hand = _dense_items(store)
    else:
        window, at, label, features, hand = _window_items(store)
    if not len(window):
        raise InputError(
            f"nothing is labelled for task {store.task.name}", field="data.task",
            expected="a number" if store.task.scale == "interval" else "one of " + " | ".join(store.task.classes),
            fix="check the annotations or choose another task",
        )  # fmt: skip
    names, known = store.task.given, np.ones(len(window), bool)
    if names:
        known = store.given[window] >= 0
        window, at, label, features, hand = (column[known] for column in (window, at, label, features, hand))
        if not len(window):
            raise InputError(
                f"no labelled window says what task {store.task.name} must know beforehand", field="data.task",
                expected="one of " + " | ".join(names), fix="add it to the labels or choose another task",
            )  # fmt: skip
    return Items(
        window, at, label, features, hand, subject=store.subject_code[window], record=store.record_code[window],
        unit=store.task.unit, classes=() if store.task.numeric else store.task.classes,
        place=store.start_s[window] + at if store.task.unit == "dense" else None,
        given=store.given[window] if names else np.zeros(len(window), np.int64), given_names=names,
        ungiven=int((~known).sum()),
    )  # fmt: skip


def window_labels(store: WindowStore, rows: np.ndarray) -> np.ndarray:
    """[row] int64 class of each of the windows `rows`, -1 = none: one label a window, whatever the task labels.

    Of the classes a window holds (those of its events, or its own several labels) it is the one rarest among `rows`:
    one ventricular beat among normal ones makes a ventricular window. Of numbers it is their quarter. For monitoring,
    not for results.
    """
    if is_number(store.labels):
        return number_bins(store.labels)[rows]
    if store.task is not None and store.task.unit == "event":
        if store.events is None:
            return np.full(len(rows), -1)
        label = store.events.flat(rows)["label"]
        window = np.repeat(np.arange(len(rows)), store.events.counts[rows])[label >= 0]
        label = label[label >= 0]
        holds = np.zeros((len(rows), len(store.task.classes)), bool)
        holds[window, label] = True
        rarest_first = np.argsort(np.bincount(label, minlength=holds.shape[1]), kind="stable")
    elif store.labels.ndim == 2:
        holds = store.labels[rows] == 1  # NaN = unlabelled
        rarest_first = np.argsort(holds.sum(axis=0), kind="stable")
    else:
        return store.labels[rows]
    return np.where(holds.any(axis=1), rarest_first[holds[:, rarest_first].argmax(axis=1)], -1)


def _no_items() -> tuple[np.ndarray, ...]:
    return (np.empty(0, np.int64),) * 5


def _event_items(store: WindowStore) -> tuple[np.ndarray, ...]:
    events = store.events
    if events is None:
        return _no_items()
    every = np.arange(len(store))
    flat = events.flat(every)
    labelled = flat["label"] >= 0
    window = np.repeat(every, events.counts)[labelled]
    return window, *(flat[name][labelled] for name in ("at", "label", "features", "hand"))


def _refuse_silence(store: WindowStore) -> None:
    """Raise InputError where a side of a ranking asks for nothing: before hours of pretraining, not after."""
    for side in ("validation", "test"):
        if store.asked_side is None or not (store.asked_side == side).any():
            raise InputError(
                f"nobody is asked for anything on the {side} side", field="data.task", got=f"{len(store)} histories",
                expected="people with a history who took something else", fix="split otherwise, or use more data",
            )  # fmt: skip


def _asked_windows(store: WindowStore) -> tuple[np.ndarray, ...]:
    """Windows that a ranking task asks for ids; they have no class."""
    if store.asked is None:
        return _no_items()
    window = np.flatnonzero(store.asked.counts > 0)
    nothing = np.empty((len(window), 0), np.float32)
    return window, np.zeros(len(window), np.float32), np.zeros(len(window), np.int64), nothing, nothing


def _dense_items(store: WindowStore) -> tuple[np.ndarray, ...]:
    """Labelled steps. Side and hand features of windows say nothing about a step: there are none."""
    assert store.task is not None
    if store.dense is None:
        return _no_items()
    every = np.arange(len(store))
    label = store.dense.flat(every)["label"].astype(np.int64)
    window = np.repeat(every, store.dense.counts)
    number = np.arange(len(label)) - np.repeat(store.dense.starts[:-1], store.dense.counts)
    kept = label >= 0
    nothing = np.empty((int(kept.sum()), 0), np.float32)
    at = ((number[kept] + 0.5) * store.task.step).astype(np.float32)
    return window[kept], at, label[kept], nothing, nothing


def _window_items(store: WindowStore) -> tuple[np.ndarray, ...]:
    labels = store.labels
    if is_number(labels):
        window = np.flatnonzero(~np.isnan(labels))
    else:
        window = np.flatnonzero(labels >= 0 if labels.ndim == 1 else ~np.isnan(labels).any(axis=1))
    count = len(window)
    if store.hand is None:
        hand = np.empty((count, 0), np.float32)
    else:
        hand = store.hand.padded(window, 1)["hand"][:, 0] if count else np.empty((0, 0), np.float32)
        hand[store.hand.counts[window] == 0] = np.nan
    return window, np.zeros(count, np.float32), labels[window], np.empty((count, 0), np.float32), hand
