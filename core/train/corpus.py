"""The windows of a pretraining and where they came from, for targets that look behind the patches.

What such a target makes (codes of a teacher's states) is kept in the data cache, so that a second run, a resume and the
other processes of a distributed one read it instead of making it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..blocks.corpus import Corpus, RecordWindows
from ..blocks.encoder import Encoder
from ..data.arrays import ArrayWriter, open_arrays
from ..data.cache import obtain
from ..errors import InputError
from ..modality import Modality, Source
from ..sequence import PatchSequence
from .model_io import Model

if TYPE_CHECKING:
    from ..data.store import WindowStore


@dataclass(frozen=True)
class Origin:
    """sources: of all recordings of a store. load: the model of an earlier run that may be used, by its folder."""

    sources: Sequence[Source]
    load: Callable[[str], Model]


class StoreCorpus(Corpus):
    """Some windows of a store.

    windows: indices into the store. batch_size: of the batches. cache: root of the data cache, None = nothing is kept.
    """

    def __init__(
        self,
        store: WindowStore,
        modality: Modality,
        windows: np.ndarray,
        batch_size: int,
        origin: Origin | None = None,
        cache: Path | None = None,
        device: str = "cpu",
    ) -> None:
        self.store, self.modality, self.windows, self.batch_size = store, modality, windows, batch_size
        self.origin, self.cache, self.device = origin, cache, device

    @property
    def records(self) -> int:
        return len(self._by_record)

    @property
    def fingerprint(self) -> str:
        """The store's folder is named by everything its windows depend on."""
        chosen = np.ascontiguousarray(self.store.window_ids[self.windows], np.int64)
        return f"{self.store.folder.name}-{hashlib.sha256(chosen.tobytes()).hexdigest()[:16]}"

    def __call__(self) -> Iterator[PatchSequence]:
        for at in range(0, len(self.windows), self.batch_size):
            yield self.store.batch(self.windows[at : at + self.batch_size])

    def record(self, number: int) -> RecordWindows:
        rows = self._by_record[number]
        name = self.store.records[self.store.record_code[rows[0]]]
        source = self._sources.get(name)
        if source is None:
            raise InputError(
                "a target needs the recordings themselves, but it is not known where they lie", source=name,
                field="objective.targets", fix="pretrain through omnipatch run or pretrain",
            )  # fmt: skip
        start_s = self.store.start_s[rows] - (source.start_s or 0.0)
        return RecordWindows(self.modality.load(source), self.store.batch(rows), start_s)

    def trained(self, folder: str) -> tuple[Encoder, Modality]:
        if self.origin is None:
            raise InputError("earlier runs cannot be loaded here", source=folder, field="objective.targets")
        model = self.origin.load(folder)
        return model.encoder.to(self.device), model.modality

    def kept(self, kind: str, key: str, make: Callable[[], Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
        if self.cache is None:
            return make()
        return obtain(self.cache / kind / key, lambda folder: _write(folder, make()), lambda at: open_arrays(at)[1])

    @cached_property
    def _by_record(self) -> list[np.ndarray]:
        """Windows of each recording, recordings in order of their codes."""
        order = self.windows[np.argsort(self.store.record_code[self.windows], kind="stable")]
        codes = self.store.record_code[order]
        return np.split(order, np.flatnonzero(np.diff(codes)) + 1) if len(order) else []

    @cached_property
    def _sources(self) -> dict[str, Source]:
        return {} if self.origin is None else {source.record: source for source in self.origin.sources}


def _write(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    writer = ArrayWriter(folder)
    try:
        for name, array in arrays.items():
            writer.append(name, array)
        writer.finish({})
    finally:
        writer.close()
