"""From a recipe's `data` block to a list of sources: the demo set, a named data set, or the user's manifest.

Design decisions
- A data set's root is `--data.root`, else its folder under `$OMNIPATCH_DATA`.
- Data sets of `pretrain_with` join with the side "pretrain": their labels and the task are ignored, they are never
  on any side of the split, and their names carry the data set's name so that record 100 of two sets stays two records.
- A file that is also in the evaluated set is no addition: it would bring its test subjects into pretraining under
  another name. So is a recording of which its data set says so (`Dataset.holds`); other copies are not noticed.
- `limit` takes records from all official sides and fixed folds in turn, so that a quick look still has something to
  test on.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import chain, zip_longest
from pathlib import Path

from ..config import DataConfig
from ..errors import InputError, nearest
from ..modality import Dataset, Modality, Source, Task
from .label_task import MADE, label_task
from .manifest import COVARIATES, read_manifest
from .numbers import parse_number

PRETRAIN_SIDE = "pretrain"  # value of Source.split for unlabelled additions


@dataclass(frozen=True)
class SourceList:
    """What a recipe's data block names.

    task: what the labels support, None = no labels. A task called "manifest" is made from the manifest's own labels.
    note: what a reader of the results must know about this choice, "" = nothing.
    covariates: names of `Source.extras` that tell of people without any signal.
    folds: as the data set has them.
    """

    sources: tuple[Source, ...]
    name: str
    task: Task | None
    licence: str = ""
    note: str = ""
    covariates: tuple[str, ...] = ()
    folds: int = 0

    def __iter__(self) -> Iterator[Source]:
        return iter(self.sources)

    def __len__(self) -> int:
        return len(self.sources)


NAMELESS = (
    "no row of the manifest says who was recorded: where the file does not either, each counts as a person of its own, "
    "and files of one person may lie on both sides"
)

WHOLE_NUMBERS = (
    "the labels are whole numbers and were taken for names of classes: say --data.scale ordinal where they are "
    "degrees, interval where they are amounts"
)


def resolve_sources(modality: Modality, data: DataConfig) -> SourceList:
    """Sources, task, licence and notes of `data`.

    Raises InputError for an unknown data set or task, a missing root, a wrong layout or a bad manifest.
    """
    notes: list[str] = []
    covariates: tuple[str, ...] = ()
    folds = 0
    if data.manifest is not None or data.name == "manifest":
        if data.manifest is None:
            raise InputError("no manifest given", fix="add --data.manifest FILE.csv")
        sources, name, licence = read_manifest(data.manifest), "manifest", ""
        covariates = COVARIATES
        task = modality.task(data.task) if data.task else label_task(sources, modality, data.scale)
        if task is not None and task.name != MADE and not data.task and task.unit != "ranking":
            notes.append(f"the labels were taken for those of task {task.name}, whose classes they are among")
        if task is not None and _named_by_numbers(task):
            notes.append(WHOLE_NUMBERS)
        if len(sources) > 1 and not any(source.subject for source in sources) and not modality.spec.vocabulary:
            notes.append(NAMELESS)
    elif data.name == "demo":
        sources, name, licence = list(modality.demo(data.demo_seed)), "demo", "generated"
        notes.append("synthetic demo data: scores say that the pipeline works, nothing about patients")
        tasks = modality.tasks()
        task = modality.task(data.task) if data.task else next(iter(tasks.values()), None)
    else:
        dataset = find_dataset(modality, data.name)
        sources, name, licence = list_dataset(dataset, dataset_root(dataset, data.root)), dataset.name, dataset.licence
        task = _dataset_task(modality, dataset, data, sources)
        covariates, folds = dataset.covariates, dataset.folds
    sources = modality.relate(sources)
    if data.limit is not None:
        if data.limit < 1:
            raise InputError("limit must be positive", field="data.limit", got=data.limit)
        notes.append(f"limited to {min(data.limit, len(sources))} of {len(sources)} recordings")
        sources = _first(sources, data.limit)
    for extra in dict.fromkeys(data.pretrain_with):
        added, repeated = _unlabelled(modality, extra, data, sources)
        sources += added
        notes.append(f"pretrained with {extra} too, without its labels")
        if repeated:
            notes.append(f"{repeated} recordings of {extra} left out of that, they are in {name} as well")
    return SourceList(tuple(sources), name, task, licence, "; ".join(notes), covariates, folds)


def _named_by_numbers(task: Task) -> bool:
    """Whether a task was made of numbers that may well be no names: of two, order and distance say nothing more."""
    made = task.name == MADE and not task.numeric and not task.multilabel
    return made and len(task.classes) > 2 and all(math.isfinite(parse_number(name)) for name in task.classes)


def find_dataset(modality: Modality, name: str) -> Dataset:
    """The named data set of a modality; an unknown name is an InputError with the nearest one."""
    datasets = modality.datasets()
    if name not in datasets:
        known = {*datasets, "demo", "manifest"}
        raise InputError(
            f"modality {modality.name} has no data set {name!r}", field="data.name", fix=nearest(name, known)
        )
    return datasets[name]


def dataset_root(dataset: Dataset, root: str | Path | None) -> Path:
    """Folder (or single file) of a named data set, which must exist."""
    base = os.environ.get("OMNIPATCH_DATA")
    if root is None and not base:
        raise InputError(
            f"data set {dataset.name} needs a folder", field="data.root",
            fix=f"give --data.root DIR, or set OMNIPATCH_DATA to the folder that holds {dataset.folder}",
        )  # fmt: skip
    folder = Path(root).expanduser() if root is not None else Path(base or "").expanduser() / dataset.folder
    if not folder.exists():
        raise InputError(
            "there is no such file or folder", source=folder, field="data.root",
            expected=f"the files of {dataset.name}",
            fix=f"correct --data.root, or run: omnipatch data fetch {dataset.name}",
        )  # fmt: skip
    return folder


def list_dataset(dataset: Dataset, root: Path) -> list[Source]:
    """Sources of a named data set; an empty listing or an unreadable folder is an InputError."""
    try:
        sources = list(dataset.list_sources(root))
    except OSError as error:
        raise InputError(f"the files of {dataset.name} cannot be listed", source=root, got=error) from error
    if not sources:
        raise InputError(
            f"no recording of {dataset.name} found", source=root, field="data.root", fix="check the layout"
        )
    return sources


def _dataset_task(modality: Modality, dataset: Dataset, data: DataConfig, sources: list[Source]) -> Task | None:
    """The task asked for, else the set's first. A set without tasks is a layout for anybody's data (BIDS): its labels
    mean what those of a manifest would, and its annotations may hold the classes of any task."""
    name = data.task
    if not dataset.tasks:
        return modality.task(name) if name else label_task(sources, modality, data.scale)
    if name is None:
        return modality.task(dataset.tasks[0])
    if name not in dataset.tasks:
        raise InputError(
            f"data set {dataset.name} has no labels for task {name!r}", field="data.task",
            expected=" | ".join(dataset.tasks), fix=nearest(name, dataset.tasks),
        )  # fmt: skip
    return modality.task(name)


def _first(sources: list[Source], limit: int) -> list[Source]:
    """The first `limit` sources, official sides and fixed folds taken in turn; the listed order is kept."""
    parts: dict[tuple[str, int], list[int]] = {}
    for position, source in enumerate(sources):
        parts.setdefault((source.split, source.fold), []).append(position)
    turns = chain.from_iterable(zip_longest(*parts.values()))
    kept = [position for position in turns if position is not None][:limit]
    return [sources[position] for position in sorted(kept)]


def _unlabelled(modality: Modality, name: str, data: DataConfig, evaluated: list[Source]) -> tuple[list[Source], int]:
    """Additions from data set `name`, and how many of its recordings are in the evaluated data themselves."""
    if data.manifest is None and name == data.name:
        raise InputError(
            "the data set is pretrained on already, test subjects aside", field="data.pretrain_with", got=name,
            fix="leave it out, or add the test subjects by name with --split.pretrain_on_test true",
        )  # fmt: skip
    if name == "demo":
        sources = list(modality.demo(0))
    else:
        dataset = find_dataset(modality, name)
        sources = list_dataset(dataset, dataset_root(dataset, None))
    sources = modality.relate(sources)
    known = {_stem(source.path) for source in evaluated if source.path is not None}
    copies = _copies(modality, name, data, evaluated)
    new = [
        source
        for source in sources
        if (source.path is None or _stem(source.path) not in known) and not fnmatchcase(source.record, copies)
    ]
    added = [
        replace(
            source,
            record=f"{name}/{source.record}",
            subject=f"{name}/{source.subject}" if source.subject else "",
            split=PRETRAIN_SIDE,
            label=(),
        )
        for source in new
    ]
    return added, len(sources) - len(new)


def _copies(modality: Modality, name: str, data: DataConfig, evaluated: list[Source]) -> str:
    """How those recordings of data set `name` are called that the evaluated one holds too, "" = there are none."""
    sets = modality.datasets()
    if data.manifest is not None or name not in sets or data.name not in sets:
        return ""
    if part := sets[data.name].holds.get(name, ""):
        ours = [source.record for source in evaluated if fnmatchcase(source.record, part)]
        if ours:
            raise InputError(
                f"{name} is a part of {data.name}: its people are tested", field="data.pretrain_with", got=name,
                expected=f"other people than those of {ours[0]}", fix="leave it out",
            )  # fmt: skip
    return sets[name].holds.get(data.name, "")


def _stem(path: Path) -> Path:
    """One name for the files of a recording (100, 100.hea, 100.dat)."""
    return path.resolve().with_suffix("")
