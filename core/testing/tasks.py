"""Tasks and data: labels, events, the demo set, named data sets."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from ..data.numbers import parse_number
from ..modality import Modality, Task, Window
from .case import Case
from .checks import check, expect, need

UNITS = ("event", "window", "record", "subject", "dense", "ranking")
MOST_SOURCES = 24  # demo recordings looked at
ENOUGH_SOURCES = 6  # for a task after the first, once they have shown what is asked of it


@check(fix="use task.name as key")
def tasks_are_well_formed(case: Case) -> None:
    tasks = case.modality.tasks()
    need(tasks, "the adapter has no tasks")
    for key, task in tasks.items():
        expect(
            task.name == key,
            got=f"task {task.name!r} under the key {key!r}",
            expected="one name",
        )
        expect(
            task.unit in UNITS,
            got=f"unit {task.unit!r} of task {key}",
            expected=", ".join(UNITS),
            fix="choose one of them",
        )
        least = 0 if task.unit == "ranking" or task.scale == "interval" else 1 if task.multilabel else 2
        expect(
            len(set(task.classes)) == len(task.classes) >= least and all(task.classes),
            got=f"classes {task.classes} of task {key}",
            expected="two or more different names",
            fix="name every class once",
        )
        expect(
            np.isfinite(task.offsets).all() and len(task.offsets),
            got=f"offsets {task.offsets} of task {key}",
            expected="finite distances on the first axis",
            fix="use (0.0,) to read the tokens at the event",
        )


@check(fix="map marks to classes in `windows`, and what has no class to ''")
def labels_are_classes_of_their_task(case: Case) -> None:
    need(case.modality.tasks(), "the adapter has no tasks")
    for name, task in case.modality.tasks().items():
        strange = sorted(_demo_labels(case)[name] - {"", *task.given} - _answers(task, _demo_labels(case)[name]))
        # a mark that carries no class is "" (or is left out); unknown names would vanish without a word
        expect(
            not strange,
            got=f"label {strange[:1]} for task {task.name}",
            expected="a number" if task.scale == "interval" else f"one of {[*task.classes, *task.given]} or ''",
        )


@check(
    fix="let `example` make every class of the first task, and two or more of each other, or name the data set that "
    "has its labels"
)
def tasks_get_labels_from_the_demo_set(case: Case) -> None:
    need(case.modality.tasks(), "the adapter has no tasks")
    found = _demo_labels(case)
    first, elsewhere = next(iter(found)), _labelled_elsewhere(case)
    for name, task in case.modality.tasks().items():
        seen = _answers(task, found[name])
        if not seen and name in elsewhere:
            continue
        wanted = (
            set(task.classes)
            if name == first
            else seen | ({"a second class"} if len(seen) < 2 and not task.multilabel else set())
        )
        if task.given:  # windows of which nothing is known are left out, whatever their class
            named = found[name] & set(task.given)
            expect(named, got=f"task {name} without what is given", expected=f"one of {list(task.given)} in each label")
        expect(
            wanted <= seen, got=f"demo labels {sorted(seen)} of task {name}", expected=f"also {sorted(wanted - seen)}"
        )


def _answers(task: Task, names: set[str]) -> set[str]:
    """Those of the names that answer a task: its classes, or numbers."""
    if task.scale == "interval":
        return {name for name in names if not np.isnan(parse_number(name))}
    return names & set(task.classes)


def _names(task: Task, window: Window) -> tuple[str, ...]:
    """Labels of a window under a task, wherever a task of that unit has them."""
    if task.unit == "event":
        return window.events.label if window.events else ()
    if task.unit == "dense":
        return (*window.segments.label, task.background) if window.segments else ()
    return window.label


_SEEN: WeakKeyDictionary[Modality, dict[str, set[str]]] = WeakKeyDictionary()


def _demo_labels(case: Case) -> dict[str, set[str]]:
    """Labels that the windows of the demo set have under each task; found once for an adapter."""
    if case.modality not in _SEEN:
        tasks, elsewhere = case.modality.tasks(), _labelled_elsewhere(case)
        seen: dict[str, set[str]] = {name: set() for name in tasks}
        for name, task in tasks.items():
            for number, source in enumerate(case.sources[:MOST_SOURCES]):
                shown = len(_answers(task, seen[name]))
                if number >= ENOUGH_SOURCES and name != next(iter(tasks)) and (shown > 1 or name in elsewhere):
                    break
                for window in case.modality.windows(case.modality.load(source), name):
                    seen[name].update(_names(task, window))
        _SEEN[case.modality] = seen
    return _SEEN[case.modality]


def _labelled_elsewhere(case: Case) -> set[str]:
    """Tasks after the first that a named data set has labels for."""
    first = next(iter(case.modality.tasks()))
    return {name for dataset in case.modality.datasets().values() for name in dataset.tasks} - {first}
