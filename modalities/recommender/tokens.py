"""A history as patches: an item each, and what surrounds it: whose it is, and that person's friends.

Coordinates of an item, both counted from the newest one that is shown
- `steps_back`: how many items came after it.
- `log2_hours_back`, where time is read: log2(1 + hours). A step is a doubling, since an hour more or less tells much of
  yesterday and nothing of last year: a sitting lies below 2, a day at 4.6, a month at 9.5, a year at 13.1.

When somebody will be asked is not known, so a ranking is for the moment of the newest item: the place that comes next
(`cloze`) lies at zero hours back, one step ahead of it.
"""

from __future__ import annotations

import numpy as np
import torch

from ...core.sequence import PatchSequence, SequenceSpec
from .catalogue import Catalogue

AXES = ("steps_back", "log2_hours_back")


def spec_of(catalogue: Catalogue, people: bool, timed: bool = False) -> SequenceSpec:
    """people: whether patches tell whose a history is; they do anyway where the catalogue knows relations of people.

    timed: whether time is an axis. Each kind has an id column of its own. People fill two: themselves and friends are
    known by different numbers.
    """
    items, known = catalogue.known.shape
    kinds, vocabulary, numbers = ["item"], [items], [known]
    if people or catalogue.people is not None:
        count, own = (1, 1) if catalogue.known_people is None else catalogue.known_people.shape  # nobody is known yet
        kinds, vocabulary, numbers = [*kinds, "person"], [*vocabulary, count], [*numbers, own]
    if catalogue.known_friends is not None:
        count, own = catalogue.known_friends.shape
        kinds, vocabulary, numbers = [*kinds, "friend"], [*vocabulary, count], [*numbers, own]
    return SequenceSpec(
        axes=AXES[: 1 + timed], patch_shape=(1,), kinds=tuple(kinds), vocabulary=tuple(vocabulary),
        known_of_ids=tuple(numbers), kind_columns=tuple(range(len(kinds))) if len(kinds) > 1 else (),
    )  # fmt: skip


def patches_of(
    spec: SequenceSpec,
    catalogue: Catalogue,
    items: np.ndarray,
    ordered: bool,
    person: int,
    hours: np.ndarray | None = None,
) -> PatchSequence:
    """One row. Of an item, its place counts back from the newest where there is an order, its group is itself.

    items: [k] codes. person: code, -1 = somebody new, of whom nothing else is told. hours: [k] when each was taken,
    read where the spec has an axis for it; see `hours_back`.
    """
    friends = catalogue.friends_of(person)
    told = [items, np.array([person] if person >= 0 else [], np.int64), friends][: len(spec.kinds)]
    kind = np.repeat(np.arange(len(told)), [len(ids) for ids in told])
    ids = np.zeros((len(kind), len(spec.vocabulary)), np.int64)
    ids[np.arange(len(kind)), kind] = np.concatenate(told)
    back = np.zeros((len(kind), len(spec.axes)), np.float32)
    if ordered:
        back[: len(items), 0] = np.arange(len(items))[::-1]
        if len(spec.axes) > 1 and hours is not None:
            back[: len(items), 1] = np.log2(1 + hours_back(hours))
    group = ids.sum(axis=1) + np.where(kind == 0, 0, len(catalogue))  # patches of all kinds can be told apart
    row = [torch.from_numpy(array)[None] for array in (back, ids, kind, group)]
    return PatchSequence.build(spec, row[0], ids=row[1], kind=row[2], group=row[3])


def hours_back(hours: np.ndarray) -> np.ndarray:
    """[k] float hours before the newest, of moments that run from old to new. An unknown moment (NaN) counts as the
    next later one that is known, the newest as now."""
    back = np.fmax.accumulate((np.fmax.reduce(hours, initial=-np.inf) - hours)[::-1])[::-1]
    return np.nan_to_num(back, nan=0.0)
