"""What a run says beside its table of results: each a list of entries under a name of its own in `results.json`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..config import EvaluateConfig
from .covariates import over_covariates
from .falls import occlusion_table
from .few_labels import few_labels_lines, few_labels_table
from .fewer_sensors import curve_table, sensor_curve
from .layers import layer_table
from .leak import leak_table
from .longer import decisions_table, longer_table
from .pooled import pooled_table
from .rows import Evaluation
from .tables import line_table

Shown = tuple[str, list[str], list[list[str]]]  # title, header and lines of a table on screen

_TABLES = {
    "pooled": pooled_table,
    "few_labels": few_labels_table,
    "covariates": over_covariates,
    "fewer_sensors": sensor_curve,
    "longer_decisions": longer_table,
    "occlusion": occlusion_table,
    "subject_leak": leak_table,
    "layer_weights": layer_table,
}


def further_results(evaluation: Evaluation, config: EvaluateConfig, seed: int) -> dict[str, Any]:
    """{name: entries} of everything that was asked for and found."""
    made = {name: table(evaluation, config.bootstrap, seed) for name, table in _TABLES.items()}
    return {name: entries for name, entries in made.items() if entries}


def further_tables(results: dict[str, Any], metrics: list[str]) -> Iterator[Shown]:
    """Tables on screen. metrics: those of the table of results, the one that the headline speaks of first."""
    from ..console import interval
    from ..report.words import metric_label

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
