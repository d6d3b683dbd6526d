"""Dividing groups so that every side gets about its share of every class.

A holdout is the best balanced of many random draws of groups; K folds are scikit-learn's StratifiedGroupKFold. Labels
are used for the balance only.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import KFold, StratifiedGroupKFold

from ..config import SplitConfig
from ..errors import InputError, SplitError
from .numbers import BINS, is_number, number_bins
from .sources import PRETRAIN_SIDE

if TYPE_CHECKING:
    from .store import WindowStore

_DRAWS = 256  # random partitions a holdout is chosen from


def item_classes(store: WindowStore, code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group and class of every labelled item; without labels, of every window (class 0).

    The same class of something else that is given is a class of its own; quarters of numbers are classes.
    """
    try:
        items = store.items()
    except InputError:
        windows = np.flatnonzero(store.fixed_split != PRETRAIN_SIDE)
        return code[windows], np.zeros(len(windows), np.int64)
    if is_number(items.label):
        return code[items.window], items.given * len(BINS) + number_bins(items.label)
    if items.label.ndim == 1:
        return code[items.window], items.given * len(items.classes) + items.label
    # several classes at once: stratify by the rarest that holds; its balance is the hardest to get
    rarity = items.label.sum(axis=0)
    score = np.where(items.label > 0, -rarity, -np.inf)
    return code[items.window], np.where(items.label.any(axis=1), score.argmax(axis=1), len(rarity))


def class_counts(store: WindowStore, code: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """[group, class] number of items."""
    item_group, label = item_classes(store, code)
    counts = np.zeros((len(groups), int(label.max(initial=0)) + 1))
    np.add.at(counts, (np.searchsorted(groups, item_group), label), 1)
    return counts


def draw_groups(balance: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """[group] bool: the drawn share of groups, with about the same share of every class.

    balance: [group, class] items. Of many random draws the one whose class shares deviate least is kept.
    """
    if not 0 < fraction < 1:
        raise SplitError("a share must be between 0 and 1", field="split", got=fraction)
    count = len(balance)
    size = min(count - 1, max(1, round(count * fraction)))
    rng = np.random.default_rng(seed)
    draws = rng.random((_DRAWS, count)).argsort(axis=1) < size
    total = balance.sum(axis=0)
    share = (draws @ balance)[:, total > 0] / total[total > 0]
    return draws[np.abs(share - size / count).mean(axis=1).argmin()] if share.shape[1] else draws[0]


def fold_groups(store: WindowStore, config: SplitConfig, code: np.ndarray, groups: np.ndarray) -> list[np.ndarray]:
    """Test groups of each fold, stratified by label; every group is tested once."""
    item_group, label = item_classes(store, code)
    if config.folds < 2:
        raise SplitError("a k-fold split needs folds", field="split.folds", got=config.folds, expected="2 or more")
    splitter = StratifiedGroupKFold(config.folds, shuffle=True, random_state=config.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class rarer than the folds is usual here
        try:
            found = [np.unique(item_group[test]) for _, test in splitter.split(label, label, item_group)]
        except ValueError:  # every class has fewer items than there are folds
            found = []
    if len(found) != config.folds or min(map(len, found)) == 0:
        # few groups or one label: stratifying may leave a fold empty, plain folds of groups never do
        plain = KFold(config.folds, shuffle=True, random_state=config.seed)
        return [groups[test] for _, test in plain.split(groups)]
    unlabelled = np.setdiff1d(groups, np.concatenate(found))
    return [np.union1d(test, unlabelled[fold :: config.folds]) for fold, test in enumerate(found)]
