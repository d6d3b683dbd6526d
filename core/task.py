"""What a modality's labels ask: the question of fine-tuning and evaluation, as data."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import InputError

EXTRA_TREES = "extra trees"
KERNEL_MACHINE = "kernel machine"
SCALES = ("nominal", "ordinal", "interval")
HAND_LEARNERS = ("logistic regression", "gradient boosting", EXTRA_TREES, KERNEL_MACHINE)


@dataclass(frozen=True)
class Task:
    """What fine-tuning and evaluation predict.

    unit: "event" (a label at a point, read from tokens around it), "window", "record" (windows averaged), "subject" (a
        decision a person: all windows of all recordings averaged), "dense" (a label at every `step` of the first
        axis, scored by where its segments begin and end), or "ranking" (all ids of the first column in the order in
        which they are likely to belong to a window that does not show them; no classes).
    classes: names in the order of the integer codes.
    multilabel: several classes may hold at once (labels become 0/1 vectors).
    offsets: for events and dense labels, distances along the first axis at which tokens are read around the point.
    event_features: names of the side features of each event, in order.
    step: dense only: distance of neighbouring labels, in the unit of the first axis.
    background: dense only: the class between segments; it has no onsets and no F1 of its own ("" = there is none).
    tolerance: dense only: how far a predicted onset or offset may lie from a true one to count as found.
    shortest: dense only: shorter predicted segments are joined to their longer neighbour.
    given: names of something known beforehand, which exercise was asked for, for instance; every window carries one of
        them beside its class in `Window.label`. Each has a head, or a model, of its own on one shared encoder, and
        scores are means over them. () = nothing is; windows without one of them are left out.
    scale: "nominal" (classes in no order), "ordinal" (classes in order, such as degrees of severity: a model says a
        number, counted from the first class) or "interval" (no classes: labels are numbers, which `Window.label`
        carries as text). The last two are scored by how far off the number is, and by its rank.
    hand_learner: what the field fits to hand features like these, one of `HAND_LEARNERS`; it makes their row. "" = the
        number of labels decides.
    """

    name: str
    unit: str
    classes: tuple[str, ...]
    multilabel: bool = False
    offsets: tuple[float, ...] = (0.0,)
    event_features: tuple[str, ...] = ()
    step: float = 0.0
    background: str = ""
    tolerance: float = 0.0
    shortest: float = 0.0
    given: tuple[str, ...] = ()
    hand_learner: str = ""
    scale: str = "nominal"

    @property
    def numeric(self) -> bool:
        """Whether what is predicted is a number."""
        return self.scale != "nominal"

    def __post_init__(self) -> None:
        self._check_scale()
        if self.unit == "dense" and not (self.step > 0 and self.tolerance > 0):
            raise InputError("a dense task needs a positive step and tolerance", field=f"task {self.name}")
        if self.background and self.background not in self.classes:
            raise InputError("the background is not a class", field=f"task {self.name}", got=self.background)
        if self.given and self.unit == "dense":
            raise InputError("a dense task has one head, whatever is given", field=f"task {self.name}")
        if self.hand_learner and self.hand_learner not in HAND_LEARNERS:
            raise InputError(
                f"unknown hand_learner {self.hand_learner!r}", field=f"task {self.name}",
                expected=" | ".join(HAND_LEARNERS),
            )  # fmt: skip
        both = sorted({*self.given} & {*self.classes})
        if both or len({*self.given}) < len(self.given):
            raise InputError(
                "names of what is given must differ, from classes too", field=f"task {self.name}",
                got=(both or list(self.given))[0],
            )  # fmt: skip

    def _check_scale(self) -> None:
        where = f"task {self.name}"
        if self.scale not in SCALES:
            raise InputError(f"unknown scale {self.scale!r}", field=where, expected=" | ".join(SCALES))
        if self.numeric and (self.multilabel or self.unit not in ("window", "record", "subject")):
            raise InputError("a number is one for each window, record or subject", field=where, got=self.unit)
        if bool(self.classes) != (self.scale != "interval") and self.numeric:
            raise InputError("an ordinal task has classes, an interval task has none", field=where, got=self.classes)
