"""Ranking tasks: what windows are asked for."""

from __future__ import annotations

import numpy as np

from ..modality import Window
from .case import Case
from .checks import check, expect, need


@check(fix="hold some ids of each person back in `windows`, and ask for them in a WindowQuestion")
def ranking_tasks_ask_on_both_sides(case: Case) -> None:
    for name in _ranking_tasks(case):
        sides = {window.question.side for window in _windows(case, name) if window.question is not None}
        expect(
            sides == {"validation", "test"},
            got=f"questions on the sides {sorted(sides)} under task {name}",
            expected="some for validation and some for the test",
        )


@check(fix="show only what is not asked for")
def questions_are_not_answered_by_their_window(case: Case) -> None:
    for name in _ranking_tasks(case):
        for window in _windows(case, name):
            if window.question is None:
                continue
            ids = case.modality.patchify(window).ids
            assert ids is not None
            both = np.intersect1d(ids[0, :, 0].numpy(), window.question.ids)
            expect(
                not len(both), got=f"id {both[:1]} in the window that is asked for it", expected="none of the answers"
            )


@check(fix="show the test side's answers in no window of any person: people are compared with each other")
def test_answers_are_shown_to_nobody(case: Case) -> None:
    for name in _ranking_tasks(case):
        asked, shown = set(), set()
        for window in _windows(case, name):
            ids = case.modality.patchify(window).ids
            assert ids is not None
            shown |= {(window.subject, int(i)) for i in ids[0, :, 0]}
            if window.question is not None and window.question.side == "test":
                asked |= {(window.subject, int(i)) for i in window.question.ids}
        expect(
            not asked & shown,
            got=f"{len(asked & shown)} answers of the test in other windows of the same person",
            expected="none",
        )


@check(fix="name the prior first, and let each ranker score [row, id] for any rows")
def ranking_without_training_is_offered(case: Case) -> None:
    if _ranking_tasks(case):
        field = case.modality.ranking()
        expect(field.rankers(), got="no ranker", expected="at least one, the prior")
        expect(all(field.rankers().values()), got="a ranker without a variant", expected="one or more of each")


def _ranking_tasks(case: Case) -> list[str]:
    names = [name for name, task in case.modality.tasks().items() if task.unit == "ranking"]
    need(names, "the adapter has no ranking task")
    return names


def _windows(case: Case, task: str) -> list[Window]:
    return case.modality.windows(case.recording(), task)
