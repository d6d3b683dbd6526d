"""The adapter contract: how a modality turns files into patch sequences.

A modality is one class, registered under the entry-point group `omnipatch.modalities`. The built-ins use the same
door as anyone else, so the core has no list of modalities. `omnipatch.core.testing.check_modality` is the
executable form of this page.

    read(path) -> Recording -> windows(recording) -> [Window] -> patchify(window) -> PatchSequence (one row)

What the core asks of every modality, beyond the types
- The whole preprocessing is in the frozen `Config`; it is saved with the weights and applied again at inference.
- Sensors are known by name and position, never by their place in a list; what is missing is `valid=False` (a
  whole patch) or NaN (a part of a joint patch).
- Nothing here draws from global random state, and inputs are never modified.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .crop import crop
from .errors import InputError
from .known import KnownIds, Unknown
from .ranking import Leaks, RankingField
from .recording import Annotation as Annotation
from .recording import Recording as Recording
from .rng import RowRandom
from .seeing import Seeing
from .sequence import PatchSequence, SequenceSpec
from .task import Task as Task

API_VERSION = 1


@dataclass(frozen=True, eq=False)
class WindowEvents:
    """Points inside a window that a task labels (see `sequence.Events` for the batched form).

    at: [event] position on the first coordinate axis, in its unit, relative to the window's start.
    label: [event] names, "" = not labelled for this task.
    features: [event, feature] float32 side information given to every head beside the tokens, random-init and
        scratch controls included.
    hand: [event, feature] float32 features of the field's own hand-made baseline.
    """

    at: np.ndarray
    label: tuple[str, ...]
    features: np.ndarray
    hand: np.ndarray


@dataclass(frozen=True, eq=False)
class WindowSegments:
    """Stretches of a window that a dense task labels (waves of a heartbeat, phones, movements).

    onset, offset: [segment] places on the first coordinate axis, in its unit, relative to the window's start.
    label: [segment] names; a later segment wins where two overlap.
    known: [stretch, 2] where labels are complete: outside all segments it is the task's background there, and
        unlabelled elsewhere. A place belongs to one window: where windows overlap, only one of them knows it.
    """

    onset: np.ndarray
    offset: np.ndarray
    label: tuple[str, ...]
    known: np.ndarray


@dataclass(frozen=True, eq=False)
class WindowQuestion:
    """What a ranking task asks of a window: which ids it does not show belong to it.

    ids: [id] int64 of the first id column; none of them is in the window.
    side: "validation" or "test". A person may have a window for each; the one for the test may show what the other is
        asked for, and is not trained on then.
    held_out: the person is: nothing of them is learned from, and the window is only there to be asked.
    """

    ids: np.ndarray
    side: str
    held_out: bool = False


@dataclass(frozen=True, eq=False)
class Window:
    """A preprocessed stretch of one recording, ready to be cut into patches.

    values: [sensor, sample] float32 after preprocessing; NaN = missing.
    start_s: where the window starts in its recording.
    label: class names of the window (or of its recording) under the chosen task.
    hand: [feature] float32 hand-made features for tasks that label windows, or None.
    """

    values: np.ndarray
    sensors: tuple[str, ...]
    sfreq_hz: float
    start_s: float
    record: str
    subject: str = ""
    site: str = ""
    label: tuple[str, ...] = ()
    events: WindowEvents | None = None
    hand: np.ndarray | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    segments: WindowSegments | None = None
    question: WindowQuestion | None = None


@dataclass(frozen=True)
class SensorLoss:
    """Sensors taken away from a recording before anything else sees it, to test what a model can do without.

    dropped: how many; one at least stays. draw: number of the random choice of which.
    """

    dropped: int
    draw: int = 0


@dataclass(frozen=True)
class Source:
    """One recording a data set offers: where it lies and what is known before it is opened.

    path: file to hand to `Modality.read`, or None for generated data (then `seed` makes it).
    split: side fixed by the data set's authors ("train", "test", "validation") or "".
    fold: number of the fold by which its authors or users divide it, -1 = none. All recordings of a subject have one.
    """

    path: Path | None
    record: str
    subject: str = ""
    site: str = ""
    split: str = ""
    label: tuple[str, ...] = ()
    start_s: float | None = None
    stop_s: float | None = None
    seed: int | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    sensor_loss: SensorLoss | None = None
    fold: int = -1


@dataclass(frozen=True)
class Dataset:
    """A named public data set: its own layout, read in place.

    folder: where it lies under `$OMNIPATCH_DATA`, e.g. "ecg/mitdb".
    list_sources: root folder -> sources; raises InputError that says which layout was expected.
    tasks: names of the tasks its labels support, the first is the default.
    downloads: file name -> (url, sha256) for `omnipatch data fetch`; empty when it may not be fetched.
    instructions: what to do when it cannot be downloaded (credentials, licence).
    covariates: names of extras of its sources that tell of people without any signal (age, sex); a model of them alone
        is a control of every score.
    folds: of subjects, by which those who publish on it divide it; 0 = no custom. For data sets without official sides.
        Where it is also custom who is in which, `Source.fold` says so.
    holds: other named data sets -> the names under which their recordings are in this one too ("HR*"), so that nobody
        pretrains on the people he tests.
    """

    name: str
    folder: str
    list_sources: Any
    tasks: tuple[str, ...]
    licence: str = ""
    citation: str = ""
    downloads: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    instructions: str = ""
    covariates: tuple[str, ...] = ()
    folds: int = 0
    holds: Mapping[str, str] = field(default_factory=dict)


class Modality(ABC):
    """Base class of all adapters. See the module's docstring for the contract."""

    name: ClassVar[str]
    api_version: ClassVar[int] = API_VERSION
    Config: ClassVar[type]  # a frozen dataclass, each field with a comment and a default
    # fields of Config that say how files are read, not what patches mean: with `--from RUN` they may be given anew
    reading_options: ClassVar[tuple[str, ...]] = ()
    # the one of `datasets` that is made of the user's own files: meant by `--data.root FILE` alone, "" = there is none
    own_dataset: ClassVar[str] = ""
    # the one of `tasks` whose hand features of windows say something of any label of a recording, so that labels that
    # are the user's own have them too; "" = there is none
    hand_task: ClassVar[str] = ""

    def __init__(self, config: Any = None) -> None:
        self.config = self.Config() if config is None else config

    # ---- what every adapter provides --------------------------------------------------------------------------

    @property
    @abstractmethod
    def spec(self) -> SequenceSpec:
        """Axes, units and patch shape that this configuration yields."""

    @abstractmethod
    def read(self, path: Path | str) -> Recording:
        """Open one file in its native format. Raises CorruptFileError or InputError, nothing else."""

    @abstractmethod
    def windows(self, recording: Recording, task: str | None = None) -> list[Window]:
        """Preprocess and cut a recording; labels, events and hand features are those of `task` (None = no labels)."""

    @abstractmethod
    def patchify(self, window: Window) -> PatchSequence:
        """One row without events: the core adds provenance, labels and events from the window itself."""

    @abstractmethod
    def example(self, rng: np.random.Generator) -> Recording:
        """A physiologically sensible synthetic recording with labels, a pure function of `rng`."""

    # ---- what an adapter may provide --------------------------------------------------------------------------

    def unpatchify(self, sequence: PatchSequence) -> list[np.ndarray]:
        """The inverse of `patchify` for each row (values only), where one exists."""
        raise NotImplementedError(f"modality {self.name} has no inverse of patchify")

    def augment(self, batch: PatchSequence, rng: RowRandom) -> PatchSequence:
        """A label-safe random view of a batch, for contrastive objectives and fine-tuning. Default: unchanged."""
        return batch

    def maskers(self) -> dict[str, dict[str, Any]]:
        """Named maskings that make sense for this modality: {name: mask sampler options}."""
        return {"random": {"name": "random"}}

    def tasks(self) -> dict[str, Task]:
        """Tasks that labels of this modality support."""
        return {}

    def datasets(self) -> dict[str, Dataset]:
        """Public data sets this adapter can read in their own layout."""
        return {}

    def prompts(self) -> dict[str, Path]:
        """Sentences that describe classes, for zero-shot evaluation: {name: YAML file}, see `downstream/prompts.py`."""
        return {}

    def demo(self, seed: int = 0) -> list[Source]:
        """Sources of the embedded demo set (`path=None`): several subjects, seeds in `Source.seed`."""
        return [
            Source(path=None, record=f"demo{i:03d}", subject=f"demo{i:03d}", seed=seed * 1000 + i) for i in range(12)
        ]

    @property
    def stamp(self) -> str:
        """What must be said beside every score of this configuration, "" = nothing: that it knows something of the
        people who are tested, for instance."""
        return ""

    def fitted(self, sources: Sequence[Source]) -> Modality:
        """This adapter, knowing what only the data can tell it: which items a catalogue has, what place each takes.

        Called once, before windows are made; an adapter that knows it already (`restored`) stays as it is. What will be
        asked for in a test must not be looked at.
        """
        return self

    def learned(self) -> Mapping[str, np.ndarray]:
        """What `fitted` found, {name: array}: saved beside the weights. Empty = nothing but the config."""
        return {}

    def restored(self, learned: Mapping[str, np.ndarray]) -> Modality:
        """An adapter of the same config that knows what another one had learned."""
        return self

    def serving(self) -> Modality:
        """This adapter as it reads files for use: it holds nothing back for a test."""
        return self

    def id_names(self) -> Sequence[str]:
        """[id] names of the ids of the first column, for rankings that are read."""
        return [str(number) for number in range(self.spec.vocabulary[0])]

    def known_of_ids(self) -> KnownIds | None:
        """What is known of ids before anything is trained; None = nothing."""
        return None

    def unknown(self, recording: Recording) -> Unknown:
        """Ids and people of a recording that `windows` leaves out because nothing is known of them."""
        return Unknown()

    def ranking(self) -> RankingField:
        """How ids are ranked without training, and how good a ranking is, for ranking tasks."""
        raise NotImplementedError(f"modality {self.name} has no ranking tasks")

    def leaks(self, sources: Sequence[Source]) -> list[Leaks]:
        """What the sources let slip between what is learned from and what is tested, where a ranking task holds back
        ids of everybody and no split by subject can see it."""
        return []

    def relate(self, sources: Sequence[Source]) -> list[Source]:
        """A look at all sources before any is opened, for preprocessing of one recording that needs others.

        Returns them in the same order, with what `load` needs to know in `extras`.
        """
        return list(sources)

    def open(self, source: Source) -> Recording:
        """The stretch that a source names: of a file through `read`, of generated data through `example`.

        A format that can be read in part should be: a manifest may cut many stretches out of one long file.
        """
        whole = self.example(np.random.default_rng(source.seed)) if source.path is None else self.read(source.path)
        return crop(whole, source.start_s, source.stop_s)

    def load(self, source: Source) -> Recording:
        """Open a source and add what it knows of the recording."""
        from dataclasses import replace

        recording = self.open(source)
        changes: dict[str, Any] = {"record": source.record}
        for name in ("subject", "site", "label"):
            if getattr(source, name):
                changes[name] = getattr(source, name)
        if source.extras:
            changes["extras"] = {**recording.extras, **source.extras}
        return replace(recording, **changes)

    def quality(self, recording: Recording) -> dict[str, str]:
        """Sensors that should not be trusted: {sensor: reason}; they are counted in the report."""
        return {}

    def seeing(self) -> Seeing:
        """Names and drawings of places and parts, for reports and notebooks; see `core/seeing.py`."""
        return Seeing()

    def task(self, name: str) -> Task:
        """Look up a task, naming the nearest known one when it is unknown."""
        tasks = self.tasks()
        if name not in tasks:
            from .errors import nearest

            raise InputError(
                f"modality {self.name} has no task {name!r}", expected=sorted(tasks), fix=nearest(name, tasks)
            )
        return tasks[name]


def one_class(labels: Iterable[str], classes: Sequence[str]) -> int:
    """Integer code of a single-class label, -1 when none of `classes` is among `labels`."""
    for label in labels:
        if label in classes:
            return classes.index(label)
    return -1
