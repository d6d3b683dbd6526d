"""Labels at every step of a window, for tasks of unit "dense".

Adapters speak of segments with onset and offset; the store keeps a code a step, because that is what a head predicts
and what a loss compares. Step i covers `[i, i + 1) * step` of the first axis and takes the label at its centre.
"""

from __future__ import annotations

import numpy as np

from ..modality import Task, Window


def steps_of(window: Window, task: Task) -> int:
    """How many steps of a dense task a window has."""
    return round(window.values.shape[-1] / window.sfreq_hz / task.step)


def dense_labels(window: Window, task: Task) -> np.ndarray:
    """[step] int16 class at each step of a window, -1 = not known. Raises ValueError for an unknown class name."""
    steps = steps_of(window, task)
    code = np.full(steps, -1, np.int16)
    segments = window.segments
    if segments is None:
        return code
    centre = (np.arange(steps) + 0.5) * task.step
    known = np.zeros(steps, bool)
    for start, stop in segments.known:
        known |= (centre >= start) & (centre < stop)
    if task.background:
        code[known] = task.classes.index(task.background)
    for onset, offset, name in zip(segments.onset, segments.offset, segments.label, strict=True):
        code[(centre >= onset) & (centre < offset)] = task.classes.index(name)
    code[~known] = -1
    return code
