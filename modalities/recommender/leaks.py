"""What a split lets slip: numbers, and the same in plain sentences.

In a recommender split people are on both sides on purpose, so "disjoint by subject" is not the question. The questions
are whether a tested pair was learned from, whether the future of others was, and who cannot be served at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .interactions import Interactions, in_sorted
from .splits import InteractionSplit


@dataclass(frozen=True)
class LeakReport:
    """overlap: pairs of one part that an earlier one has. later: share of train that happened after a tested
    interaction, on average over them; None without times. late_users: share of tested users with an own train
    interaction after a tested one. cold_users, cold_items: tested ones that are not learned from. cold_pairs: share of
    test that falls on cold items. merged: repeated pairs that were made one.
    """

    overlap: int
    later: float | None
    late_users: float | None
    cold_users: int
    cold_items: int
    cold_pairs: float
    merged: int

    def sentences(self) -> list[str]:
        """One sentence for each thing that a reader of scores should know; empty when there is none."""
        said = []
        if self.overlap:
            said.append(f"{self.overlap} tested pairs were learned from: scores are too high.")
        if self.later:
            said.append(
                f"{self.later:.0%} of what is learned happened after what is tested, on average: what others did later "
                "tells of trends that nobody could know then; a cut in time has no such help."
            )
        if self.late_users:
            said.append(
                f"{self.late_users:.0%} of tested users are asked for something that came before what is learned."
            )
        if self.cold_users:
            said.append(
                f"{self.cold_users} tested users have no history and are not in the table: all that can be done is to "
                "show them what is popular, as `omnipatch recommend` does."
            )
        if self.cold_items:
            said.append(
                f"{self.cold_items} tested items were taken by nobody before ({self.cold_pairs:.1%} of test): "
                "models of ids cannot find them."
            )
        if self.merged:
            said.append(f"{self.merged} repeated pairs were made one, the last of each was kept.")
        return said


def leak_report(split: InteractionSplit) -> LeakReport:
    """Look at a split as it will be learned from (train and validation) and tested."""
    train, test = split.everything_but_test, split.test
    before = split.before_test
    overlap = in_sorted(test.keys, train.keys).sum() + in_sorted(split.validation.keys, split.train.keys).sum()
    cold_item = train.item_degree == 0
    later = late_users = None
    if train.time is not None and test.time is not None:
        later = float(1 - np.searchsorted(np.sort(train.time), test.time, side="right").mean() / len(train))
        late_users = _late_users(before, test)
    tested = test.user_degree > 0
    return LeakReport(
        overlap=int(overlap),
        later=later,
        late_users=late_users,
        cold_users=int((tested & (before.user_degree == 0)).sum()),
        cold_items=int((cold_item & (test.item_degree > 0)).sum()),
        cold_pairs=float(cold_item[test.indices].mean()),
        merged=split.train.merged + split.validation.merged + test.merged,
    )


def _late_users(train: Interactions, test: Interactions) -> float:
    """Share of tested users whose last train interaction is later than their first tested one."""
    assert train.time is not None
    assert test.time is not None
    last, first = np.full(train.n_users, -np.inf), np.full(train.n_users, np.inf)
    np.maximum.at(last, train.user, train.time)
    np.minimum.at(first, test.user, test.time)
    tested = test.user_degree > 0
    return float((last > first)[tested].mean())
