"""Who is on which side: splits that are disjoint by subject (or site), and refuse to be otherwise.

Design decisions
- The unit of splitting is a group, never a window: scores of windows whose subject was trained on say little about
  new patients (Brookshire et al. 2024, Front. Neurosci. 18:1373515; Kapoor & Narayanan 2023, Patterns 4:100804).
- Without known groups there is no split, only an error. Splitting by record or window must be asked for by name and
  is stamped on the result.
- Validation groups are cut from the training groups; every choice is made on them.
- The pretraining side holds training, validation and unlabelled additions (labels are not used there), the test
  groups only when `pretrain_on_test` says so, which is stamped too.
- A ranking task holds out ids of each person instead (`questions`), unless people are to be held out by name.
- Sides are balanced by class as far as whole groups allow (`balance`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..config import SplitConfig
from ..errors import InputError, SplitError, nearest
from .balance import class_counts, draw_groups, fold_groups
from .items import Items
from .manifest import SIDES
from .questions import WITHIN, WITHIN_STAMP, held_out_people, in_question, ranks
from .sources import PRETRAIN_SIDE
from .store import WindowStore


@dataclass(frozen=True)
class Split:
    """One partition of groups. `train`, `validation`, `test` hold group names (subjects, sites, records, windows).

    kind: official, holdout or kfold, or "within" where a ranking task has everybody on every side. fold: number of the
        fold, 0 when there is one.
    stamp: what must be said beside every score of this split, "" = nothing.
    """

    train: frozenset[str]
    validation: frozenset[str]
    test: frozenset[str]
    kind: str
    group: str
    fold: int = 0
    stamp: str = ""
    pretrain_on_test: bool = False

    def __post_init__(self) -> None:
        for a, b in ((self.train, self.validation), (self.train, self.test), (self.validation, self.test)):
            if a & b:
                raise SplitError(f"a {self.group} is on two sides of the split", got=sorted(a & b)[0])

    def windows(self, store: WindowStore, side: str) -> np.ndarray:
        """[k] int64 indices of the windows on a side: train, validation, test or pretrain."""
        return np.flatnonzero(self._inside(store, side))

    def items(self, items: Items, store: WindowStore, side: str) -> np.ndarray:
        """[k] int64 indices of the items whose window is on a side."""
        return np.flatnonzero(self._inside(store, side)[items.window])

    def _inside(self, store: WindowStore, side: str) -> np.ndarray:
        if side == PRETRAIN_SIDE:
            inside = self._inside(store, "train") | (self._inside(store, "validation") & in_question(store, "train"))
            inside |= store.fixed_split == PRETRAIN_SIDE
            return inside | self._inside(store, "test") if self.pretrain_on_test else inside
        if side not in SIDES:
            raise InputError(f"unknown side {side!r}", fix=nearest(side, (*SIDES, PRETRAIN_SIDE)))
        asked = in_question(store, side)
        if self.kind == WITHIN:  # nobody is on one side alone
            return asked & (store.fixed_split != PRETRAIN_SIDE)
        names, code = window_groups(store, self.group)
        chosen = np.array([name in getattr(self, side) for name in (*names, "")])  # code -1 is the last
        return chosen[code] & asked & (store.fixed_split != PRETRAIN_SIDE)

    def to_json(self) -> dict[str, Any]:
        """The split as plain data, group names sorted."""
        sides = {side: sorted(getattr(self, side)) for side in SIDES}
        return {
            "kind": self.kind, "group": self.group, "fold": self.fold, "stamp": self.stamp,
            "pretrain_on_test": self.pretrain_on_test, **sides,
        }  # fmt: skip


def make_splits(store: WindowStore, config: SplitConfig, usual: int = 0) -> list[Split]:
    """The partitions a recipe asks for: one, or one a fold.

    usual: folds by which such data are divided where the kind is auto and there are no official sides, 0 = none. Where
        every subject has a fixed fold (`Source.fold`), those are taken as they are.

    Raises SplitError when groups are unknown, too few, on both sides of an official split or in two fixed folds.
    """
    names, code = window_groups(store, config.group)
    if ranks(store) and config.kind == "auto":
        if held := held_out_people(store):
            train = frozenset(store.subjects) - held["validation"] - held["test"]
            return [Split(train, held["validation"], held["test"], "holdout", "subject")]
        nobody = frozenset[str]()
        return [Split(frozenset(names), nobody, nobody, WITHIN, config.group, stamp=WITHIN_STAMP)]
    used = store.fixed_split != PRETRAIN_SIDE
    _refuse_unknown(store, config, code, used)
    groups = np.unique(code[used])
    balance = class_counts(store, code, groups)
    kind, fixed = config.kind, []
    if kind == "auto":
        official = config.group == "subject" and bool(np.isin(store.fixed_split, SIDES).any())
        fixed = [] if official else _fixed_folds(store, config, names, code, groups)
        kind = "official" if official else "kfold" if usual or fixed else "holdout"
        if kind != "holdout" and config.test_fraction != SplitConfig().test_fraction:
            raise SplitError(
                "the share of who is tested has no effect: the data say who is", field="split.test_fraction",
                got=f"{config.test_fraction} with split.kind auto, which is {kind} here", expected="split.kind holdout",
                fix="add --split.kind holdout",
            )  # fmt: skip
        if kind == "kfold":
            config = replace(config, kind=kind, folds=len(fixed) or min(usual, len(groups)))

    if kind == "official":
        parts = [_official(store, config, names, code)]
    elif kind == "holdout":
        _refuse_few(kind, config.group, len(groups), 3)
        test = draw_groups(balance, config.test_fraction, config.seed)
        parts = [(groups[~test], groups[:0], groups[test])]
    else:
        _refuse_few(kind, config.group, len(groups), max(config.folds, 3))
        tests = fixed or fold_groups(store, config, code, groups)
        parts = [(np.setdiff1d(groups, test), groups[:0], test) for test in tests]

    splits = []
    for fold, (train, validation, test) in enumerate(parts):
        if not len(validation) and config.validation_fraction > 0:
            chosen = _cut_validation(config, balance[np.isin(groups, train)], fold)
            train, validation = train[~chosen], train[chosen]
        sides = {
            name: frozenset(names[group] for group in side)
            for name, side in zip(SIDES, (train, validation, test), strict=True)
        }
        splits.append(
            Split(
                **sides,
                kind=kind,
                group=config.group,
                fold=fold,
                stamp=_stamp(config),
                pretrain_on_test=config.pretrain_on_test,
            )
        )
    return splits


def window_groups(store: WindowStore, group: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the groups and each window's code into them, -1 = unknown."""
    if group == "window":
        return tuple(str(number) for number in store.window_ids), np.arange(len(store))
    names = {"subject": store.subjects, "site": store.sites, "record": store.records}
    codes = {"subject": store.subject_code, "site": store.site_code, "record": store.record_code}
    if group not in names:
        raise InputError(f"cannot split by {group!r}", field="split.group", fix=nearest(group, (*names, "window")))
    return names[group], codes[group]


def _refuse_unknown(store: WindowStore, config: SplitConfig, code: np.ndarray, used: np.ndarray) -> None:
    unknown = np.unique(store.record_code[used & (code < 0)])
    if len(unknown):
        raise SplitError(
            f"no {config.group} is known for {len(unknown)} of {len(store.records)} records", field="split.group",
            got=f"record {store.records[unknown[0]]} without one", expected=f"a {config.group} for each record",
            fix="give them in a manifest, or split by record on purpose with --split.group record",
        )  # fmt: skip


def _refuse_few(kind: str, group: str, count: int, least: int) -> None:
    if count < least:
        raise SplitError(
            f"too few groups for a {kind} split", field="split.group", got=f"{count} {group}s",
            expected=f"at least {least}",
            fix="add recordings of other people" + (", or choose fewer folds" if kind == "kfold" else ""),
        )  # fmt: skip


def _official(
    store: WindowStore, config: SplitConfig, names: tuple[str, ...], code: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Groups of the authors' own sides; a window without a side counts as training."""
    side = np.where(np.isin(store.fixed_split, SIDES), store.fixed_split, "train")
    used = store.fixed_split != PRETRAIN_SIDE
    train, validation, test = (np.unique(code[used & (side == name)]) for name in SIDES)
    for a, b in ((train, validation), (train, test), (validation, test)):
        both = np.intersect1d(a, b)
        if len(both):
            raise SplitError(
                f"the data set's own split has a {config.group} on both sides", field="split.kind",
                got=f"{config.group} {names[both[0]]!r}", expected="each on one side",
                fix="choose --split.kind kfold or correct the sides",
            )  # fmt: skip
    if not len(train) or not len(test):
        raise SplitError(
            "there is no official split into train and test", field="split.kind",
            got=f"{len(train)} training and {len(test)} test {config.group}s",
            fix="choose --split.kind holdout or kfold",
        )  # fmt: skip
    return train, validation, test


def _fixed_folds(
    store: WindowStore, config: SplitConfig, names: tuple[str, ...], code: np.ndarray, groups: np.ndarray
) -> list[np.ndarray]:
    """Test groups of each fold that the sources name; [] where not every subject has one, or all have the same."""
    used = store.fixed_split != PRETRAIN_SIDE
    numbers = np.unique(store.fixed_fold[used])
    if config.group != "subject" or len(numbers) < 2 or numbers[0] < 0:
        return []
    tests = [np.unique(code[used & (store.fixed_fold == number)]) for number in numbers]
    folds_of = np.bincount(np.searchsorted(groups, np.concatenate(tests)), minlength=len(groups))
    if folds_of.max() > 1:
        raise SplitError(
            "a subject is in two folds of the data set's own", field="split.kind",
            got=f"subject {names[groups[folds_of.argmax()]]!r}", expected="each in one",
            fix="choose --split.kind kfold or correct the folds",
        )  # fmt: skip
    return tests


def _cut_validation(config: SplitConfig, balance: np.ndarray, fold: int) -> np.ndarray:
    if len(balance) < 2:
        raise SplitError(
            "too few training groups to set some aside for validation", field="split.validation_fraction",
            got=f"{len(balance)} training {config.group}s", expected="at least 2", fix="add recordings of other people",
        )  # fmt: skip
    return draw_groups(balance, config.validation_fraction, config.seed + 7919 * (fold + 1))


def _stamp(config: SplitConfig) -> str:
    stamps = []
    if config.group in ("record", "window"):
        stamps.append(f"split by {config.group}, not by subject: a subject may be on both sides, scores are optimistic")
    if config.pretrain_on_test:
        stamps.append("pretrained on the signals of the test side too")
    return "; ".join(stamps)
