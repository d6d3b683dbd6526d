"""Events: the labelled points inside windows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..modality import Task, Window
from .case import Case
from .checks import check, expect, need


@check(fix="fill at, label, features and hand for the same events")
def events_agree_in_number(case: Case) -> None:
    for task, window in _events(case):
        events = window.events
        assert events is not None
        counts = {
            "at": len(events.at),
            "label": len(events.label),
            "features": len(events.features),
            "hand": len(events.hand),
        }
        expect(
            len(set(counts.values())) == 1,
            got=f"events of task {task.name} with {counts} entries",
            expected="one number",
        )
        width = events.features.shape[1] if events.features.ndim == 2 else -1
        expect(
            width == len(task.event_features),
            got=f"{width} side features an event of task {task.name}",
            expected=f"{len(task.event_features)}, as named in Task.event_features",
            fix="make both agree",
        )


@check(fix="give the first and last event of a recording a typical value")
def event_features_are_finite(case: Case) -> None:
    for task, window in _events(case):
        events = window.events
        assert events is not None
        expect(
            np.isfinite(events.features).all() and np.isfinite(events.hand).all(),
            got=f"NaN or infinite features of events of task {task.name}",
            expected="finite numbers",
        )


@check(fix="subtract window.start_s from the time in the recording")
def events_lie_inside_their_window(case: Case) -> None:
    for task, window in _events(case):
        assert window.events is not None
        end = window.values.shape[-1] / window.sfreq_hz
        at = np.asarray(window.events.at)
        bad = at[~((at >= 0) & (at <= end))]
        expect(
            not len(bad),
            got=f"an event of task {task.name} at {bad[:1]} s in a window of {end:g} s",
            expected="0 to the end of the window",
        )


@check(fix="give an event in the overlap of two windows to the one in which it lies more central")
def events_are_listed_once(case: Case) -> None:
    times: dict[tuple[str, str], list[float]] = {}
    for task, window in _events(case):
        assert window.events is not None
        labelled = [at for at, name in zip(window.events.at, window.events.label, strict=True) if name]
        times.setdefault((task.name, window.record), []).extend(round(window.start_s + float(at), 3) for at in labelled)
    for (task, record), found in times.items():
        twice = len(found) - len(set(found))
        expect(not twice, got=f"{twice} events of task {task} in two windows of {record}", expected="each event once")


def _events(case: Case) -> Iterator[tuple[Task, Window]]:
    """Windows of two demo recordings that have events."""
    tasks = [task for task in case.modality.tasks().values() if task.unit == "event"]
    need(tasks, "the adapter has no task on events")
    for task in tasks:
        for source in case.sources[:2]:
            for window in case.modality.windows(case.modality.load(source), task.name):
                if window.events is not None and len(window.events.at):
                    yield task, window
