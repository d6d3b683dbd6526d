"""Which interactions are learned from, which choose, which test.

- Every split has a validation part: where the files give none, it is cut from train the way the test part looks
  (last ones where test is later, random ones otherwise). Nothing is ever chosen on test.
- Each user keeps at least one interaction in train, except under a cut in time, where a user may be new.
- What cannot be had is refused: an order where nothing says what came first, one date for users that share no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...core.errors import InputError, nearest
from .interactions import Interactions, in_sorted

KINDS = ("random", "leave-one-out", "time", "people", "given")
VALIDATION_SHARE = 0.1
SHOWN_SHARE = 0.8  # of the history of people who are held out; they are asked for the rest (Liang et al. 2018)


@dataclass(frozen=True, eq=False)
class InteractionSplit:
    """Three disjoint parts that share users and items.

    kind: one of KINDS. note: what a reader of scores should know. shown: where whole users are held out, the part of
    their histories that a model is shown and does not learn from; None elsewhere.
    """

    train: Interactions
    validation: Interactions
    test: Interactions
    kind: str
    note: str = ""
    shown: Interactions | None = None

    @property
    def everything_but_test(self) -> Interactions:
        """Train and validation: what a model may learn from once everything is chosen."""
        return self.train.add(self.validation)

    @property
    def before_test(self) -> Interactions:
        """What is known of everybody when the test asks."""
        known = self.everything_but_test
        return known if self.shown is None else known.add(self.shown)


def split_interactions(
    interactions: Interactions,
    kind: str = "random",
    test: float = 0.2,
    validation: float = VALIDATION_SHARE,
    seed: int = 0,
) -> InteractionSplit:
    """Cut interactions into three parts.

    kind: "random" = shares of each user; "leave-one-out" = the last of each user tests, the last but one chooses;
    "time" = one date for all; "people" = users are held out whole, shown the first `SHOWN_SHARE` of their histories and
    asked for the rest. test, validation: shares of all interactions, or of the users (no meaning for "leave-one-out").
    """
    if kind not in KINDS or kind == "given":
        raise InputError(f"unknown kind of split {kind!r}", field="split.kind", fix=nearest(kind, KINDS[:-1]))
    if not (0 < test < 1 and 0 < validation < 1 and test + validation < 1):
        raise InputError("shares leave nothing to learn from", field="split", got=f"{test}, {validation}")
    if kind == "people":
        return _checked(hold_out_people(interactions, test, validation, seed))
    if kind == "leave-one-out":
        rest, tested = hold_out_last(interactions)
        train, chosen = hold_out_last(rest)
    elif kind == "time":
        rest, tested = cut_in_time(interactions, test)
        train, chosen = cut_in_time(rest, validation / (1 - test))
    else:
        rest, tested = hold_out_random(interactions, test, seed)
        train, chosen = hold_out_random(rest, validation / (1 - test), seed + 1)
    return _checked(InteractionSplit(train, chosen, tested, kind))


def given_split(
    train: Interactions,
    test: Interactions,
    validation: Interactions | None = None,
    cut: str = "random",
    share: float = VALIDATION_SHARE,
    seed: int = 0,
) -> InteractionSplit:
    """Parts that were read from files; without `validation` a share of train is cut, by `cut` (see KINDS)."""
    if validation is not None:
        return _checked(InteractionSplit(train, validation, test, "given"))
    if cut == "leave-one-out":
        rest, chosen = hold_out_last(train)
    elif cut == "time":
        rest, chosen = cut_in_time(train, share)
    else:
        rest, chosen = hold_out_random(train, share, seed)
    return _checked(InteractionSplit(rest, chosen, test, "given", f"validation cut from train ({cut})"))


def hold_out_random(interactions: Interactions, share: float, seed: int) -> tuple[Interactions, Interactions]:
    """(kept, held out): of each user a share at random, rounded to the nearest number; at least one is kept."""
    degree = interactions.user_degree
    wanted = np.minimum(np.floor(share * degree + 0.5).astype(np.int64), np.maximum(degree - 1, 0))
    draw = np.random.default_rng(seed).random(len(interactions))
    order = np.lexsort((draw, interactions.user))
    return _hold_out(interactions, order, wanted)


def hold_out_last(interactions: Interactions) -> tuple[Interactions, Interactions]:
    """(kept, held out): the last of each user who has two or more."""
    return _hold_out(interactions, _latest_first(interactions), (interactions.user_degree > 1).astype(np.int64))


def hold_out_people(interactions: Interactions, test: float, validation: float, seed: int) -> InteractionSplit:
    """Users of train, of validation and of the test differ. Of the latter, the first `SHOWN_SHARE` of each history is
    shown, at least one interaction; a random one where nothing says what came first."""
    draw = np.random.default_rng(seed).permutation(interactions.n_users)
    tests, chooses = round(test * interactions.n_users), round(validation * interactions.n_users)
    side = np.where(draw < tests, 2, np.where(draw < tests + chooses, 1, 0))[interactions.user]
    held = interactions.keep(side > 0)
    if held.ordered:
        asked = np.floor((1 - SHOWN_SHARE) * held.user_degree + 0.5).astype(np.int64)
        wanted = np.minimum(asked, np.maximum(held.user_degree - 1, 0))
        shown, later = _hold_out(held, _latest_first(held), wanted)
    else:
        shown, later = hold_out_random(held, 1 - SHOWN_SHARE, seed + 1)
    tested = np.isin(later.user, np.unique(interactions.user[side == 2]))
    return InteractionSplit(
        interactions.keep(side == 0), later.keep(~tested), later.keep(tested), "people", shown=replace(shown, merged=0)
    )


def cut_in_time(interactions: Interactions, share: float) -> tuple[Interactions, Interactions]:
    """(before, after) one moment, so that about `share` lies after; what happened at the same time stays together."""
    if interactions.time is None:
        raise InputError(
            "one date for all needs times", field="split.kind", got="no time column",
            expected="a time a user shares with others", fix="use a random split or leave-one-out",
        )  # fmt: skip
    moment = np.quantile(interactions.time, 1 - share, method="lower")
    after = interactions.time > moment
    return _parted(interactions, after)


def _latest_first(interactions: Interactions) -> np.ndarray:
    """[interaction] users one after another, each from the last interaction to the first."""
    order = interactions.chronological()[::-1]  # users run backwards too
    return order[np.argsort(interactions.user[order], kind="stable")]


def _hold_out(interactions: Interactions, order: np.ndarray, wanted: np.ndarray) -> tuple[Interactions, Interactions]:
    """The first `wanted` [user] of each user in `order` [interaction], which has users one after another."""
    rank = np.arange(len(order)) - np.repeat(interactions.indptr[:-1], interactions.user_degree)
    out = np.zeros(len(order), bool)
    out[order] = rank < np.repeat(wanted, interactions.user_degree)
    return _parted(interactions, out)


def _parted(interactions: Interactions, out: np.ndarray) -> tuple[Interactions, Interactions]:
    """(kept, held out); what was merged is told of the first."""
    return interactions.keep(~out), replace(interactions.keep(out), merged=0)


def _checked(split: InteractionSplit) -> InteractionSplit:
    for name in ("train", "validation", "test"):
        part: Interactions = getattr(split, name)
        if not len(part):
            raise InputError(
                f"no interaction is left for {name}", field="split", got=f"{split.kind} split",
                expected="users with three interactions or more", fix="use more data, or another kind of split",
            )  # fmt: skip
    for other in (split.validation, split.test):
        if other.users.shape != split.train.users.shape or other.items.shape != split.train.items.shape:
            raise InputError("the parts do not share users and items", fix="read them together, `read_together`")
    # what was seen once must not be asked for again: a repeated pair belongs to the earlier part
    overlap = np.isin(split.test.keys, split.train.keys) | np.isin(split.test.keys, split.validation.keys)
    if overlap.any():
        raise InputError(
            "interactions are in test and in what is learned from", field="split", got=f"{overlap.sum()} pairs",
            expected="disjoint parts",
            fix="remove them from one of the files, or leave them out of the later one: --modality.drop_overlap true",
        )  # fmt: skip
    return split


def without_overlap(train: Interactions, *later: Interactions) -> list[Interactions]:
    """`later` parts without pairs that an earlier one has: for files that were not cut with care."""
    seen, cleaned = train.keys, []
    for part in later:
        cleaned.append(part.keep(~in_sorted(part.keys, seen)))
        seen = np.union1d(seen, part.keys)
    return cleaned
