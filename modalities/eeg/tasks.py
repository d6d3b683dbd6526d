"""What can be predicted from an EEG here, and which class a window has.

Labels come from two places: spans of annotations (a rest block, a sleep stage, a trial) and the whole recording. Where
a recording has spans that name classes of a task they decide, because they know more; else the recording's own label
holds for each of its windows. Readers of data sets write class names, so nothing here knows a data set.
"""

from __future__ import annotations

from dataclasses import replace

from ...core.modality import Annotation, Recording, Task
from .demo import STATES

# the same question twice: of single windows, and of recordings by the mean over their windows
REST_TASK = Task("rest-task", "window", STATES, hand_learner="kernel machine")
REST_TASK_RECORD = Task("rest-task-record", "record", STATES, hand_learner="kernel machine")
# what EDF+ calls stages of sleep (https://www.edfplus.info/specs/edftexts.html); Rechtschaffen & Kales had two of N3
SLEEP_TEXTS = {
    "Sleep stage W": "W", "Sleep stage N1": "N1", "Sleep stage N2": "N2", "Sleep stage N3": "N3",
    "Sleep stage R": "REM", "Sleep stage 1": "N1", "Sleep stage 2": "N2", "Sleep stage 3": "N3", "Sleep stage 4": "N3",
}  # fmt: skip
TASKS = {task.name: task for task in (REST_TASK, REST_TASK_RECORD)}


def labelled_spans(recording: Recording, task: Task) -> tuple[Annotation, ...]:
    """Spans of the whole head that carry a class of the task, under its name.

    BrainVision files say of what type a marker is ("Comment/rest"); the class may be all or what follows the type. EDF+
    has texts of its own for stages of sleep.
    """
    typed, found = recording.extras.get("typed_marks", False), []
    for a in recording.annotations:
        names = (a.label, a.label.partition("/")[2] if typed else "", SLEEP_TEXTS.get(a.label, ""))
        name = next((name for name in names if name in task.classes), None)
        if a.duration_s and not a.sensor and name is not None:
            found.append(replace(a, label=name))
    return tuple(found)


def window_label(recording: Recording, task: Task, start_s: float, stop_s: float) -> tuple[str, ...]:
    """Classes of a stretch: that of the spans that cover more than half of it, or those of the recording.

    Spans of one class may overlap (an event that is marked channel by channel); what several cover counts once.
    """
    spans = labelled_spans(recording, task) if task.unit == "window" else ()
    if not spans:
        own = tuple(name for name in recording.label if name in task.classes)
        return own if task.multilabel else own[:1]
    covered: dict[str, float] = {}
    reached: dict[str, float] = {}  # up to where a class is counted
    for a in sorted(spans, key=lambda a: a.onset_s):
        begin_s, end_s = max(a.onset_s, reached.get(a.label, start_s)), min(stop_s, a.onset_s + a.duration_s)
        covered[a.label] = covered.get(a.label, 0.0) + max(0.0, end_s - begin_s)
        reached[a.label] = max(begin_s, end_s)
    label, most = max(covered.items(), key=lambda entry: entry[1])
    return (label,) if most > 0.5 * (stop_s - start_s) else ()
