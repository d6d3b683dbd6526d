"""From rows to the summary of `results.json`: means with intervals, and paired differences between models."""

from __future__ import annotations

from typing import Any

from .bootstrap import Bootstrap
from .rows import Evaluation

# what pretraining must beat: the same encoder untrained under the same protocol; the same schedule from scratch
CONTROLS = {
    "knn": "random-init", "linear": "random-init", "layers": "random-init", "attentive": "random-init",
    "finetune": "scratch", "lora": "scratch", "semi": "scratch", "side": "scratch", "ranking": "random-init",
}  # fmt: skip


def summarise(evaluation: Evaluation, resamples: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """One entry a line and metric: model, protocol, label_fraction, metric, mean, ci_low, ci_high, n.

    mean: over seeds and folds. ci_low, ci_high: 95 % subject-level bootstrap interval, None when undefined.
    n: rows averaged (seeds times folds).
    """
    return _Summary(evaluation, resamples, seed).lines()


def differences(evaluation: Evaluation, resamples: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """Pretrained minus its control, paired over subjects.

    Entries: protocol, control, label_fraction, metric, mean, ci_low, ci_high.
    """
    return _Summary(evaluation, resamples, seed).differences()


def summarise_all(evaluation: Evaluation, resamples: int = 1000, seed: int = 0) -> tuple[list[dict], list[dict]]:
    """`summarise` and `differences` from one set of resamples."""
    summary = _Summary(evaluation, resamples, seed)
    return summary.lines(), summary.differences()


class _Summary:
    def __init__(self, evaluation: Evaluation, resamples: int, seed: int) -> None:
        self.evaluation, self.bootstrap = evaluation, Bootstrap(evaluation, resamples, seed)

    def lines(self) -> list[dict[str, Any]]:
        out = []
        for line in self.evaluation.lines():
            rows = self.evaluation.runs(*line)
            model, protocol, fraction = line
            for metric in _metrics(rows):
                head = {"model": model, "protocol": protocol, "label_fraction": fraction, "metric": metric}
                out.append({**head, **self.bootstrap.interval(line, metric).plain(), "n": len(rows)})
        return out

    def differences(self) -> list[dict[str, Any]]:
        lines, out = self.evaluation.lines(), []
        for line in lines:
            model, protocol, fraction = line
            control = CONTROLS.get(protocol)
            if model != "pretrained" or (control, protocol, fraction) not in lines:
                continue
            other = (str(control), protocol, fraction)
            for metric in _metrics(self.evaluation.runs(*line)):
                head = {"protocol": protocol, "control": control, "label_fraction": fraction, "metric": metric}
                out.append({**head, **self.bootstrap.difference(line, other, metric).plain()})
        return out


def _metrics(rows) -> list[str]:
    return list(dict.fromkeys(metric for row in rows for metric in row.metrics))
