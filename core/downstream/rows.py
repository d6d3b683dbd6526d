"""Rows of the result table and what they were computed from."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..modality import SensorLoss
from .segments import Boundaries

if TYPE_CHECKING:
    from .occlusion import Occlusion
    from .served_classifier import ServedClassifier

MODELS = ("pretrained", "random-init", "scratch", "hand-features", "covariates", "prior")
# controls without an encoder: fits on what does not depend on a protocol
WITHOUT_ENCODER = ("hand-features", "covariates", "prior")
PROTOCOLS = ("knn", "linear", "layers", "attentive", "finetune", "semi", "side")
# those that train a head by gradients
TRAINED = ("attentive", "finetune", "semi", "side")
RANKING = "ranking"  # the one protocol of ranking tasks, of all their models
# which protocols a model can have; what is fitted without an encoder is called "linear"
SUPPORTED: dict[str, tuple[str, ...]] = {
    "pretrained": (*PROTOCOLS, RANKING),
    "random-init": ("knn", "linear", "layers", "attentive", "side", RANKING),
    "scratch": ("finetune", "semi", "side"),
    "hand-features": ("linear",),
    "covariates": ("linear",),
    "prior": ("linear",),
}

# below this many test subjects an interval is not worth believing; the result says so
FEW_SUBJECTS = 5

RowKey = tuple[str, str, float, int, int]
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Row:
    """One trained and tested model: `metrics` of the test side of one fold."""

    model: str
    protocol: str
    label_fraction: float
    seed: int
    fold: int
    metrics: dict[str, float]

    @property
    def key(self) -> RowKey:
        return (self.model, self.protocol, self.label_fraction, self.seed, self.fold)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Decisions of one row on its test side.

    label: [n] int64 or [n, class] 0/1. probability: [n, class]. subject, record: [n] codes of the store.
    item: [n] index into the store's items (that of the first window where a record or a subject is decided once).
    boundaries: onsets and offsets of the segments, for dense tasks.
    given: [n] code of what is known beforehand, default 0.
    values: {metric: [n]} of decisions that are scored one by one, as rankings are; they have no label or probability.
    """

    label: np.ndarray
    probability: np.ndarray
    subject: np.ndarray
    record: np.ndarray
    item: np.ndarray
    boundaries: Boundaries | None = None
    given: np.ndarray = None  # type: ignore[assignment]
    values: Mapping[str, np.ndarray] | None = None

    def __post_init__(self) -> None:
        if self.given is None:
            object.__setattr__(self, "given", np.zeros(len(self.label), np.int64))

    def part(self, chosen: np.ndarray) -> Prediction:
        """Some of the decisions: `chosen` [n] bool."""
        bounds = None if self.boundaries is None else self.boundaries.of_items(chosen)
        values = None if self.values is None else {name: found[chosen] for name, found in self.values.items()}
        names = ("label", "probability", "subject", "record", "item", "given")
        return Prediction(boundaries=bounds, values=values, **{name: getattr(self, name)[chosen] for name in names})

    @property
    def parts(self) -> list[Prediction]:
        """Those of each thing given; itself where that is one."""
        codes = np.unique(self.given)
        return [self] if len(codes) < 2 else [self.part(self.given == code) for code in codes]


@dataclass(frozen=True)
class Leak:
    """accuracy: mean over `subjects` people of the share of their held-out items that were told to be theirs.

    items: how many were asked about. within: what was held out of a person.
    """

    accuracy: float
    subjects: int
    items: int
    within: str


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything downstream evaluation found, of one fold or several.

    predictions: by `Row.key`. choices: by `Row.key`, what labelled subjects decided (strength, step, learner).
    also: scores beside a row, by (name, row): hand features' other learner, a pooled head's encoder alone, what is
        fine-tuned alone.
    embedding: {model: (features [n, d] float32, item index [n])} of a sample of test items, first seed and fold.
    histories: training curves by `Row.key`, lists of (step, loss).
    occlusion: what decisions of one trained model a fold rest on, by `Row.key`.
    fewer: further predictions of the rows, of test records that lost sensors, by (`Row.key`, loss).
    few: the rows once more, learned from so many labels of each class alone, by their number, see `few_labels`. Their
        `label_fraction` is 1: of those labels.
    longer: predictions of the rows for longer stretches of a record, by (`Row.key`, seconds), see `longer`.
    leak: by (model, fold), how well frozen features tell people apart, see `leak`.
    classes, subjects, records: names of the codes. unit: of the task.
    covariates: names of those in the row of that name, () = no such row.
    given: names of what is known beforehand; scores are means over them.
    served: the fine-tuned model of the first seed and all labels, to be kept with the run; at most one.
    ranked: of a ranking task, everything that ranks by its name, those without a row of the table too.
    seconds: {stage: time}. notes: what was left out and why.
    """

    rows: list[Row]
    predictions: dict[RowKey, Prediction]
    choices: dict[RowKey, dict[str, Any]]
    classes: tuple[str, ...]
    subjects: tuple[str, ...]
    records: tuple[str, ...]
    also: list[tuple[str, Row]] = field(default_factory=list)
    fewer: dict[tuple[RowKey, SensorLoss], Prediction] = field(default_factory=dict)
    longer: dict[tuple[RowKey, float], Prediction] = field(default_factory=dict)
    few: dict[int, Evaluation] = field(default_factory=dict)
    embedding: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    histories: dict[RowKey, list[tuple[int, float]]] = field(default_factory=dict)
    occlusion: dict[RowKey, Occlusion] = field(default_factory=dict)
    leak: dict[tuple[str, int], Leak] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unit: str = ""
    covariates: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    ranked: list[tuple[str, Row, Prediction]] = field(default_factory=list)
    served: list[ServedClassifier] = field(default_factory=list)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds the time of a `with` block to `seconds[stage]`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    def runs(self, model: str, protocol: str, label_fraction: float) -> list[Row]:
        """Rows of one line of the summary: all seeds and folds."""
        wanted = (model, protocol, label_fraction)
        return [row for row in self.rows if row.key[:3] == wanted]

    def lines(self) -> list[tuple[str, str, float]]:
        """(model, protocol, label fraction) of each line of the summary, in order of appearance."""
        return list(dict.fromkeys(row.key[:3] for row in self.rows))


def merge(evaluations: list[Evaluation]) -> Evaluation:
    """Folds together: rows are concatenated, times added; the first fold's embedding is kept."""
    first = evaluations[0]
    predictions = {key: value for e in evaluations for key, value in e.predictions.items()}
    seconds: dict[str, float] = {}
    for evaluation in evaluations:
        for stage, value in evaluation.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + value
    return Evaluation(
        rows=[row for e in evaluations for row in e.rows],
        predictions=predictions,
        choices={key: value for e in evaluations for key, value in e.choices.items()},
        classes=first.classes,
        subjects=first.subjects,
        records=first.records,
        also=[entry for e in evaluations for entry in e.also],
        fewer={key: value for e in evaluations for key, value in e.fewer.items()},
        longer={key: value for e in evaluations for key, value in e.longer.items()},
        few={per_class: merge([e.few[per_class] for e in evaluations]) for per_class in first.few},
        embedding=first.embedding,
        histories={key: value for e in evaluations for key, value in e.histories.items()},
        occlusion={key: value for e in evaluations for key, value in e.occlusion.items()},
        leak={key: value for e in evaluations for key, value in e.leak.items()},
        seconds=seconds,
        unit=first.unit,
        covariates=first.covariates,
        given=first.given,
        ranked=[entry for e in evaluations for entry in e.ranked],
        notes=list(dict.fromkeys([*(note for e in evaluations for note in e.notes), *_few(predictions)])),
    )


def join(parts: Sequence[Evaluation], models: Sequence[str]) -> Evaluation:
    """Rows of one fold, of some models in each part, as if they had been made together: in the order of `models`."""
    whole = merge(list(parts))

    def sort(found: dict[_Key, _Value]) -> dict[_Key, _Value]:
        return dict(sorted(found.items(), key=lambda entry: models.index(_model(entry[0]))))

    return replace(
        whole,
        rows=sorted(whole.rows, key=lambda row: models.index(row.model)),
        also=sorted(whole.also, key=lambda entry: models.index(entry[1].model)),
        predictions=sort(whole.predictions), choices=sort(whole.choices), histories=sort(whole.histories),
        fewer=sort(whole.fewer), longer=sort(whole.longer), occlusion=sort(whole.occlusion), leak=sort(whole.leak),
        few={per_class: join([part.few[per_class] for part in parts], models) for per_class in whole.few},
        embedding=sort({model: shown for part in parts for model, shown in part.embedding.items()}),
    )  # fmt: skip


def _model(key: Any) -> str:
    """That a key of `Evaluation` begins with: the name itself, a row's, or that of a row and what was done to it."""
    return key if isinstance(key, str) else _model(key[0])


def _few(predictions: dict[RowKey, Prediction]) -> list[str]:
    return few_subjects(len({int(s) for prediction in predictions.values() for s in np.unique(prediction.subject)}))


def few_subjects(count: int) -> list[str]:
    """A warning where an interval over so many test subjects would promise more than it can hold."""
    if not 0 < count < FEW_SUBJECTS:
        return []
    who = "one test subject" if count == 1 else f"{count} test subjects"
    return [f"only {who}: nobody knows how far other people would move these scores, whatever the intervals say"]
