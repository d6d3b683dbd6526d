"""Which task a manifest's labels mean: one of the modality's that they fit, else a record task made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import InputError
from ..modality import Modality, Source, Task
from .numbers import parse_number

MADE = "manifest"  # name of a task that is made of labels


def label_task(sources: Sequence[Source], modality: Modality, scale: str = "auto") -> Task | None:
    """The modality's task whose classes cover all labels of a manifest, else a record task made of them.

    Labels of which each record has one exclude each other; they are no task of several labels a record, whose classes
    happen to have their names. Of the tasks that are left, the one with the fewest further classes. A task for which
    something is given covers labels beside which it stands.

    scale: of the labels; "auto": numbers where one of them has a fraction, else names, for whole numbers may name
    classes. Where nothing is labelled, the modality's ranking task, None when it has none. Raises InputError for labels
    that are not on the scale.
    """
    labels = sorted({name for source in sources for name in source.label})
    if not labels:  # a ranking asks for what recordings hold, and needs none
        return next((task for task in modality.tasks().values() if task.unit == "ranking"), None)
    if scale == "auto" and all(map(_is_number, labels)) and not all(parse_number(name).is_integer() for name in labels):
        scale = "interval"
    covering = [
        task
        for task in modality.tasks().values()
        if task.unit == "record" and (scale == task.scale or (scale == "auto" and task.scale != "interval"))
    ]
    covering = [task for task in covering if _covers(task, sources)]
    return min(covering, key=lambda task: len(task.classes), default=None) or _made(
        sources, labels, scale, modality.task(modality.hand_task).hand_learner if modality.hand_task else ""
    )


def _made(sources: Sequence[Source], labels: list[str], scale: str, learner: str) -> Task:
    """learner: of hand features, those of the modality's own question of this kind."""
    several = any(len(source.label) > 1 for source in sources)
    if scale not in ("interval", "ordinal"):
        classes = tuple(labels)
        return Task(name=MADE, unit="record", classes=classes, multilabel=several, hand_learner=learner)
    strange = next((name for name in labels if not _is_number(name)), None)
    if strange is not None or several:
        raise InputError(
            f"labels of an {scale} task are numbers, one a recording", field="label",
            got="several in one row" if strange is None else strange, expected="a number",
            fix="correct the column, or leave --data.scale out",
        )  # fmt: skip
    classes = tuple(sorted(labels, key=parse_number)) if scale == "ordinal" else ()
    return Task(name=MADE, unit="record", classes=classes, scale=scale, hand_learner=learner)


def _covers(task: Task, sources: Sequence[Source]) -> bool:
    """Whether the labels of all sources are on a task's scale, each beside what is given where something is."""
    found = [(set(source.label) - set(task.given), set(source.label) & set(task.given)) for source in sources]
    labelled = [(own, given) for own, given in found if own]
    if not labelled or any(len(given) != bool(task.given) for _, given in labelled):
        return False
    if any(len(own) > 1 for own, _ in labelled) != task.multilabel:
        return False
    every = set[str]().union(*(own for own, _ in labelled))
    return all(map(_is_number, every)) if task.scale == "interval" else every <= set(task.classes)


def _is_number(text: str) -> bool:
    return not math.isnan(parse_number(text))
