"""A fine-tuned classifier in use: kept with its run, and asked about recordings that nobody labelled.

    classifier/model/             the fine-tuned encoder, a model folder as any other
    classifier/head.safetensors   head, and what is between it and the encoder
    classifier/head.json          the task, how an item is read, where decisions are made, how it did when it was tested

Decisions are computed by what computed the rows of the result table, from the same windows and patches.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ..batching import collate
from ..config import Recipe
from ..data.dense import steps_of
from ..data.items import Items
from ..errors import InputError, damaged
from ..modality import Modality, Task, Window, one_class
from ..sequence import PatchSequence
from ..train.atomic import file_sha256, replacing_folder
from ..train.model_io import Model, load_model, load_strictly, of_folds, read_tensors, save_model
from .classifier import ItemClassifier, further_views, predict
from .dense_head import DenseHead
from .heads import ItemHead, neighbourhood
from .layout import ItemLayout
from .operating_point import moved
from .readout import Readout
from .scaling import Standardizer
from .temporal import TemporalBranch

if TYPE_CHECKING:
    from ..data.store import WindowStore
    from .finetune import Trained
    from .trial import Trial

FOLDER = "classifier"
FORMAT = 1
_HEAD, _WEIGHTS = "head.json", "head.safetensors"
_BATCH = 64  # windows at a time
_TOLD = ("views", "seed", "people", "labels_of", "tested")  # what `head.json` says as it is


@dataclass(frozen=True, eq=False)
class Asked:
    """What was said of the items of some windows.

    window: [item] position among the windows. at: [item] place on the first axis, relative to the window's start.
    given: [item] code of what is known beforehand. probability: [item, class], or [item, 1] numbers.
    """

    window: np.ndarray
    at: np.ndarray
    given: np.ndarray
    probability: np.ndarray


@dataclass(frozen=True, eq=False)
class ServedClassifier:
    """A trained head on its encoder, and all that its decisions need.

    offsets: [given, class] by which probabilities are moved, None = not. centre, spread: [given] of numbers, as they
    were learned. views, seed: see `finetune.test_views`. people: how many's labels it learned from, of the data
    `labels_of`. tested: metrics of the test side of its run, of this model alone. precision: as `trainer.precision`.
    """

    model: ItemClassifier
    task: Task
    readout: Readout
    offsets: np.ndarray | None
    centre: np.ndarray
    spread: np.ndarray
    views: int
    seed: int
    people: int
    tested: Mapping[str, float]
    precision: str
    labels_of: str = ""

    @classmethod
    def of(
        cls, trained: Trained, trial: Trial, task: Task, readout: Readout, recipe: Recipe, tested: Mapping[str, float]
    ) -> ServedClassifier:
        models = trial.items.models
        known = len(trial.centre) == models
        centre, spread = (trial.centre, trial.spread) if known else (np.zeros(models), np.ones(models))
        people = len(np.unique(trial.items.subject[trial.learnable]))
        views, precision = recipe.finetune.test_views, recipe.trainer.precision
        decided = (trained.offsets, centre, spread, views, trial.seed)
        return cls(trained.model, task, readout, *decided, people, tested, precision)

    @property
    def classes(self) -> int:
        """Numbers said of an item."""
        return 1 if self.task.numeric else len(self.task.classes)

    # ---- files --------------------------------------------------------------------------------------------------

    def save(self, folder: Path, modality: Modality, recipe: Recipe, pretrained_on: str) -> None:
        """Write a classifier folder, replacing an older one. pretrained_on: names of data, for its card."""
        state = {name: value.detach().cpu().contiguous() for name, value in self._rest().state_dict().items()}
        with replacing_folder(folder) as part:
            what = ", ".join(self.task.classes) or "a number"
            facts = {
                "pretraining data": pretrained_on,
                "fine-tuned for": f"{self.task.name} ({what})",
                "with labels of": f"{self.people} people of {self.labels_of}",
            }
            save_model(part / "model", self.model.encoder, modality, recipe, facts, tuned=True)
            save_file(state, part / _WEIGHTS, metadata={"format": "pt"})
            (part / _WEIGHTS).chmod((part / "model" / "config.json").stat().st_mode)  # safetensors: the owner alone
            about = {
                "format": FORMAT,
                "task": dataclasses.asdict(self.task),
                "readout": dataclasses.asdict(self.readout),
                "temporal_blocks": 0 if self.model.temporal is None else len(self.model.temporal.blocks),
                "side_features": 0 if isinstance(self.model.head, DenseHead) else len(self.model.head.side_mean),
                "linear_path": isinstance(self.model.head, ItemHead) and self.model.head.linear is not None,
                "offsets": None if self.offsets is None else self.offsets.tolist(),
                "centre": np.asarray(self.centre, float).tolist(),
                "spread": np.asarray(self.spread, float).tolist(),
                **{name: getattr(self, name) for name in _TOLD},
                "weights_sha256": file_sha256(part / _WEIGHTS),
            }
            (part / _HEAD).write_text(json.dumps(about, indent=2) + "\n")

    @classmethod
    def load(cls, source: Path | str) -> list[tuple[ServedClassifier, Model]]:
        """That of a run, fold or classifier folder, or one a fold, each with the model that its encoder is of.

        Raises InputError when there is none, CorruptFileError when a file is damaged or does not fit the others.
        """
        return [cls._load(folder) for folder in _folders(Path(source))]

    @classmethod
    def _load(cls, folder: Path) -> tuple[ServedClassifier, Model]:
        model = load_model(folder / "model")
        try:
            about = json.loads((folder / _HEAD).read_text(encoding="utf-8"))
            if about["format"] != FORMAT:
                raise InputError(
                    "unknown classifier format", source=folder / _HEAD, got=about["format"], expected=FORMAT,
                    fix="install the version of omnipatch that wrote it",
                )  # fmt: skip
            task, readout = Task(**_tuples(about["task"])), Readout(**_tuples(about["readout"]))
            offsets = None if about["offsets"] is None else np.array(about["offsets"])
            centre, spread = np.array(about["centre"]), np.array(about["spread"])
            told = {name: about[name] for name in _TOLD}
            classifier = _built(model, task, readout, about)
        except (OSError, ValueError, KeyError, TypeError) as error:
            got = "other fields" if isinstance(error, KeyError | TypeError) else error
            raise damaged(folder / _HEAD, got) from error
        precision = model.recipe.trainer.precision
        served = cls(classifier, task, readout, offsets, centre, spread, **told, precision=precision)
        state = read_tensors(folder / _WEIGHTS, about, "weights_sha256", load_file)
        load_strictly(served._rest(), state, folder / _WEIGHTS)
        classifier.eval()
        return served, model

    def _rest(self) -> nn.ModuleDict:
        """All modules but the encoder."""
        modules: dict[str, nn.Module] = {"head": self.model.head}
        if self.model.temporal is not None:
            modules["temporal"] = self.model.temporal
        return nn.ModuleDict(modules)

    # ---- use ----------------------------------------------------------------------------------------------------

    def task_of_windows(self, modality: Modality) -> str | None:
        """For which of its tasks a modality makes the windows: labels of the user's own are beside its usual one."""
        return self.task.name if self.task.name in modality.tasks() else modality.hand_task or None

    def ask(self, modality: Modality, windows: Sequence[Window], rows: Sequence[PatchSequence]) -> Asked:
        """What it says of every item that the windows hold; `rows` are their patches."""
        items = self._items(windows)
        every = np.arange(len(items))
        said = predict(
            self.model, cast("WindowStore", _Rows(rows)), ItemLayout(items, every), every,
            multilabel=self.task.multilabel, batch_size=_BATCH, precision=self.precision,
            views=further_views(modality, self.seed, self.views),
        ) if len(items) else np.empty((0, self.classes), np.float32)  # fmt: skip
        if self.offsets is not None:
            said = moved(said, self.offsets[items.given], several=self.task.multilabel)
        if self.task.numeric:
            said = said * self.spread[items.given, None] + self.centre[items.given, None]
        return Asked(items.window, items.at, items.given, said)

    def _items(self, windows: Sequence[Window]) -> Items:
        """Everything in the windows that the task may be asked of, labelled or not; none has a label here."""
        found = [_asked_of(window, self.task) for window in windows]
        window = np.repeat(np.arange(len(windows)), [len(at) for at, _ in found])
        at = np.concatenate([at for at, _ in found]).astype(np.float32)
        features = np.concatenate([features for _, features in found]).astype(np.float32)
        given = np.zeros(len(windows), np.int64)
        if self.task.given:
            given = np.array([one_class(window.label, self.task.given) for window in windows], np.int64)
        kept = given[window] >= 0  # which head is asked must be known
        window, at, features = window[kept], at[kept], features[kept]
        label = np.full((len(window), self.classes), np.nan, np.float32)
        if not self.task.multilabel:
            label = label[:, 0] if self.task.numeric else np.full(len(window), -1)
        nobody = np.zeros(len(window), np.int64)
        return Items(
            window, at, label, features, np.empty((len(window), 0), np.float32), nobody, nobody, self.task.unit,
            () if self.task.numeric else self.task.classes, given=given[window], given_names=self.task.given,
        )  # fmt: skip


class _Rows:
    """As much of a store as predicting needs: rows of patches that are in memory."""

    def __init__(self, rows: Sequence[PatchSequence]) -> None:
        self.rows, self.lengths = rows, np.array([row.n_patches for row in rows])

    def batch(self, indices: np.ndarray) -> PatchSequence:
        return collate([self.rows[i] for i in indices]).replace(window=torch.from_numpy(np.asarray(indices)))


def _asked_of(window: Window, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Places [item] of the first axis in a window, and their side features [item, feature]."""
    if task.unit == "event":
        if window.events is None:
            return np.empty(0), np.empty((0, len(task.event_features)))
        return window.events.at, window.events.features
    if task.unit == "dense":
        at = (np.arange(steps_of(window, task)) + 0.5) * task.step
        return at, np.empty((len(at), 0))
    return np.zeros(1), np.empty((1, 0))


def _built(model: Model, task: Task, readout: Readout, about: Mapping[str, Any]) -> ItemClassifier:
    """The classifier with weights still to be loaded."""
    width, spec = model.encoder.width, model.modality.spec
    if task.unit == "dense":
        head = DenseHead(width, task, spec, dropout=0.0)
    else:
        count, classes = int(about["side_features"]), 1 if task.numeric else len(task.classes)
        side = Standardizer(np.zeros(count, np.float32), np.ones(count, np.float32))
        models = max(1, len(task.given))
        head = ItemHead(width, readout, neighbourhood(task, spec), side, classes, 0.0, models)
        if about["linear_path"]:
            head.linear = nn.Linear(readout.size(width), models * classes)
    blocks = int(about["temporal_blocks"])
    temporal = TemporalBranch(width, spec, blocks, dropout=0.0) if blocks else None
    return ItemClassifier(model.encoder, head, frozen=False, temporal=temporal)


def _folders(source: Path) -> list[Path]:
    """The classifier folders that a path means."""
    for folder in (source / FOLDER, source):
        if (folder / _HEAD).is_file():
            return [folder]
    if heads := of_folds(source, f"{FOLDER}/{_HEAD}"):
        return [head.parent for head in heads]
    raise InputError(
        "no classifier here", source=source, expected=f"a run that fine-tuned, with a folder {FOLDER}",
        fix=f"omnipatch finetune RECIPE --from {source}",
    )  # fmt: skip


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as they were before JSON made lists of tuples."""

    def restored(value: Any) -> Any:
        return tuple(map(restored, value)) if isinstance(value, list) else value

    return {name: restored(value) for name, value in fields.items()}
