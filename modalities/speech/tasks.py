"""What can be predicted from speech here. Readers of data sets write class names, so nothing here knows a data set."""

from __future__ import annotations

from ...core.modality import Task
from .demo import STATES, WORDS

WORD = Task("word", "record", WORDS)
ARTICULATION = Task("articulation", "record", STATES)
TASKS = {task.name: task for task in (WORD, ARTICULATION)}
