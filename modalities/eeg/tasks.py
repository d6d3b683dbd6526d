"""What can be predicted from an EEG here, and which class a window has.

Labels come from two places: spans of annotations (a rest block, a sleep stage, a trial) and the whole recording. Where
a recording has spans that name classes of a task they decide, because they know more; else the recording's own label
holds for each of its windows. Readers of data sets write class names, so nothing here knows a data set.
"""

from __future__ import annotations

from ...core.modality import Annotation, Recording, Task
from .demo import STATES

# the same question twice: of single windows, and of recordings by the mean over their windows
REST_TASK = Task("rest-task", "window", STATES, hand_learner="kernel machine")
REST_TASK_RECORD = Task("rest-task-record", "record", STATES, hand_learner="kernel machine")
TASKS = {task.name: task for task in (REST_TASK, REST_TASK_RECORD)}


def labelled_spans(recording: Recording, task: Task) -> tuple[Annotation, ...]:
    """Spans of the whole head that carry a class of the task."""
    return tuple(a for a in recording.annotations if a.duration_s and not a.sensor and a.label in task.classes)


def window_label(recording: Recording, task: Task, start_s: float, stop_s: float) -> tuple[str, ...]:
    """Classes of a stretch: that of the spans that cover more than half of it, or those of the recording."""
    spans = labelled_spans(recording, task) if task.unit == "window" else ()
    if not spans:
        own = tuple(name for name in recording.label if name in task.classes)
        return own if task.multilabel else own[:1]
    covered: dict[str, float] = {}
    for a in spans:
        overlap = min(stop_s, a.onset_s + a.duration_s) - max(start_s, a.onset_s)
        covered[a.label] = covered.get(a.label, 0.0) + max(0.0, overlap)
    label, most = max(covered.items(), key=lambda entry: entry[1])
    return (label,) if most > 0.5 * (stop_s - start_s) else ()
