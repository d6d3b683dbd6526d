"""What the conformance kit asks of tasks whose answer is a number and of tasks that know something beforehand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from omnipatch import Task
from omnipatch.core.testing.checks import run_check
from testing_kit import CLAPS, STATES, Hum

CHECKS = ("tasks_are_well_formed", "labels_are_classes_of_their_task", "tasks_get_labels_from_the_demo_set")


class Rated(Hum):
    """Hums with a score, whose state is asked for under one of two postures."""

    score, posture = "loudness", ("sitting", "standing")

    def tasks(self):
        return {
            "state": Task("state", "window", STATES, given=("sitting", "standing")),
            "score": Task("score", "window", (), scale="interval"),
            "degree": Task("degree", "window", STATES, scale="ordinal"),
            "claps": Task("claps", "event", CLAPS, event_features=("always",)),
        }

    def windows(self, recording, task=None):
        windows = super().windows(recording, "state" if task in ("state", "degree") else task)
        if task == "score":
            return [replace(w, label=(self.says(w),)) for w in windows]
        if task == "state":
            return [replace(w, label=(*w.label, self.posture[i % 2])) for i, w in enumerate(windows)]
        return windows

    def says(self, window):
        return f"{abs(window.values).mean():.3f}"


def found(modality):
    return {name: run_check(modality, name) for name in CHECKS}


def test_numbers_and_given_names_are_answers():
    assert {outcome.state for outcome in found(Rated()).values()} == {"passed"}


@pytest.mark.parametrize(
    ("fault", "check"),
    [({"says": lambda self, window: "loud"}, "labels_are_classes_of_their_task"),
     ({"says": lambda self, window: "1.0"}, "tasks_get_labels_from_the_demo_set"),
     ({"posture": ("lying", "sitting")}, "labels_are_classes_of_their_task"),
     ({"posture": ("", "")}, "tasks_get_labels_from_the_demo_set")],
)  # fmt: skip
def test_what_is_no_answer_is_found(fault, check):
    outcome = found(type("Faulty", (Rated,), fault)())[check]
    assert outcome.state == "failed"
