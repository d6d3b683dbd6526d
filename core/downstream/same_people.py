"""Several runs on one set of test subjects: by name, fold by fold, whatever codes their stores gave them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..errors import InputError
from .rows import Evaluation, Prediction, Row
from .scoring import row_metrics

People = dict[int, frozenset[int]]  # fold -> codes of its test subjects


def on_same_people(runs: Mapping[str, Evaluation], *, shared: bool = False) -> tuple[dict[str, Evaluation], int]:
    """The runs with the same codes for the same subjects, and how many were tested, in all folds together.

    shared: leave out who is not in all runs, and score everybody else again; metrics that have no mean over people are
        dropped then.
    Raises InputError when the runs tested other people, or the same in other folds.
    """
    names = sorted({name for run in runs.values() for name in run.subjects})
    found = {name: _recoded(run, tuple(names)) for name, run in runs.items()}
    people = {name: _people(run) for name, run in found.items()}
    if all(one == next(iter(people.values())) for one in people.values()):
        return found, len(_everybody(people[next(iter(people))]))
    common = _common(people, shared=shared)
    return {name: _restricted(run, common) for name, run in found.items()}, len(_everybody(common))


def _common(people: Mapping[str, People], *, shared: bool) -> People:
    """Who is in all runs, of each fold; refuses where that may not be compared."""
    reference = next(iter(people))
    everybody = {name: _everybody(one) for name, one in people.items()}
    both = frozenset.intersection(*everybody.values())
    folds = people[reference]
    common = {fold: frozenset.intersection(*(one.get(fold, frozenset()) for one in people.values())) for fold in folds}
    if not both:
        raise InputError(
            "the runs were tested on different people, none of them in all runs, so no difference can be paired",
            got=_counted(everybody), fix="train or evaluate both with one split: the same --split and data options",
        )  # fmt: skip
    if _everybody(common) != both:
        raise InputError(
            "the runs divide the same people into other folds, so their models learned from other people",
            fix="train or evaluate both with one split: the same --split and data options",
        )  # fmt: skip
    if not shared:
        raise InputError(
            f"the runs were tested on different people: {len(both)} are in all of them, and a difference between runs "
            "would be one between people, too", got=_counted(everybody), expected="the same test subjects in all",
            fix=f"add --shared to compare on those {len(both)}, or use one split: the same --split and data options",
        )  # fmt: skip
    return {fold: held for fold, held in common.items() if held}


def _counted(everybody: Mapping[str, frozenset[int]]) -> str:
    return ", ".join(f"{len(held)} in {name}" for name, held in everybody.items())


def _everybody(people: People) -> frozenset[int]:
    return frozenset[int]().union(*people.values())


def _recoded(run: Evaluation, names: tuple[str, ...]) -> Evaluation:
    """With codes of subjects into `names`; -1 (unknown) stays."""
    code = {name: i for i, name in enumerate(names)}
    of_old = np.array([*(code[name] for name in run.subjects), -1], np.int64)  # code -1 is the last

    def again(prediction: Prediction) -> Prediction:
        return replace(prediction, subject=of_old[prediction.subject])

    return replace(
        run, subjects=names, predictions={key: again(one) for key, one in run.predictions.items()},
        ranked=[(name, row, again(one)) for name, row, one in run.ranked],
    )  # fmt: skip


def _people(run: Evaluation) -> People:
    held: dict[int, set[int]] = {}
    for row, prediction in _scored(run):
        held.setdefault(row.fold, set()).update(np.unique(prediction.subject).tolist())
    return {fold: frozenset(codes) for fold, codes in held.items()}


def _scored(run: Evaluation) -> list[tuple[Row, Prediction]]:
    return [(row, run.predictions[row.key]) for row in run.rows] + [(row, one) for _, row, one in run.ranked]


def _restricted(run: Evaluation, people: People) -> Evaluation:
    """Rows and rankings of those people alone, scored again."""

    def part(row: Row, prediction: Prediction) -> tuple[Row, Prediction]:
        kept = prediction.part(np.isin(prediction.subject, sorted(people[row.fold])))
        if kept.values is None:
            return replace(row, metrics=row_metrics(kept, run.classes)), kept
        means = {m: float(np.nanmean(v)) for m, v in kept.values.items() if not np.isnan(v).all()}
        return replace(row, metrics=means), kept

    rows = [part(row, run.predictions[row.key]) for row in run.rows if row.fold in people]
    ranked = [(name, *part(row, one)) for name, row, one in run.ranked if row.fold in people]
    return replace(run, rows=[row for row, _ in rows], predictions={r.key: p for r, p in rows}, ranked=ranked)
