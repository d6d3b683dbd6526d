"""What differs between finished runs that were tested on the same people: paired differences, row by row.

- Rows are matched by model, protocol and label fraction; rankings by the name of the ranker.
- A difference is one of means over seeds and folds, its interval that of `Bootstrap`: subjects are drawn once for all
  runs. That is far narrower than two intervals side by side, because who is easy for one model is easy for the next.
- What else differs between runs than their models is looked for, and said: people (`same_people`), how often is
  decided about them, and what the prior scores, in which no model has a part (`caveats`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..errors import InputError, nearest
from .bootstrap import Bootstrap
from .caveats import caveats, told
from .predictions import Predictions
from .ranking_table import by_ranker
from .rows import Evaluation
from .same_people import on_same_people
from .tables import Line


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    reference: the run that all others are compared with. subjects: how many were tested, in all folds together.
    entries: one a row, metric and run: model, protocol, label_fraction, metric, run, mean, ci_low, ci_high, n (seeds
        times folds), change, change_low, change_high (to the reference; None for itself). Bounds are 95 %, None where a
        metric has no mean over people.
    notes: what to keep in mind.
    """

    reference: str
    subjects: int
    entries: list[dict[str, Any]]
    notes: list[str]

    @property
    def metrics(self) -> list[str]:
        """Of all entries, in order of appearance."""
        return list(dict.fromkeys(entry["metric"] for entry in self.entries))

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        return asdict(self)


def compare(
    runs: Mapping[str, Predictions],
    *,
    shared: bool = False,
    rows: Sequence[str] = (),
    metrics: Sequence[str] = (),
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare runs, by their names, with the first.

    shared: compare on the subjects that all runs tested, where those differ.
    rows: only these, each as MODEL, MODEL/PROTOCOL or MODEL/PROTOCOL/FRACTION; metrics: only these; () = all.
    Raises InputError when there is nothing to compare: one run, other questions, other people, no such row or metric.
    """
    if len(runs) < 2:
        raise InputError("one run compares with nothing", got=", ".join(runs), fix="name two or more")
    _refuse_other_questions(runs)
    tested, subjects = on_same_people({name: run.evaluation for name, run in runs.items()}, shared=shared)
    every = {name: by_ranker(run) if run.ranked else run for name, run in tested.items()}
    (reference, first), *others = every.items()
    known = {line for _, run in others for line in run.lines()}
    chosen = _chosen(first.lines(), rows, {name: row.model for name, row, _ in first.ranked})
    matched = [line for line in chosen if line in known]
    if not matched:
        raise InputError("the runs have no row in common", got=told(chosen), expected=f"one of {told(sorted(known))}")
    entries = _entries(every, matched, _wanted(first, matched, metrics), resamples, seed)
    return Comparison(reference, subjects, entries, caveats(tested, every, subjects, restricted=bool(rows)))


def _refuse_other_questions(runs: Mapping[str, Predictions]) -> None:
    (reference, first), *others = runs.items()
    for name, run in others:
        for what, of in (
            ("data set", lambda one: one.dataset),
            ("task", lambda one: one.task),
            ("classes", lambda one: ", ".join(one.evaluation.classes)),
            ("things given", lambda one: ", ".join(one.evaluation.given)),
            ("unit", lambda one: one.evaluation.unit),
        ):
            if of(run) != of(first):
                raise InputError(
                    "the runs answer different questions, whose scores have no difference", source=name, field=what,
                    got=of(run), expected=f"{of(first)} as in {reference}",
                )  # fmt: skip


def _chosen(lines: Sequence[Line], asked: Sequence[str], aliases: Mapping[str, str]) -> list[Line]:
    """The lines that are asked for, in their order. aliases: {ranker: the model of the result table that it is}."""

    def matches(line: Line, wanted: str) -> bool:
        model, _, rest = wanted.partition("/")
        protocol, _, fraction = rest.partition("/")
        # "pretrained" is "pretrained, alone" and "pretrained, blended" where rankings are compared
        named = model in (line[0], aliases.get(line[0])) or line[0].startswith(f"{model}, ")
        return named and protocol in ("", line[1]) and fraction in ("", f"{line[2]:g}")

    for wanted in asked:
        if not any(matches(line, wanted) for line in lines):
            raise InputError("no such row", field="--row", got=wanted, expected=f"one of {told(lines)}")
    return [line for line in lines if not asked or any(matches(line, wanted) for wanted in asked)]


def _wanted(run: Evaluation, lines: Sequence[Line], asked: Sequence[str]) -> list[str]:
    known = list(dict.fromkeys(metric for line in lines for row in run.runs(*line) for metric in row.metrics))
    for metric in asked:
        if metric not in known:
            raise InputError("no such metric", field="--metric", got=metric, fix=nearest(metric, known))
    return list(asked) or known


def _entries(
    runs: Mapping[str, Evaluation], lines: Sequence[Line], metrics: Sequence[str], resamples: int, seed: int
) -> list[dict[str, Any]]:
    reference = next(iter(runs))
    joined = _joined(runs, lines)
    bootstrap, entries = Bootstrap(joined, resamples, seed), []
    for line in lines:
        base = (_of_run(reference, line[0]), *line[1:])
        for metric in metrics:
            for name in runs:
                own = (_of_run(name, line[0]), *line[1:])
                rows = [row for row in joined.runs(*own) if metric in row.metrics]
                if not rows or not any(metric in row.metrics for row in joined.runs(*base)):
                    continue
                head = dict(zip(("model", "protocol", "label_fraction"), line, strict=True))
                entry = {**head, "metric": metric, "run": name, **bootstrap.interval(own, metric).plain()}
                entry |= {"n": len(rows), "change": None, "change_low": None, "change_high": None}
                if name != reference:
                    difference = bootstrap.difference(own, base, metric)
                    entry |= difference.plain("change", "change_low", "change_high")
                entries.append(entry)
    return entries


def _joined(runs: Mapping[str, Evaluation], lines: Sequence[Line]) -> Evaluation:
    """Rows of all runs in one evaluation, so that all of them see the same resamples."""
    named = [
        (replace(row, model=_of_run(name, row.model)), run.predictions[row.key])
        for name, run in runs.items()
        for row in run.rows
        if row.key[:3] in lines
    ]
    first = next(iter(runs.values()))
    predictions = {row.key: prediction for row, prediction in named}
    return replace(first, rows=[row for row, _ in named], predictions=predictions)


def _of_run(name: str, model: str) -> str:
    return f"{name}: {model}"
