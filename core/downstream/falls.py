"""Means of occlusion: how far the right class falls without a place or a part, and how sure that is.

- Of an item only the fall of its own class counts; a mean is over the items of one class, or over classes alike.
- Items of one subject are anything but independent: intervals resample whole subjects, as those of the result table do.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .bootstrap import LEVEL, resample_counts
from .occlusion import Occlusion
from .rows import Evaluation


@dataclass(frozen=True, eq=False)
class Falls:
    """mean, low, high: [1 + class, hidden] float64, first over all classes alike, then of each; NaN = no such items."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def join(found: Sequence[Occlusion]) -> Occlusion:
    """Those of several folds as one; places are the same where their numbers are. Parts must be equal."""
    group, first = np.unique(np.concatenate([one.group for one in found]), return_index=True)
    items, classes = sum(len(one.label) for one in found), found[0].label.shape[1]
    by_place = np.full((items, classes, len(group)), np.nan, np.float32)
    start = 0
    for one in found:
        stop = start + len(one.label)
        by_place[start:stop, :, np.searchsorted(group, one.group)] = one.by_place
        start = stop
    return replace(
        found[0],
        label=np.concatenate([one.label for one in found]),
        subject=np.concatenate([one.subject for one in found]),
        group=group,
        names=tuple(np.concatenate([np.array(one.names, dtype=str) for one in found])[first].tolist()),
        where=np.concatenate([one.where for one in found])[first],
        by_place=by_place,
        by_part=np.concatenate([one.by_part for one in found]),
    )


def mean_falls(fall: np.ndarray, label: np.ndarray, subject: np.ndarray, resamples: int, seed: int = 0) -> Falls:
    """Falls [item, class, hidden] of items of which `label` [item, class] are true, over subjects [item]."""
    own = np.where((label > 0)[:, :, None], fall, np.nan)
    subjects, number = np.unique(subject, return_inverse=True)
    total, count = (np.zeros((len(subjects), *own.shape[1:])) for _ in range(2))
    np.add.at(total, number, np.nan_to_num(own))
    np.add.at(count, number, np.isfinite(own))
    holds = np.asarray((count > 0).any(axis=2))
    times = resample_counts(holds, resamples, seed) if len(subjects) else np.zeros((0, 0), int)
    drawn = _means(np.tensordot(times, total, axes=1), np.tensordot(times, count, axes=1))
    mean = _means(total.sum(axis=0)[None], count.sum(axis=0)[None])[0]
    if not len(drawn):
        return Falls(mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan))
    tail = 50.0 * (1.0 - LEVEL)
    with warnings.catch_warnings():  # a class that nobody has is NaN, as it should be
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        low, high = np.nanpercentile(drawn, [tail, 100.0 - tail], axis=0)
    return Falls(mean, low, high)


def _means(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """[draw, class, hidden] sums and numbers -> [draw, 1 + class, hidden] means."""
    by_class = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    there = np.isfinite(by_class)
    classes = there.sum(axis=1, keepdims=True)
    alike = np.divide(
        np.where(there, by_class, 0.0).sum(axis=1, keepdims=True), classes,
        out=np.full((len(total), 1, total.shape[2]), np.nan), where=classes > 0,
    )  # fmt: skip
    return np.concatenate([alike, by_class], axis=1)


def occlusion_table(evaluation: Evaluation, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """What the decisions of an evaluation rest on, its folds together, as plain data; {} where nothing was hidden.

    model, protocol, label_fraction: the line that was looked at. The rest: see `falls_table`.
    """
    if not evaluation.occlusion:
        return {}
    model, protocol, fraction = next(iter(evaluation.occlusion))[:3]
    found = join(list(evaluation.occlusion.values()))
    line = {"model": model, "protocol": protocol, "label_fraction": fraction}
    return line | falls_table(found, evaluation.classes, resamples, seed)


def falls_table(found: Occlusion, classes: Sequence[str], resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Means of an occlusion as plain data.

    items, subjects: how many. classes: "all" (alike), then each. places, parts: names and [class][hidden] mean, low and
    high in nats, None = unknown; places also have where [place][axis].
    """
    table: dict[str, Any] = {"items": len(found.label), "subjects": len(np.unique(found.subject))}
    table["classes"] = ["all", *classes]
    for kind, names, fall in (("places", found.names, found.by_place), ("parts", found.parts, found.by_part)):
        falls = mean_falls(fall, found.label, found.subject, resamples, seed)
        table[kind] = {"names": list(names), **{part: _plain(getattr(falls, part)) for part in ("mean", "low", "high")}}
    table["places"]["where"] = _plain(found.where)
    return table


def _plain(numbers: np.ndarray) -> list[list[float | None]]:
    return [[None if np.isnan(x) else round(float(x), 6) for x in row] for row in numbers]
