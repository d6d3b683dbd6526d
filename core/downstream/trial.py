"""One trial: what a protocol may see, and which subjects' labels it may use.

- Labels of the test side are erased before any protocol runs, so no protocol can select on them.
- A label fraction is a share of *subjects*, those of the training and the validation side together: where nothing is
  chosen on validation subjects they train too, and one of each side would be far more than a tenth of ten people. The
  subsets are nested: fewer labels are always a part of more, so a learning curve compares like with like.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..data.numbers import is_number
from .metrics import selection_score
from .records import per_decision
from .targets import class_weights, indicators_given, is_multilabel

if TYPE_CHECKING:
    from ..data.items import Items
    from ..data.splits import Split
    from ..data.store import WindowStore


@dataclass(frozen=True, eq=False)
class Trial:
    """Items of a fold under one label fraction and seed.

    Labels that are numbers are best learned `standardised`; `restored` brings predictions back.

    items: all items, labels of the test side erased (-1 or NaN).
    train, validation, test: [k] int64 indices of items; disjoint by subject. `validation` may be empty.
    pool: [k] int64, items of the training and validation side whose labels are not to be used; () = none.
    centre, spread: [given] what was subtracted from numbers, and by what they were divided then.
    """

    items: Items
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    seed: int = 0
    pool: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    centre: np.ndarray = field(default_factory=lambda: np.zeros(1, np.float32))
    spread: np.ndarray = field(default_factory=lambda: np.ones(1, np.float32))

    @classmethod
    def of(cls, store: WindowStore, split: Split, seed: int = 0) -> Trial:
        """All labels of a split's training and validation side; raises InputError when nothing is labelled."""
        items = store.items()
        sides = {side: split.items(items, store, side) for side in ("train", "validation", "test")}
        return cls(hide_labels(items, sides["test"]), **sides, seed=seed)

    @property
    def classes(self) -> int:
        return 1 if self.numeric else len(self.items.classes)

    @property
    def numeric(self) -> bool:
        """Whether labels are numbers."""
        return is_number(self.items.label)

    @property
    def multilabel(self) -> bool:
        return is_multilabel(self.items.label)

    @property
    def learnable(self) -> np.ndarray:
        """Training and validation items: what is fitted once every choice is made."""
        return np.sort(np.concatenate([self.train, self.validation]))

    @property
    def unlabelled(self) -> np.ndarray:
        """What is learned from without its labels: the pool, or where there is none the learnable items again."""
        return self.pool if len(self.pool) else self.learnable

    @property
    def parts(self) -> list[Trial]:
        """A trial of the items of each thing given alone, by its code; itself where nothing is."""
        if self.items.models == 1:
            return [self]
        return [self._of_given(code) for code in range(self.items.models)]

    def standardised(self) -> Trial:
        """The same with numbers in standard deviations from the mean of the learnable ones, under each thing given."""
        if not self.numeric or not len(self.learnable):
            return self
        label, models = self.items.label, self.items.models
        centre = np.full(models, label[self.learnable].mean(), np.float32)
        spread = np.full(models, label[self.learnable].std(), np.float32)
        for code, part in enumerate(self.parts):
            if len(part.learnable):
                own = label[part.learnable]
                centre[code], spread[code] = own.mean(), own.std()
        spread[spread < 1e-6] = 1.0  # all the same: there is no unit to measure in
        given = self.items.given
        items = dataclasses.replace(self.items, label=(label - centre[given]) / spread[given])
        return dataclasses.replace(self, items=items, centre=centre, spread=spread)

    def restored(self, prediction: np.ndarray) -> np.ndarray:
        """What is said of the test items [item, 1] in the unit of the labels; probabilities stay."""
        if not self.numeric or len(self.centre) < self.items.models:
            return prediction
        given = self.items.given[self.test]
        return prediction * self.spread[given, None] + self.centre[given, None]

    def score(self, probability: np.ndarray) -> float:
        """How good [validation item, class] probabilities are, for choosing (larger is better).

        The mean over what is given.
        """
        label, probability, item = per_decision(self.items, self.validation, probability)
        given = self.items.given[item]
        parts = (given == code for code in np.unique(given))
        return float(np.mean([selection_score(label[p], probability[p], self.items.classes) for p in parts]))

    def weights(self, chosen: np.ndarray, scheme: str) -> np.ndarray:
        """[class] loss weights from the chosen items' labels."""
        return class_weights(self.items.label[chosen], self.classes, scheme)

    def _of_given(self, code: int) -> Trial:
        given = self.items.given
        sides = {side: getattr(self, side) for side in ("train", "validation", "test")}
        return dataclasses.replace(self, **{side: index[given[index] == code] for side, index in sides.items()})


def hide_labels(items: Items, hidden: np.ndarray) -> Items:
    """A copy of the items in which `hidden` have no label."""
    label = items.label.copy()
    label[hidden] = np.nan if is_multilabel(label) or is_number(label) else -1
    return dataclasses.replace(items, label=label)


def subject_order(items: Items, chosen: np.ndarray, seed: int) -> np.ndarray:
    """The subjects of the chosen items in the order in which they join growing label fractions.

    Random by seed, except that the next subject is always one that brings the most classes not yet seen, so that few
    subjects hold as many classes as possible, each under everything that is given.
    """
    subjects = np.unique(items.subject[chosen])
    truth = indicators_given(items.label[chosen], items.given[chosen], len(items.classes), items.models) > 0
    holds = {s: truth[items.subject[chosen] == s].any(axis=0) for s in subjects}
    waiting = list(np.random.default_rng(seed).permutation(subjects))
    seen = np.zeros(truth.shape[1], bool)
    order = []
    while waiting:
        new = [int((holds[s] & ~seen).sum()) for s in waiting]
        order.append(waiting.pop(int(np.argmax(new))))
        seen |= holds[order[-1]]
    return np.array(order, dtype=subjects.dtype)


def label_subset(
    items: Items, train: np.ndarray, validation: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Items of the training and the validation side that belong to a `fraction` of the subjects of both together.

    At least one subject is left, on the training side, which must not be empty; validation keeps its share of them as
    far as whole subjects allow. A subject on both sides, as a split by record has them, is one. Nested in `fraction`
    for one seed.
    """
    if fraction >= 1.0:
        return train, validation
    learners = subject_order(items, train, seed)
    judges = subject_order(items, validation[~np.isin(items.subject[validation], learners)], seed)
    subjects = len(learners) + len(judges)
    count = subjects_kept(subjects, fraction)
    judging = min(int(count * len(judges) / subjects + 0.5), count - 1)
    kept = np.concatenate([learners[: count - judging], judges[:judging]])
    return train[np.isin(items.subject[train], kept)], validation[np.isin(items.subject[validation], kept)]


def subjects_kept(subjects: int, fraction: float) -> int:
    """How many of so many subjects a share of the labels is."""
    return max(1, int(fraction * subjects + 0.5))


def thin(items: Items, chosen: np.ndarray, most: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """At most about `most` items a class, and the number of items each one stands for.

    Common classes have more items than a kNN bank or a convex fit needs. Each subject keeps the same share of a common
    class, so nobody is lost. Multi-label items and numbers are thinned as one class.
    """
    one = is_multilabel(items.label) or is_number(items.label)
    label = np.zeros(len(chosen), np.int64) if one else items.label[chosen]
    strata = label * (items.subject.max(initial=0) + 2) + items.subject[chosen] + 1
    rng = np.random.default_rng(seed)
    kept, stands_for = [], []
    sizes = np.bincount(label)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        share = min(1.0, most / sizes[label[members[0]]])
        take = max(1, int(share * len(members) + 0.5))
        kept.append(rng.choice(members, take, replace=False))
        stands_for.append(np.full(take, len(members) / take))
    index = np.concatenate(kept)
    order = np.argsort(index)
    return chosen[index[order]], np.concatenate(stands_for)[order].astype(np.float32)
