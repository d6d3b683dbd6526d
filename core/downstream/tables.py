"""Closer looks at a result line: each record on its own, and the result without the subject that dominates a class.

A macro figure over few subjects can be one subject's figure: where one subject holds most of a class, that class's F1
mostly measures that subject. Both tables make this visible instead of hiding it in a mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .metrics import decide
from .records import AVERAGED
from .rows import Evaluation, Prediction
from .scoring import average, row_metrics
from .targets import indicators

Line = tuple[str, str, float]


def bracketed(entry: dict[str, Any]) -> str:
    """`0.612 [0.500, 0.700]` of an entry with a mean and its interval."""
    bounds = "" if entry["ci_low"] is None else f" [{entry['ci_low']:.3f}, {entry['ci_high']:.3f}]"
    return f"{entry['mean']:.3f}{bounds}"


def line_table(
    entries: Iterable[dict[str, Any]], column: str, title: str, cell: Callable[[dict[str, Any]], str]
) -> tuple[list[str], list[list[str]]]:
    """Header and lines of a table on screen: a line of the summary each, beside it `cell(entry)` by `entry[column]`.

    title: format of a column's title.
    """
    listed = list(entries)
    columns = sorted({entry[column] for entry in listed})
    lines: dict[Line, dict[Any, str]] = {}
    for entry in listed:
        line = (entry["model"], entry["protocol"], entry["label_fraction"])
        lines.setdefault(line, {})[entry[column]] = cell(entry)
    head = ["model", "protocol", "labels", *map(title.format, columns)]
    return head, [[m, p, f"{f:.0%}", *(cells.get(c, "") for c in columns)] for (m, p, f), cells in lines.items()]


def by_record(evaluation: Evaluation, line: Line) -> list[dict[str, Any]]:
    """One entry a test record: record, subject, n, counts {class: n}, and metrics as means over the line's seeds.

    Where a subject or a record is decided once, an entry is a subject, and `record` is its name: a table of single
    decisions would say nothing.
    Metrics: accuracy, macro_f1 over the record's own classes, f1_<class> where the record has the class; for
    numbers mae.
    """
    collected: dict[int, dict[str, Any]] = {}
    for row in evaluation.runs(*line):
        prediction = evaluation.predictions[row.key]
        people = evaluation.unit in AVERAGED and bool((prediction.subject >= 0).all())
        owner, names = (prediction.subject, evaluation.subjects) if people else (prediction.record, evaluation.records)
        for code in np.unique(owner):
            here = prediction.part(owner == code)
            entry = collected.setdefault(int(code), _head(evaluation, here, _name(names, int(code))))
            values = row_metrics(here, evaluation.classes)
            wanted = ("accuracy", "macro_f1", "mae")
            entry["metrics"].append({k: v for k, v in values.items() if k in wanted or k.startswith("f1_")})
    return [{**entry, "metrics": average(entry["metrics"])} for _, entry in sorted(collected.items())]


def without_largest(evaluation: Evaluation, line: Line, share: float = 0.5) -> list[dict[str, Any]]:
    """Metrics without the subject that holds more than `share` of a class, for each such class and fold.

    Entries: class, subject, fold, share (of the class's items), metrics as means over seeds.
    """
    out = []
    rows = evaluation.runs(*line)
    for fold in sorted({row.fold for row in rows}):
        predictions = [evaluation.predictions[row.key] for row in rows if row.fold == fold]
        first = predictions[0]
        truth = indicators(first.label, len(evaluation.classes))
        for c, name in enumerate(evaluation.classes):
            held = np.bincount(first.subject + 1, weights=truth[:, c])
            if not held.sum() or held.max() <= share * held.sum():
                continue
            largest = int(held.argmax()) - 1
            rest = [p.part(p.subject != largest) for p in predictions]
            if not len(rest[0].label):
                continue
            metrics = average([row_metrics(p, evaluation.classes) for p in rest])
            subject = _name(evaluation.subjects, largest)
            out.append(
                {
                    "class": name,
                    "subject": subject,
                    "fold": fold,
                    "share": float(held.max() / held.sum()),
                    "metrics": metrics,
                }
            )
    return out


def confusion(evaluation: Evaluation, line: Line) -> np.ndarray:
    """[true class, predicted class] mean count over the line's rows; for multi-label tasks [class, 2, 2].

    Empty where numbers are predicted.
    """
    from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix

    if not evaluation.classes:
        return np.zeros((0, 0))
    total = []
    for row in evaluation.runs(*line):
        p = evaluation.predictions[row.key]
        if p.label.ndim == 2:
            total.append(multilabel_confusion_matrix(p.label, decide(p.probability, True)))
        else:
            codes = np.arange(len(evaluation.classes))
            total.append(confusion_matrix(p.label, decide(p.probability, False), labels=codes))
    return np.mean(total, axis=0)


def _head(evaluation: Evaluation, part: Prediction, name: str) -> dict[str, Any]:
    counts = indicators(part.label, len(evaluation.classes)).sum(axis=0).astype(int)[: len(evaluation.classes)]
    return {
        "record": name,
        "subject": _name(evaluation.subjects, int(part.subject[0])),
        "n": len(part.label),
        "counts": dict(zip(evaluation.classes, counts.tolist(), strict=True)),
        "metrics": [],
    }


def _name(names: tuple[str, ...], code: int) -> str:
    return names[code] if code >= 0 else ""
