"""Options of a prior, chosen on validation; test is never looked at here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..evaluation import evaluate
from ..splits import InteractionSplit
from .scorer import HistoryScorer, Prior

METRIC = "ndcg@20"


@dataclass(frozen=True, eq=False)
class Chosen:
    """prior: with the best options. trials: (options, validation metrics) of all, in order of the grid. fitted: the
    best one as it was fitted on train alone, for whoever chooses something else on validation.
    """

    prior: Prior
    trials: Sequence[tuple[Mapping[str, Any], Mapping[str, float]]]
    fitted: HistoryScorer


def choose(
    kind: type[Prior],
    split: InteractionSplit,
    metric: str = METRIC,
    grid: Sequence[Mapping[str, Any]] | None = None,
) -> Chosen:
    """The options of a prior that are best on the validation part when fitted on the train part.

    Fit `Chosen.prior` on `split.everything_but_test` before testing: what was chosen needs no part of its own.
    """
    best: tuple[float, Prior, HistoryScorer] | None = None
    trials = []
    for options in grid or kind.grid:
        prior = kind(**options)
        scorer = prior.fit(split.train)
        found = evaluate(scorer, split.train, split.validation, ks=(int(metric.split("@")[1]),)).metrics
        trials.append((options, found))
        if best is None or found[metric] > best[0]:
            best = (found[metric], prior, scorer)
    assert best is not None  # a grid has an entry
    return Chosen(best[1], trials, best[2])
