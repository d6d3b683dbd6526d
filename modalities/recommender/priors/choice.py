"""Options of a prior, chosen on validation; test is never looked at here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..evaluation import evaluate, evaluation_users
from ..splits import InteractionSplit
from .scorer import HistoryScorer, Prior

METRIC = "ndcg@20"
MOST_USERS = 3000  # that a choice is made by; more would only take longer


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

    Of many users some are drawn, the same for all options. Fit `Chosen.prior` on `split.everything_but_test` before
    testing: what was chosen needs no part of its own.
    """
    users = evaluation_users(split.validation)
    if len(users) > MOST_USERS:
        users = np.sort(np.random.default_rng(0).choice(users, MOST_USERS, replace=False))
    best: tuple[float, Prior, HistoryScorer] | None = None
    trials = []
    for options in grid or kind.grid:
        prior = kind(**options)
        scorer = prior.fit(split.train)
        found = evaluate(scorer, split.train, split.validation, (int(metric.split("@")[1]),), users).metrics
        trials.append((options, found))
        if best is None or found[metric] > best[0]:
            best = (found[metric], prior, scorer)
    assert best is not None  # a grid has an entry
    return Chosen(best[1], trials, best[2])
