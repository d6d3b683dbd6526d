"""What differs between compared runs besides their models, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .rows import Evaluation, few_subjects
from .tables import Line

_SAME = 1e-6  # what is kept is rounded to float32; scores that differ by more are others
_TOLD = 6  # rows that a sentence names


def caveats(
    tested: Mapping[str, Evaluation], every: Mapping[str, Evaluation], subjects: int, *, restricted: bool
) -> list[str]:
    """What to keep in mind of a comparison with the first run.

    tested: the runs on the same people. every: the same with a row for each ranker. subjects: number of those people.
    restricted: rows were asked for by name, so nobody misses the others.
    """
    unmatched = [] if restricted else _unmatched(every)
    return [*unmatched, *_other_decisions(tested), *_other_prior(tested), *few_subjects(subjects)]


def told(lines: Sequence[Line]) -> str:
    """Rows as they are asked for on the command line."""
    spelled = [f"{model}/{protocol}/{fraction:g}" for model, protocol, fraction in lines]
    return "; ".join(spelled[:_TOLD]) + ("; ..." if len(spelled) > _TOLD else "")


def _unmatched(runs: Mapping[str, Evaluation]) -> list[str]:
    """Rows that nothing is compared with."""
    (reference, first), *others = runs.items()
    notes = []
    for name, run in others:
        for here, own, there, its in ((name, run, reference, first), (reference, first, name, run)):
            if alone := [line for line in own.lines() if line not in its.lines()]:
                notes.append(f"{here} has rows that {there} has not: {told(alone)}")
    return notes


def _other_decisions(runs: Mapping[str, Evaluation]) -> list[str]:
    counts = {name: _decisions(run) for name, run in runs.items()}
    reference, *others = counts
    return [
        f"{name} decides {counts[name]} times about these subjects, {reference} {counts[reference]} times: windows, "
        "records or labels differ, not only models"
        for name in others
        if counts[name] != counts[reference]
    ]


def _decisions(run: Evaluation) -> int:
    """In all folds together."""
    return sum({row.fold: len(run.predictions[row.key].subject) for row in run.rows}.values())


def _other_prior(runs: Mapping[str, Evaluation]) -> list[str]:
    (reference, first), *others = runs.items()
    return [
        f"the prior, in which no model has a part, scores otherwise in {name} than in {reference}: what was learned "
        "from or asked differs, not only models"
        for name, run in others
        if _differ(_prior(first), _prior(run))
    ]


def _prior(run: Evaluation) -> dict[str, float]:
    """{metric: mean over folds and seeds} of the prior that has all labels."""
    rows = [row for row in run.rows if row.model == "prior" and row.label_fraction == 1.0]
    names = dict.fromkeys(metric for row in rows for metric in row.metrics)
    return {name: float(np.mean([row.metrics[name] for row in rows if name in row.metrics])) for name in names}


def _differ(one: Mapping[str, float], two: Mapping[str, float]) -> bool:
    return any(abs(one[metric] - two[metric]) > _SAME for metric in one.keys() & two.keys())
