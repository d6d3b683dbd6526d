"""What can be predicted from skeletons that more than one source of data shares: rehabilitation exercises, done well or
not. Readers of data sets write class names, so nothing here knows a data set."""

from __future__ import annotations

from ...core.modality import Task

# the exercises of UI-PRMD, in its order
EXERCISES = (
    "deep_squat", "hurdle_step", "inline_lunge", "side_lunge", "sit_to_stand", "straight_leg_raise",
    "shoulder_abduction", "shoulder_extension", "shoulder_rotation", "shoulder_scaption",
)  # fmt: skip
QUALITIES = ("correct", "incorrect")

# movement statistics are hundreds of numbers of a hundred clips, where trees like these are ahead of lines and boosting
QUALITY = Task("quality", "record", QUALITIES, given=EXERCISES, hand_learner="extra trees")
EXERCISE = Task("exercise", "record", EXERCISES, hand_learner="extra trees")
TASKS = {task.name: task for task in (QUALITY, EXERCISE)}
