"""Tables on screen below the table of results, from what `downstream.further` found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..console import interval
from ..downstream.by_given import by_given_lines
from ..downstream.few_labels import few_labels_lines
from ..downstream.fewer_sensors import curve_table
from ..downstream.longer import decisions_table
from ..downstream.ranking_table import ranking_lines
from ..downstream.tables import line_table
from .words import metric_label

Shown = tuple[str, list[str], list[list[str]]]  # title, header and lines of a table


def further_tables(results: dict[str, Any], metrics: list[str]) -> Iterator[Shown]:
    """metrics: those of the table of results, the one that the headline speaks of first."""
    if given := results.get("by_given"):
        title = f"{metric_label(metrics[0])} of each thing given by itself (in the table above: the mean over them):"
        yield title, *by_given_lines(given, metrics[0])
    if ranking := results.get("ranking"):
        among = " among drawn ids only" if results.get("sampled_ranking") else ""
        title = f"All that ranks{among}, by its score on validation (change: to the best without training):"
        yield title, *ranking_lines(ranking)
    if pooled := [entry for entry in results.get("pooled", ()) if entry["metric"] == "auroc"]:
        head, rows = line_table(pooled, "metric", "{}", interval)
        yield (
            "AUROC of all folds' decisions together (in the table above: within each fold, then averaged):",
            [*head[:-1], metric_label("auroc")],
            rows,
        )
    if few := results.get("few_labels"):
        yield f"{metric_label(metrics[0])} from few labels, mean over draws:", *few_labels_lines(few, metrics[0])
    if curve := results.get("fewer_sensors"):
        ranked = "auroc" if "auroc" in metrics else metrics[0]
        title = f"{metric_label(ranked)} of the same models on test records without so many of their sensors:"
        yield title, *curve_table(curve, ranked)
    if longer := results.get("longer_decisions"):
        decided = "balanced_accuracy" if "balanced_accuracy" in metrics else metrics[0]
        title = f"{metric_label(decided)} of decisions on longer stretches, several windows each:"
        yield title, *decisions_table(longer, decided)
