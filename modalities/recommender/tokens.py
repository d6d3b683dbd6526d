"""A history as patches: an item each, and what surrounds it: whose it is, and that person's friends."""

from __future__ import annotations

import numpy as np
import torch

from ...core.sequence import PatchSequence, SequenceSpec
from .catalogue import Catalogue

AXES = ("steps_back",)


def spec_of(catalogue: Catalogue, people: bool) -> SequenceSpec:
    """people: whether patches tell whose a history is; they do anyway where the catalogue knows relations of people.

    Each kind has an id column of its own. People fill two: themselves and friends are known by different numbers.
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
        axes=AXES, patch_shape=(1,), kinds=tuple(kinds), vocabulary=tuple(vocabulary), known_of_ids=tuple(numbers),
        kind_columns=tuple(range(len(kinds))) if len(kinds) > 1 else (),
    )  # fmt: skip


def patches_of(
    spec: SequenceSpec, catalogue: Catalogue, items: np.ndarray, ordered: bool, person: int
) -> PatchSequence:
    """One row. Of an item, its place counts steps back from the newest where there is an order, its group is itself.

    items: [k] codes. person: code, -1 = somebody new, of whom nothing else is told.
    """
    friends = catalogue.friends_of(person)
    told = [items, np.array([person] if person >= 0 else [], np.int64), friends][: len(spec.kinds)]
    kind = np.repeat(np.arange(len(told)), [len(ids) for ids in told])
    ids = np.zeros((len(kind), len(spec.vocabulary)), np.int64)
    ids[np.arange(len(kind)), kind] = np.concatenate(told)
    back = np.zeros(len(kind), np.float32)
    if ordered:
        back[: len(items)] = np.arange(len(items))[::-1]
    group = ids.sum(axis=1) + np.where(kind == 0, 0, len(catalogue))  # patches of all kinds can be told apart
    row = [torch.from_numpy(array)[None] for array in (back, ids, kind, group)]
    return PatchSequence.build(spec, row[0].unsqueeze(-1), ids=row[1], kind=row[2], group=row[3])
