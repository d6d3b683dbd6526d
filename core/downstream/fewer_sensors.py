"""How much does a trained model need its sensors? Test records once more, without some of them.

- Every row's own trained model scores the test side again, with `evaluate.drop_sensors` sensors taken away from each
  recording at random; nothing is fitted anew, and hand features are computed from what is left.
- Each number of lost sensors is drawn several times (`evaluate.sensor_draws`). A score is the mean over draws, with the
  worst draw beside it. The change against all sensors is paired: the same subjects, models and resamples.
- A record that cannot be read with so few sensors is not scored; the share of such decisions is `missing`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import Recipe
from ..errors import InputError
from ..modality import Modality, SensorLoss, Source
from .bootstrap import Bootstrap
from .rows import Evaluation, Row
from .scoring import row_metrics
from .tables import line_table

if TYPE_CHECKING:
    from ..data.splits import Split
    from ..data.store import WindowStore

METRICS = ("auroc", "balanced_accuracy", "macro_f1", "auprc", "mae", "spearman")


@dataclass(frozen=True, eq=False)
class FewerSensors:
    """Windows of the test records after a loss of sensors."""

    loss: SensorLoss
    store: WindowStore


def check_drop_sensors(recipe: Recipe) -> None:
    """Raise InputError for numbers that mean nothing."""
    asked = recipe.evaluate
    for key, value in (("drop_sensors", min(asked.drop_sensors, default=1)), ("sensor_draws", asked.sensor_draws)):
        if value < 1:
            raise InputError("must be positive", field=f"evaluate.{key}", got=value)


def without_sensors(
    recipe: Recipe, modality: Modality, sources: Iterable[Source], store: WindowStore, split: Split
) -> list[FewerSensors]:
    """Windows of the test records of a split for every loss that the recipe asks for, through the cache."""
    from ..data.store import WindowStore

    codes = np.unique(store.record_code[split.windows(store, "test")])
    tested = {store.records[code] for code in codes if code >= 0}
    kept = [source for source in sources if source.record in tested]
    found = []
    for dropped in sorted(set(recipe.evaluate.drop_sensors)):
        for draw in range(recipe.evaluate.sensor_draws):
            loss = SensorLoss(dropped, draw)
            losing = [replace(source, sensor_loss=loss) for source in kept]
            try:
                made = WindowStore.prepare(modality, losing, store.task, recipe.data.cache, recipe.data.jobs)
            except InputError as error:  # too few sensors for any record; what was trained meanwhile is not lost
                warnings.warn(f"nothing is scored without {dropped} sensors (draw {draw}): {error}", stacklevel=2)
            else:
                found.append(FewerSensors(loss, made))
    return found


def sensor_curve(evaluation: Evaluation, resamples: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """One entry a line of the summary, number of lost sensors and metric; [] where no loss was tested.

    Entries: model, protocol, label_fraction, metric, dropped, mean, ci_low, ci_high, change, change_low, change_high,
    worst, missing, n. mean: over seeds, folds and draws, n of them. change: mean minus that with all sensors. Bounds:
    95 % bootstrap over subjects, paired for the change. worst: mean of the worst draw. missing: see above.
    """
    if not evaluation.fewer:
        return []
    rows, predictions = list(evaluation.rows), dict(evaluation.predictions)
    draws = sorted({loss.draw for _, loss in evaluation.fewer})
    for (key, loss), prediction in evaluation.fewer.items():
        model, protocol, fraction, number, fold = key
        # a line of its own; runs of a line are told apart by their seed
        again = Row(model, _named(protocol, loss.dropped), fraction, number * len(draws) + draws.index(loss.draw), fold,
                    row_metrics(prediction, evaluation.classes))  # fmt: skip
        rows.append(again)
        predictions[again.key] = prediction
    both = replace(evaluation, rows=rows, predictions=predictions)
    bootstrap = Bootstrap(both, resamples, seed)
    entries = []
    for line in evaluation.lines():
        model, protocol, fraction = line
        for dropped in sorted({loss.dropped for _, loss in evaluation.fewer}):
            lost = (model, _named(protocol, dropped), fraction)
            head = {"model": model, "protocol": protocol, "label_fraction": fraction}
            runs = both.runs(*lost)
            for metric in (m for m in METRICS if any(m in row.metrics for row in runs)):
                entries.append(
                    {
                        **head, "metric": metric, "dropped": dropped,
                        **bootstrap.interval(lost, metric).plain(),
                        **bootstrap.difference(lost, line, metric).plain("change", "change_low", "change_high"),
                        "worst": _worst(runs, metric, len(draws)),
                        "missing": _missing(evaluation, line, dropped), "n": len(runs),
                    }
                )  # fmt: skip
    return entries


def curve_table(curve: list[dict[str, Any]], metric: str) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the table on screen: the change of a metric with so many sensors lost, its worst draw."""
    return line_table([e for e in curve if e["metric"] == metric], "dropped", "without {}", _cell)


def _cell(entry: dict[str, Any]) -> str:
    if entry["change_low"] is None:
        return f"{entry['mean']:.3f} ({entry['change']:+.3f})"
    return f"{entry['mean']:.3f} ({entry['change']:+.3f} [{entry['change_low']:+.3f}, {entry['change_high']:+.3f}])"


def _named(protocol: str, dropped: int) -> str:
    return f"{protocol} without {dropped}"


def _worst(runs: list[Row], metric: str, draws: int) -> float:
    by_draw: dict[int, list[float]] = {}
    for row in runs:
        if metric in row.metrics:
            by_draw.setdefault(row.seed % draws, []).append(row.metrics[metric])
    return float(min(np.mean(values) for values in by_draw.values()))


def _missing(evaluation: Evaluation, line: tuple[str, str, float], dropped: int) -> float:
    """Share of the decisions with all sensors that could not be made with fewer."""
    made = [
        len(prediction.label) / len(evaluation.predictions[key].label)
        for (key, loss), prediction in evaluation.fewer.items()
        if key[:3] == line and loss.dropped == dropped
    ]
    return 1.0 - float(np.mean(made))
