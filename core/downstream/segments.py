"""Segments of dense labels: from class scores at every step to onsets and offsets, found, false and missed.

Segmentation is judged by boundaries, not by steps: an onset (or offset) is found when a predicted one of the same class
lies within the task's tolerance, one to one, nearest pairs first. That is how wave delineation is reported for the ECG
(150 ms, ANSI/AAMI EC57; Moskalenko, Zolotykh & Osipov 2019, https://arxiv.org/abs/1909.10839) and phone boundaries in
speech (20 ms).

What lies outside the labelled stretches is unknown, and stays so
- Windows of one recording are joined, so a segment may cross from one into the next.
- A true segment that touches the end of a labelled stretch has no boundary there.
- A predicted boundary near such an end may belong to a segment outside. It can find, but it cannot be false.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..modality import Task

if TYPE_CHECKING:
    from ..data.items import Items

HIT, FALSE, MISSED = 0, 1, 2
ONSET, OFFSET = 0, 1


@dataclass(frozen=True, eq=False)
class Boundaries:
    """Onsets and offsets of one prediction, an entry each.

    code: [n] class of the segment. side: [n] ONSET or OFFSET. outcome: [n] HIT, FALSE or MISSED.
    error: [n] predicted minus true place in the unit of the first axis, NaN unless HIT.
    item: [n] position of the step at the boundary among the scored items.
    background: class code that has no segments, -1 = none.
    """

    code: np.ndarray
    side: np.ndarray
    outcome: np.ndarray
    error: np.ndarray
    item: np.ndarray
    background: int

    def of_items(self, chosen: np.ndarray) -> Boundaries:
        """Those of some items ([item] bool); what `chosen` cuts off is not scored again."""
        kept = chosen[self.item]
        position = np.cumsum(chosen) - 1
        return Boundaries(
            self.code[kept], self.side[kept], self.outcome[kept], self.error[kept], position[self.item[kept]],
            self.background,
        )  # fmt: skip

    def counts(self, owner: np.ndarray, owners: int, classes: int) -> np.ndarray:
        """[owner, class, outcome] numbers of boundaries; `owner` [item] says whose each item is."""
        out = np.zeros((owners, classes, 3))
        np.add.at(out, (owner[self.item], self.code, self.outcome), 1)
        return out


def boundary_f1(counts: np.ndarray, classes: tuple[str, ...], background: int) -> dict[str, np.ndarray]:
    """`f1_<class>` and their mean `macro_f1` from [..., class, outcome] counts.

    A class without a true boundary has NaN and is left out of the mean, as in the metrics of single items.
    """
    hit, false, missed = np.moveaxis(counts, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = np.where(hit + missed > 0, 2 * hit / (2 * hit + false + missed), np.nan)
        waves = [c for c in range(len(classes)) if c != background]
        present = ~np.isnan(f1[..., waves])
        macro = np.where(present, f1[..., waves], 0.0).sum(axis=-1) / present.sum(axis=-1)
    return {"macro_f1": macro, **{f"f1_{classes[c]}": f1[..., c] for c in waves}}


def find_boundaries(task: Task, items: Items, chosen: np.ndarray, probability: np.ndarray) -> Boundaries:
    """Compare the segments that [item, class] probabilities of the items `chosen` make with the labelled ones."""
    background = task.classes.index(task.background) if task.background else -1
    label = items.label[chosen]
    found: list[tuple[int, int, int, float, int]] = []
    for stretch in _stretches(items, chosen, task.step):
        truth = _runs(label[stretch])
        predicted = _predicted(task, probability[stretch])
        for code in range(len(task.classes)):
            if code != background:
                for side in (ONSET, OFFSET):
                    found += _compare(task, code, side, truth, predicted, stretch)
    columns = list(zip(*found, strict=True)) or [()] * 5
    kinds = (np.int64, np.int64, np.int64, np.float64, np.int64)
    code, side, outcome, error, item = (np.array(c, kind) for c, kind in zip(columns, kinds, strict=True))
    return Boundaries(code, side, outcome, error, item, background)


def predicted_segments(task: Task, probability: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Class, first step and the step after the last of each segment in [step, class] probabilities of neighbours."""
    background = task.classes.index(task.background) if task.background else -1
    runs = _predicted(task, probability)
    for code, first, stop in zip(runs.code.tolist(), runs.first.tolist(), runs.stop.tolist(), strict=True):
        if code != background:
            yield code, first, stop


def _predicted(task: Task, probability: np.ndarray) -> _Runs:
    return _join_short(_runs(probability.argmax(axis=1)), round(task.shortest / task.step))


def _stretches(items: Items, chosen: np.ndarray, step: float) -> Iterator[np.ndarray]:
    """Positions in `chosen` of each run of neighbouring steps of one recording, in order of place."""
    assert items.place is not None
    record, place = items.record[chosen], items.place[chosen]
    order = np.lexsort((place, record))
    breaks = (np.diff(record[order]) != 0) | (np.diff(place[order]) > 1.5 * step)
    for part in np.split(order, np.flatnonzero(breaks) + 1):
        if len(part):
            yield part


@dataclass(frozen=True)
class _Runs:
    """Equal neighbours: code [run], first step [run], and the step after the last [run]."""

    code: np.ndarray
    first: np.ndarray
    stop: np.ndarray


def _runs(code: np.ndarray) -> _Runs:
    edges = np.flatnonzero(np.diff(code)) + 1
    first, stop = np.concatenate([[0], edges]), np.concatenate([edges, [len(code)]])
    return _Runs(code[first], first, stop)


def _join_short(runs: _Runs, least: int) -> _Runs:
    """Give every run of fewer than `least` steps, shortest first, to its longer neighbour."""
    codes, lengths = runs.code.tolist(), (runs.stop - runs.first).tolist()
    while len(codes) > 1 and min(lengths) < least:
        i = lengths.index(min(lengths))
        before = lengths[i - 1] if i else -1
        after = lengths[i + 1] if i + 1 < len(codes) else -1
        codes[i] = codes[i - 1] if before >= after else codes[i + 1]
        joined = [(codes[0], lengths[0])]
        for code, length in zip(codes[1:], lengths[1:], strict=True):
            joined[-1:] = [(code, joined[-1][1] + length)] if code == joined[-1][0] else [joined[-1], (code, length)]
        codes, lengths = [c for c, _ in joined], [n for _, n in joined]
    stop = np.cumsum(lengths)
    return _Runs(np.array(codes), stop - np.array(lengths), stop)


def _compare(
    task: Task, code: int, side: int, truth: _Runs, predicted: _Runs, stretch: np.ndarray
) -> Iterator[tuple[int, int, int, float, int]]:
    """One entry a boundary of a stretch: code, side, outcome, error, item."""
    size, reach = len(stretch), task.tolerance / task.step + 1e-6  # a gap of just the tolerance counts
    true, asked = ((runs.first if side == ONSET else runs.stop)[runs.code == code] for runs in (truth, predicted))
    true = true[(true > 0) & (true < size)]
    pairs = match_nearest(true, asked, reach)
    hit, used = {i for i, _ in pairs}, {j for _, j in pairs}

    def item(edge: int) -> int:
        return int(stretch[min(edge, size - 1)])

    for i, j in pairs:
        yield code, side, HIT, float(asked[j] - true[i]) * task.step, item(true[i])
    for i in range(len(true)):
        if i not in hit:
            yield code, side, MISSED, float("nan"), item(true[i])
    for j, edge in enumerate(asked):
        if j not in used and reach < edge < size - reach:
            yield code, side, FALSE, float("nan"), item(edge)


def match_nearest(true: np.ndarray, predicted: np.ndarray, reach: float) -> list[tuple[int, int]]:
    """Pairs (i, j) of places not further apart than `reach`, nearest first, each used once. Both are ascending."""
    low, high = np.searchsorted(predicted, true - reach), np.searchsorted(predicted, true + reach, side="right")
    near = [(abs(predicted[j] - true[i]), i, j) for i in range(len(true)) for j in range(low[i], high[i])]
    pairs, left, right = [], set(), set()
    for _, i, j in sorted(near):
        if i not in left and j not in right:
            pairs.append((i, j))
            left.add(i)
            right.add(j)
    return pairs
