"""The verb `predict`: what the classifier of a run, or those of its folds, say of files that nobody labelled."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .console import Voice
from .errors import InputError
from .files import FileRead, each_file, read_file
from .output_file import output_file

if TYPE_CHECKING:
    import numpy as np

    from .downstream.served_classifier import Asked, ServedClassifier
    from .modality import Modality

_Line = tuple[str, ...]


def predict(given: argparse.Namespace, overrides: list[str]) -> int:
    """A line a decision: a table on screen, or a CSV file. What cannot be read is left out (code 1)."""
    from .downstream.served_classifier import ServedClassifier
    from .trained import modality_for_files

    target = None
    if given.out is not None:
        target = output_file(
            given.out, overwrite=given.overwrite, what="decisions", forms=(".csv",), inputs=given.files
        )
    voice = Voice(given.quiet)
    loaded = ServedClassifier.load(given.source)
    voice.step(_about([classifier for classifier, _ in loaded]))
    decisions = _Decisions(
        [(classifier, modality_for_files(model, overrides).serving()) for classifier, model in loaded]
    )
    found, problems = each_file(given.files, decisions.of_file, voice)
    lines = decisions.lines(found)
    if target is None:
        voice.table(decisions.head, lines)
    else:
        from .run_folder import write_csv

        write_csv(target, decisions.head, lines)
        voice.result(f"{target}: {len(lines)} decisions about {len(found)} files")
    return 1 if problems else 0


def _about(classifiers: Sequence[ServedClassifier]) -> str:
    """What they are, and how they did on people they had not seen."""
    from .report.words import metric_label

    first, count = classifiers[0], len(classifiers)
    what = f"{first.task.name}: {', '.join(first.task.classes) or 'a number'}"
    people = sorted({classifier.people for classifier in classifiers})
    many = f"{people[0]} to {people[-1]}" if len(people) > 1 else f"{people[0]}"
    learned = f"learned from {many} people of {first.labels_of}"
    names = ("macro_f1", "auroc", "mae", "spearman")
    tested = [
        f"{metric_label(m)} {sum(c.tested[m] for c in classifiers) / count:.3f}"
        for m in names
        if all(m in c.tested for c in classifiers)
    ]
    told = f"tested on others: {', '.join(tested) or 'never'}"
    if count == 1:
        return f"{what}, {learned}; {told}"
    return f"{what}, the mean of {count} folds' classifiers, each {learned}; {told} (each alone; their mean was not)"


@dataclass(frozen=True, eq=False)
class _Said:
    """A file and what was said of its items.

    place: [item] on the first axis. given: [item] code of what is known beforehand. probability: [item, class], or
    [item, 1] numbers.
    """

    file: FileRead
    place: np.ndarray
    given: np.ndarray
    probability: np.ndarray

    @property
    def record(self) -> str:
        return self.file.windows[0].record


class _Decisions:
    """From what is said of items to lines of a table, as the task decides.

    A record or a person is decided once, by the mean over the windows; segments of a dense task by the mean of all
    windows at each step. Of several classifiers each item is told their mean.
    """

    def __init__(self, members: Sequence[tuple[ServedClassifier, Modality]]) -> None:
        self.members = members
        (classifier, modality), *_ = members
        self.task = classifier.task
        axis = modality.spec.axes[0]
        places = {
            "event": ("path", "record", axis),
            "window": ("path", "record", "start_s"),
            "record": ("path", "record", "windows"),
            "subject": ("subject", "files", "windows"),
            "dense": ("path", "record", f"onset_{axis}", f"offset_{axis}"),
        }[self.task.unit]
        given = ("given",) if self.task.given else ()
        said = ("number",) if self.task.scale == "interval" else ("class",)
        if self.task.scale == "ordinal":
            said = ("number", "class")
        if not self.task.numeric:
            said += ("p",) if self.task.unit == "dense" else tuple(f"p_{name}" for name in self.task.classes)
        self.head = (*places, *given, *said)

    def of_file(self, path: Path) -> tuple[_Said, str, list[str]]:
        """What is said of one file; raises InputError where there is nothing in it that the task asks for."""
        file, heard = None, list[_Said]()
        for classifier, modality in self.members:
            if file is None or modality.learned():  # what a fold learned of its people is part of reading
                file = read_file(modality, path, classifier.task_of_windows(modality))
            heard.append(_said(file, classifier.ask(modality, file.windows, file.rows)))
        said = _mean(heard)
        if not len(said.place):
            missing = f"one of {' | '.join(self.task.given)}, known beforehand" if self.task.given else "events"
            raise InputError(f"nothing in it to decide for task {self.task.name}", source=path, expected=missing)
        return said, f"{len(said.place)} items of {len(said.file.windows)} windows", said.file.left_out

    def lines(self, found: Sequence[_Said]) -> list[_Line]:
        if self.task.unit == "subject":
            return list(self._of_people(found))
        of_file = {"record": self._of_record, "dense": self._of_segments}.get(self.task.unit, self._of_items)
        return [line for said in found for line in of_file(said)]

    def _of_items(self, said: _Said) -> Iterator[_Line]:
        given = said.given.tolist()
        for i in said.place.argsort(kind="stable").tolist():
            where = (str(said.file.path), said.record, f"{said.place[i]:.3f}")
            yield (*where, *self._named(given[i]), *self._decided(said.probability[i]))

    def _of_record(self, said: _Said) -> Iterator[_Line]:
        import numpy as np

        for code in np.unique(said.given).tolist():
            own = said.probability[said.given == code]
            where = (str(said.file.path), said.record, str(len(own)))
            yield (*where, *self._named(code), *self._decided(own.mean(axis=0)))

    def _of_people(self, found: Sequence[_Said]) -> Iterator[_Line]:
        """A file of which nobody knows whose it is counts as a person of its own, as in training."""
        import numpy as np

        people: dict[str, list[_Said]] = {}
        for said in found:
            people.setdefault(said.file.subject or str(said.file.path), []).append(said)
        for name, own in people.items():
            given = np.concatenate([said.given for said in own])
            probability = np.concatenate([said.probability for said in own])
            for code in np.unique(given).tolist():
                part = probability[given == code]
                where = (name, str(len(own)), str(len(part)))
                yield (*where, *self._named(code), *self._decided(part.mean(axis=0)))

    def _of_segments(self, said: _Said) -> Iterator[_Line]:
        import numpy as np

        from .downstream.segments import predicted_segments

        step = self.task.step
        number = np.round(said.place / step - 0.5).astype(int)
        steps, place = np.unique(number, return_inverse=True)
        mean = np.zeros((len(steps), len(self.task.classes)))
        np.add.at(mean, place, said.probability)
        mean /= np.bincount(place)[:, None]
        for part in np.split(np.arange(len(steps)), np.flatnonzero(np.diff(steps) > 1) + 1):
            for code, first, stop in predicted_segments(self.task, mean[part]):
                sure = mean[part][first:stop, code].mean()
                ends = (f"{(steps[part[0]] + edge) * step:.3f}" for edge in (first, stop))
                yield (str(said.file.path), said.record, *ends, self.task.classes[code], f"{sure:.4f}")

    def _named(self, code: int) -> tuple[str, ...]:
        return (self.task.given[code],) if self.task.given else ()

    def _decided(self, said: np.ndarray) -> tuple[str, ...]:
        """Class and probabilities [class], or a number [1] and the class next to it."""
        from .downstream.metrics import decide

        classes = self.task.classes
        if self.task.numeric:
            nearest = classes[min(max(round(float(said[0])), 0), len(classes) - 1)] if classes else None
            return (f"{said[0]:.4f}", *([nearest] if nearest is not None else []))
        chosen = decide(said[None], self.task.multilabel)[0]
        if self.task.multilabel:
            name = "|".join(one for one, held in zip(classes, chosen, strict=True) if held)
        else:
            name = classes[chosen]
        return (name, *(f"{p:.4f}" for p in said))


def _said(file: FileRead, asked: Asked) -> _Said:
    import numpy as np

    start = np.array([window.start_s for window in file.windows])[asked.window]
    return _Said(file, start + asked.at, asked.given, asked.probability)


def _mean(heard: Sequence[_Said]) -> _Said:
    """Of what several say of one file, item by item."""
    import numpy as np

    first, *others = heard
    for other in others:
        if not (np.array_equal(first.place, other.place) and np.array_equal(first.given, other.given)):
            raise InputError("folds of the run find other items in it", source=first.file.path, fix="name one fold")
    return replace(first, probability=np.mean([said.probability for said in heard], axis=0))
