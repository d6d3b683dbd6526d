"""Subject leak: how well an encoder's frozen features tell who a recording is of.

Features that tell people apart invite a model to learn the people of its training set instead of the disease. So a
linear classifier is asked which of the training side's people a held-out recording comes from, against chance; of the
pretrained encoder, of the untrained one, and of hand features. It is no test of privacy, and a leak is no fault by
itself: a voice has a speaker. It says how much there is to be confused by.

- People are those of the training and validation side; nothing of the test side is looked at.
- Of a person with several recordings some are held out whole. Of a single recording it is the last part, with a gap.
- Where a task knows something beforehand, people are told apart within each of it: by how they do one exercise.
- Everybody counts alike: accuracy is the mean over people, so that chance is one over their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .logistic import fit_logistic
from .rows import Evaluation, Leak
from .scaling import Standardizer

if TYPE_CHECKING:
    from ..data.items import Items

MOST_SUBJECTS = 100
MOST_ITEMS = 24  # of a person, on either side
_HELD = 1 / 3  # share of a person's recordings, or of the only one
_GAP = 0.1  # share of the only recording between what is fitted and what is asked
_STRENGTH = 0.1  # inverse L2 strength; fixed, for there is nobody to choose it on


@dataclass(frozen=True, eq=False)
class Lineup:
    """fitted, asked: [k] indices of items. who: [item] number of the person, -1 = not in it. subjects: how many.

    within: what was held out of a person: "recording", "part of a recording" or "recording or part of one".
    """

    fitted: np.ndarray
    asked: np.ndarray
    who: np.ndarray
    subjects: int
    within: str

    @property
    def items(self) -> np.ndarray:
        """[k] all items whose features are needed."""
        return np.concatenate([self.fitted, self.asked])


def line_up(items: Items, labelled: np.ndarray, when: np.ndarray, seed: int = 0) -> Lineup | None:
    """Divide the items of at most `MOST_SUBJECTS` people; None where fewer than two can be divided.

    labelled: [k] items of the training and validation side. when: [item] place in the recording, in any unit.
    """
    rng = np.random.default_rng(seed)
    fitted, asked, within = [], [], set()
    who = np.full(len(items), -1)
    subjects = np.unique(items.subject[labelled])
    for code in rng.permutation(subjects[subjects >= 0]):
        own = labelled[items.subject[labelled] == code]
        held, kept = _divide(own, items.record[own], when[own], rng)
        if not len(held) or not len(kept):
            continue
        within.add("recording" if len(np.unique(items.record[own])) > 1 else "part of a recording")
        who[own] = len(fitted)
        for side, found in ((asked, held), (fitted, kept)):
            side.append(rng.permutation(found)[:MOST_ITEMS])
        if len(fitted) == MOST_SUBJECTS:
            break
    if len(fitted) < 2:
        return None
    told = within.pop() if len(within) == 1 else "recording or part of one"
    return Lineup(np.concatenate(fitted), np.concatenate(asked), who, len(fitted), told)


def _divide(
    own: np.ndarray, record: np.ndarray, when: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Items that are asked about and items that are learned from, of one person."""
    records = rng.permutation(np.unique(record))
    if len(records) > 1:
        held = np.isin(record, records[: max(1, int(_HELD * len(records)))])
        return own[held], own[~held]
    first, last = when.min(), when.max()
    place = (when - first) / max(last - first, 1e-9)
    return own[place > 1 - _HELD], own[place <= 1 - _HELD - _GAP]


def subject_leak(lineup: Lineup, features: np.ndarray) -> Leak:
    """How well [item, feature] features tell the people of a line-up."""
    scale = Standardizer.fit(features[lineup.fitted])
    fitted, asked = (torch.from_numpy(scale(features[index], 5.0)) for index in (lineup.fitted, lineup.asked))
    who = lineup.who[lineup.fitted]
    weight = torch.from_numpy((1.0 / np.bincount(who)[who]).astype(np.float32))
    weight = weight * (len(who) / weight.sum())
    model = fit_logistic(fitted, torch.from_numpy(who), lineup.subjects, weight, _STRENGTH)
    truth = lineup.who[lineup.asked]
    right = model(asked).argmax(dim=1).numpy() == truth
    recall = np.bincount(truth, weights=right) / np.bincount(truth)
    return Leak(float(recall.mean()), lineup.subjects, len(truth), lineup.within)


def line_ups(items: Items, labelled: np.ndarray, when: np.ndarray, seed: int = 0) -> list[Lineup]:
    """A line-up (`line_up`) for each thing given of which there is one."""
    parts = (labelled[items.given[labelled] == code] for code in range(items.models))
    return [found for part in parts if (found := line_up(items, part, when, seed)) is not None]


def mean_leak(lineups: Sequence[Lineup], features: np.ndarray) -> Leak:
    """The leak of [item, feature] features over all line-ups: mean accuracy, and the usual number of people in one."""
    found = [subject_leak(lineup, features) for lineup in lineups]
    accuracy, subjects = (np.mean([getattr(leak, name) for leak in found]) for name in ("accuracy", "subjects"))
    return Leak(float(accuracy), round(float(subjects)), sum(leak.items for leak in found), found[0].within)


def leak_table(evaluation: Evaluation, resamples: int = 0, seed: int = 0) -> list[dict[str, Any]]:
    """One entry a model: model, accuracy, chance, subjects, within, folds; means over folds. [] = nothing was asked."""
    entries = []
    for model in dict.fromkeys(model for model, _ in evaluation.leak):
        found = [leak for (name, _), leak in evaluation.leak.items() if name == model]
        entries.append(
            {
                "model": model,
                "accuracy": float(np.mean([leak.accuracy for leak in found])),
                "chance": float(np.mean([1.0 / leak.subjects for leak in found])),
                "subjects": round(float(np.mean([leak.subjects for leak in found]))),
                "within": found[0].within,
                "folds": len(found),
            }
        )
    return entries
