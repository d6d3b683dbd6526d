"""Who is who: people of a training graph, found again in other files by their names.

Only a digest of each name is kept, so a model that is passed on lists nobody; who knows a name can still ask for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from hashlib import blake2b

import numpy as np

from ...core.recording import Recording
from .log import History

_DIGEST_BYTES = 8  # of a million names, two share one in a run of ten million


class People:
    """digests: [person] uint64, in order of codes."""

    def __init__(self, digests: np.ndarray) -> None:
        self.digests = np.asarray(digests, np.uint64)

    @classmethod
    def of_names(cls, names: Iterable[str]) -> People:
        return cls(np.array([_digest(name) for name in names], np.uint64))

    def __len__(self) -> int:
        return len(self.digests)

    @cached_property
    def _codes(self) -> dict[int, int]:
        return {digest: code for code, digest in enumerate(self.digests.tolist())}

    def code_of(self, name: str) -> int:
        """-1 = somebody new."""
        return self._codes.get(_digest(name), -1)


def name_of(recording: Recording, history: History) -> str:
    """Whose history it is: the recording's subject, else by the log's own table of people."""
    names = recording.extras.get("users")
    return recording.subject or (str(history.user) if names is None else str(names[history.user]))


def _digest(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=_DIGEST_BYTES).digest(), "little")
