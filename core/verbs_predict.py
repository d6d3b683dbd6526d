"""The verb `predict`: what the classifier of a run says of files that nobody labelled."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
    classifier, model = ServedClassifier.load(given.source)
    modality = modality_for_files(model, overrides).serving()
    voice.step(_about(classifier))
    decisions = _Decisions(classifier, modality)
    found, problems = each_file(given.files, decisions.of_file, voice)
    lines = decisions.lines(found)
    if target is None:
        voice.table(decisions.head, lines)
    else:
        from .run_folder import write_csv

        write_csv(target, decisions.head, lines)
        voice.result(f"{target}: {len(lines)} decisions about {len(found)} files")
    return 1 if problems else 0


def _about(classifier: ServedClassifier) -> str:
    """What it is, and how it did on people it had not seen."""
    from .report.words import metric_label

    task = classifier.task
    what = f"{task.name}: {', '.join(task.classes) or 'a number'}"
    learned = f"learned from {classifier.people} people of {classifier.labels_of}"
    names = ("macro_f1", "auroc", "mae", "spearman")
    tested = [f"{metric_label(m)} {classifier.tested[m]:.3f}" for m in names if m in classifier.tested]
    return f"{what}, {learned}; tested on others: {', '.join(tested) or 'never'}"


@dataclass(frozen=True, eq=False)
class _Said:
    """A file and what was said of the items in it."""

    file: FileRead
    asked: Asked

    @property
    def start_s(self) -> np.ndarray:
        """[item] of the window that it is in."""
        import numpy as np

        return np.array([window.start_s for window in self.file.windows])[self.asked.window]

    @property
    def record(self) -> str:
        return self.file.windows[0].record


class _Decisions:
    """From what is said of items to lines of a table, as the task decides.

    A record or a person is decided once, by the mean over the windows; segments of a dense task by the mean of all
    windows at each step.
    """

    def __init__(self, classifier: ServedClassifier, modality: Modality) -> None:
        self.classifier, self.modality, self.task = classifier, modality, classifier.task
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
        file = read_file(self.modality, path, self.classifier.task_of_windows(self.modality))
        asked = self.classifier.ask(self.modality, file.windows, file.rows)
        if not len(asked.window):
            missing = f"one of {' | '.join(self.task.given)}, known beforehand" if self.task.given else "events"
            raise InputError(f"nothing in it to decide for task {self.task.name}", source=path, expected=missing)
        return _Said(file, asked), f"{len(asked.window)} items of {len(file.windows)} windows", file.left_out

    def lines(self, found: Sequence[_Said]) -> list[_Line]:
        if self.task.unit == "subject":
            return list(self._of_people(found))
        of_file = {"record": self._of_record, "dense": self._of_segments}.get(self.task.unit, self._of_items)
        return [line for said in found for line in of_file(said)]

    def _of_items(self, said: _Said) -> Iterator[_Line]:
        place = said.start_s + said.asked.at
        given = said.asked.given.tolist()
        for i in place.argsort(kind="stable").tolist():
            where = (str(said.file.path), said.record, f"{place[i]:.3f}")
            yield (*where, *self._named(given[i]), *self._decided(said.asked.probability[i]))

    def _of_record(self, said: _Said) -> Iterator[_Line]:
        import numpy as np

        for code in np.unique(said.asked.given).tolist():
            own = said.asked.probability[said.asked.given == code]
            where = (str(said.file.path), said.record, str(len(own)))
            yield (*where, *self._named(code), *self._decided(own.mean(axis=0)))

    def _of_people(self, found: Sequence[_Said]) -> Iterator[_Line]:
        """A file of which nobody knows whose it is counts as a person of its own, as in training."""
        import numpy as np

        people: dict[str, list[_Said]] = {}
        for said in found:
            people.setdefault(said.file.subject or str(said.file.path), []).append(said)
        for name, own in people.items():
            given = np.concatenate([said.asked.given for said in own])
            probability = np.concatenate([said.asked.probability for said in own])
            for code in np.unique(given).tolist():
                part = probability[given == code]
                where = (name, str(len(own)), str(len(part)))
                yield (*where, *self._named(code), *self._decided(part.mean(axis=0)))

    def _of_segments(self, said: _Said) -> Iterator[_Line]:
        import numpy as np

        from .downstream.segments import predicted_segments

        step = self.task.step
        number = np.round((said.start_s + said.asked.at) / step - 0.5).astype(int)
        steps, place = np.unique(number, return_inverse=True)
        mean = np.zeros((len(steps), len(self.task.classes)))
        np.add.at(mean, place, said.asked.probability)
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
