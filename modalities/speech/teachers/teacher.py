"""What a teacher is: a recipe's choice, and once loaded a frozen model that has a state for each moment of a recording.

A teacher listens to whole recordings, not to windows: it hears what stands before and after, and its rate, its own
windows and its own preprocessing need not be those of the student. Times put the two together (`align`).
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

import torch
from torch import nn

from ....core.blocks.corpus import Corpus
from ....core.errors import InputError
from ....core.sequence import PatchSequence, SequenceSpec
from .states import HeardStates, TokenStates
from .track import Listener

Batches = Callable[[], Iterable[PatchSequence]]
ALIGNMENTS = ("nearest", "concat")


class Teacher(ABC):
    """Built from the options of a recipe, cheaply: weights are loaded when they are needed."""

    @abstractmethod
    def states(self, batches: Batches, spec: SequenceSpec, align: str) -> TokenStates:
        """Its states at the tokens of all windows.

        align: "nearest" takes the state nearest to a token's middle, "concat" as many as fall into a token.
        """


class ListeningTeacher(Teacher):
    """One that listens to recordings."""

    @abstractmethod
    def load(self, corpus: Corpus) -> Listener:
        """The model. Raises InputError when it cannot be had or is no teacher of this modality."""

    def states(self, batches: Batches, spec: SequenceSpec, align: str) -> TokenStates:
        if not isinstance(batches, Corpus):
            raise InputError(
                "a teacher that listens to recordings needs to know where they lie", source="objective.targets",
                fix="pretrain through omnipatch run or pretrain",
            )  # fmt: skip
        listener, token_s = self.load(batches), spec.axis_scales[0]
        ratio = max(1, round(token_s / listener.frame_s)) if align == "concat" else 1
        return HeardStates(batches, listener, token_s, ratio)


def weights_digest(model: nn.Module, *more: object) -> str:
    """Sixteen letters of all weights by name, and of what else is said."""
    digest = hashlib.sha256(repr(more).encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def chosen_layer(layer: int, depth: int) -> int:
    """Number of a layer counted from the end where it is negative; 0 is what enters the first. Raises InputError."""
    if not -depth - 1 <= layer <= depth:
        raise InputError(
            "the teacher has no such layer", source="objective.targets", field="teacher.layer", got=layer,
            expected=f"0 to {depth}, or {-depth - 1} to -1 from the end",
        )  # fmt: skip
    return layer % (depth + 1)
