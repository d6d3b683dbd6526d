"""Everything that ranked, side by side: rankers without training, models alone and blended, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .bootstrap import Bootstrap
from .rows import Evaluation

METRICS = ("ndcg@20", "recall@20")


def ranking_table(evaluation: Evaluation, resamples: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """One entry a ranker and metric; [] for other tasks.

    Entries: name, metric, mean, ci_low, ci_high, n, validation (what choices were made by), weight (of the model in a
    blend, None elsewhere), change, change_low, change_high (paired difference to the best ranker without training).
    Bounds: 95 % bootstrap over subjects.
    """
    if not evaluation.ranked:
        return []
    every = by_ranker(evaluation)
    best = next((name for name, row, _ in evaluation.ranked if row.model == "hand-features"), evaluation.ranked[0][0])
    bootstrap, entries = Bootstrap(every, resamples, seed), []
    choices = {(name, *row.key[1:]): evaluation.choices[row.key] for name, row, _ in evaluation.ranked}
    for line in every.lines():
        runs = every.runs(*line)
        chosen = [choices[row.key] for row in runs]
        weights = [choice["weight"] for choice in chosen if "weight" in choice]
        for metric in (m for m in METRICS if all(m in row.metrics for row in runs)):
            entry = {"name": line[0], "metric": metric, **bootstrap.interval(line, metric).plain(), "n": len(runs)}
            entry["validation"] = float(np.mean([choice["validation"] for choice in chosen]))
            entry["weight"] = float(np.mean(weights)) if weights else None
            if line[0] != best:
                difference = bootstrap.difference(line, (best, *line[1:]), metric)
                entry |= difference.plain("change", "change_low", "change_high")
            entries.append(entry)
    return entries


def by_ranker(evaluation: Evaluation) -> Evaluation:
    """The evaluation with a row for everything that ranks, whose model is the ranker's name."""
    named = [(replace(row, model=name), prediction) for name, row, prediction in evaluation.ranked]
    return replace(evaluation, rows=[row for row, _ in named], predictions={row.key: found for row, found in named})


def ranking_lines(entries: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the table on screen: one a ranker, best by validation last."""
    metrics = [metric for metric in METRICS if any(e["metric"] == metric for e in entries)]
    named: dict[str, dict[str, dict[str, Any]]] = {}
    for entry in entries:
        named.setdefault(entry["name"], {})[entry["metric"]] = entry
    lines = []
    for name, found in sorted(named.items(), key=lambda item: next(iter(item[1].values()))["validation"]):
        first = found[metrics[0]]
        weight = "" if first["weight"] is None else f"{first['weight']:.2f}"
        lines.append([name, weight, f"{first['validation']:.4f}", *(_cell(found[m]) for m in metrics), _change(first)])
    return ["ranker", "weight", "validation", *metrics, f"change of {metrics[0]}"], lines


def _cell(entry: dict[str, Any]) -> str:
    return f"{entry['mean']:.4f} [{entry['ci_low']:.4f}, {entry['ci_high']:.4f}]"


def _change(entry: dict[str, Any]) -> str:
    if "change" not in entry:
        return ""
    return f"{entry['change']:+.4f} [{entry['change_low']:+.4f}, {entry['change_high']:+.4f}]"
