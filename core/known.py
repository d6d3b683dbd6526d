"""What is known of ids before anything is trained: between modalities that know it and blocks that use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


@dataclass(frozen=True, eq=False)
class KnownIds:
    """numbers: [id, number] float32 of the ids of each column, as wide as `SequenceSpec.known_of_ids` says.
    taken: [row, id] of ones, which ids of the first column occurred together in what may be learned from; None = not
        known. Where another column tells whose a row is, its ids are these rows.
    """

    numbers: Sequence[np.ndarray] = ()
    taken: csr_matrix | None = None


@dataclass(frozen=True)
class Unknown:
    """What of a recording a model cannot know. ids: names of ids it has never met; people: names of those of whose
    history it knows nothing."""

    ids: tuple[str, ...] = ()
    people: tuple[str, ...] = ()


def unknown_ids(unknown: Unknown) -> list[str]:
    """What to say of ids that a model has never met: one sentence, or none."""
    if not unknown.ids:
        return []
    return [f"left out of histories, the model does not know them: {counted(unknown.ids)}"]


def counted(names: Sequence[str]) -> str:
    """The first names, and how many there are."""
    return f"{', '.join(names[:3])}{', ...' * (len(names) > 3)} ({len(names)} in all)"
