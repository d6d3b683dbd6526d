"""What learners on hand features say: each is fitted once, for its own row and for the pools it joins."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from ..config import ProbeConfig
from .baselines import Learned, draws, hand_learners, temperature_of
from .calibration import softened
from .trial import Trial


class HandOpinion:
    """first: the learner whose row it is, "" = by numbers. calibrated: it joins a pool as sure as it may be of unseen
    people."""

    def __init__(self, config: ProbeConfig, first: str, *, calibrated: bool) -> None:
        self.config, self.first, self.calibrated = config, first, calibrated
        self._learned = dict[Hashable, list[Learned]]()
        self._beside = dict[Trial, tuple[np.ndarray, dict[str, Any]]]()
        self._temperatures = dict[bytes, float]()

    def learners(self, trial: Trial) -> list[Learned]:
        """All of them, trained once a trial, or once for all seeds where they draw nothing."""
        asked = (trial, self.config, self.first)
        key: Hashable = trial if draws(*asked) else (trial.train.tobytes(), trial.validation.tobytes())
        if key not in self._learned:
            self._learned[key] = hand_learners(*asked)
        return self._learned[key]

    def beside(self, trial: Trial) -> tuple[np.ndarray, dict[str, Any]]:
        """What the first brings to a pool, made ready once a trial: [test item, class], and what was chosen for it."""
        if trial not in self._beside:
            learned, temperature = self.learners(trial)[0], 1.0
            if self.calibrated:
                temperature = self._temperature(learned, trial)
            said, several = learned.probability, trial.multilabel
            calibrated = said if temperature == 1.0 else softened(said, temperature, several=several)
            self._beside[trial] = calibrated, {"hand_temperature": temperature}
        return self._beside[trial]

    def _temperature(self, learned: Learned, trial: Trial) -> float:
        """Fitted once for the same labelled items: of one number seeds say the same, and it takes several fits."""
        same = trial.learnable.tobytes()
        if same not in self._temperatures:
            self._temperatures[same] = temperature_of(learned, trial, self.config)
        return self._temperatures[same]
