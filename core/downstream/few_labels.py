"""What a few labels are worth: every row once more, trained on so many labelled items of each class and no others.

- An item is what the task decides about: a beat, a recording with all its windows, or a person with all recordings.
- Items are drawn at random from the training and validation side, several times; smaller numbers are a part of larger
  ones, and all models of a draw learn from the same items. Nothing is left over to choose settings on: each protocol
  takes its defaults.
- Pretraining is that of the run: it needs no labels. What differs between models is what they knew beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .records import decision_of
from .rows import Evaluation
from .summary import summarise_all
from .tables import bracketed
from .targets import indicators_given

if TYPE_CHECKING:
    from ..data.items import Items

METRICS = ("accuracy", "auroc", "balanced_accuracy", "macro_f1")


def draw_labels(items: Items, chosen: np.ndarray, per_class: int, seed: int) -> np.ndarray:
    """Those of the chosen items that belong to `per_class` random decisions of each class, in their order.

    Where something is given: of each class under each of it. All there are of a class that has fewer. Nested in
    `per_class` for one seed; where several classes may hold at once, a decision counts for each of its own.
    """
    owner = decision_of(items, chosen)
    truth = indicators_given(items.label[chosen], items.given[chosen], len(items.classes), items.models) > 0
    drawn: set[int] = set()
    for c in range(truth.shape[1]):
        having = np.unique(owner[truth[:, c]])
        drawn.update(np.random.default_rng((seed, c)).permutation(having)[:per_class].tolist())
    return chosen[np.isin(owner, sorted(drawn))]


def few_labels_table(evaluation: Evaluation, resamples: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """One entry a line of the summary, number of labels and metric; [] where none was asked for.

    Entries: model, protocol, labels_per_class, metric, mean, ci_low, ci_high, n, and of the pretrained lines change,
    change_low, change_high: paired difference to its control. Means are over draws and folds, n of them. Bounds: 95 %
    bootstrap over subjects.
    """
    entries = []
    for per_class, found in evaluation.few.items():
        lines, differences = summarise_all(found, resamples, seed)
        changes = {(d["protocol"], d["metric"]): d for d in differences}
        for line in (line for line in lines if line["metric"] in METRICS):
            entry = {name: line[name] for name in ("model", "protocol", "metric", "mean", "ci_low", "ci_high", "n")}
            entry["labels_per_class"] = per_class
            change = changes.get((line["protocol"], line["metric"])) if line["model"] == "pretrained" else None
            if change is not None:
                entry |= {"control": change["control"], "change": change["mean"]}
                entry |= {"change_low": change["ci_low"], "change_high": change["ci_high"]}
            entries.append(entry)
    return entries


def few_labels_lines(table: Sequence[dict[str, Any]], metric: str) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the table on screen: a metric of each line at each number of labels."""
    numbers = sorted({entry["labels_per_class"] for entry in table})
    cells: dict[tuple[str, str], dict[int, str]] = {}
    for e in (e for e in table if e["metric"] == metric):
        cells.setdefault((e["model"], e["protocol"]), {})[e["labels_per_class"]] = bracketed(e)
    head = ["model", "protocol", *map(label_words, numbers)]
    return head, [[m, p, *(of.get(n, "") for n in numbers)] for (m, p), of in cells.items()]


def label_words(per_class: int) -> str:
    """How so many labels are called in tables."""
    return f"{per_class} label{'s' * (per_class > 1)} a class"
