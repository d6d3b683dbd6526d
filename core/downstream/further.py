"""What a run says beside its table of results: each a list of entries under a name of its own in `results.json`."""

from __future__ import annotations

from typing import Any

from ..config import EvaluateConfig
from .by_given import by_given_table
from .covariates import over_covariates
from .falls import occlusion_table
from .few_labels import few_labels_table
from .fewer_sensors import sensor_curve
from .layers import layer_table
from .leak import leak_table
from .longer import longer_table
from .pooled import pooled_table
from .ranking_table import ranking_table
from .rows import Evaluation

_TABLES = {
    "by_given": by_given_table,
    "pooled": pooled_table,
    "few_labels": few_labels_table,
    "covariates": over_covariates,
    "fewer_sensors": sensor_curve,
    "longer_decisions": longer_table,
    "occlusion": occlusion_table,
    "subject_leak": leak_table,
    "layer_weights": layer_table,
    "ranking": ranking_table,
}


def further_results(evaluation: Evaluation, config: EvaluateConfig, seed: int) -> dict[str, Any]:
    """{name: entries} of everything that was asked for and found."""
    made = {name: table(evaluation, config.bootstrap, seed) for name, table in _TABLES.items()}
    if config.ranking_negatives and evaluation.ranked:
        made["sampled_ranking"] = [{"negatives": config.ranking_negatives, "warning": evaluation.notes[0]}]
    return {name: entries for name, entries in made.items() if entries}
