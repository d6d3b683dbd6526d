"""Broken adapters, part three: rankings. The adapter that keeps the contract is the recommender's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from faults_signal_kit import fault
from omnipatch import Recording, Window
from omnipatch.core.modality import WindowQuestion
from omnipatch.modalities.recommender import Recommender
from omnipatch.modalities.recommender.field import ItemRanking


class _Asks(Recommender):
    """Recommender whose windows go through a hook under its task."""

    def asked(self, window: Window, question: WindowQuestion) -> list[Window]:
        return [window]

    def windows(self, recording: Recording, task: str | None = None) -> list[Window]:
        found = super().windows(recording, task)
        return [
            one
            for window in found
            for one in ([window] if window.question is None else self.asked(window, window.question))
        ]


@fault("ranking_tasks_ask_on_both_sides")
class AsksTheTestOnly(_Asks):
    def asked(self, window, question):
        return [window] if question.side == "test" else []


@fault("questions_are_not_answered_by_their_window")
class AsksForWhatItShows(_Asks):
    def asked(self, window, question):
        if question.side == "test":
            return [window]
        ids = np.append(question.ids, int(window.values[0, 0]))
        return [replace(window, question=replace(question, ids=ids))]


@fault("test_answers_are_shown_to_nobody")
class ShowsTheAnswersElsewhere(_Asks):
    def asked(self, window, question):
        if question.side != "test":
            return [window]
        answers = replace(window, values=question.ids[None].astype(np.float32), question=None)
        return [window, answers]


@fault("ranking_without_training_is_offered")
class RanksNothing(Recommender):
    def ranking(self):
        class Nothing(ItemRanking):
            def rankers(self):
                return {}

        return Nothing()
