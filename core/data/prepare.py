"""Fill a cache folder: every source through `make_shard`, appended record by record.

At most a few recordings are in memory at once, whatever the size of the corpus. Recordings are read by joblib
(`jobs` processes here, or whatever backend the caller has configured, e.g. Dask) and written in the listed order, so
the result does not depend on `jobs`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from ..errors import InputError
from ..modality import Modality, Source, Task
from .arrays import ArrayWriter
from .shard import Shard, Skipped, make_shard

Progress = Callable[[int, int], None]  # recordings done, recordings in all


def build_store(
    folder: Path,
    modality: Modality,
    sources: Sequence[Source],
    task: Task | None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> None:
    """Write the windows of all readable sources into an empty folder. Raises InputError when none is readable."""
    writer, names = ArrayWriter(folder), {name: Codes() for name in ("record", "subject", "site", "split")}
    patterns, ids = Codes(), WindowIds()
    skipped: list[Skipped] = []
    quality: dict[str, dict[str, str]] = {}
    texts: dict[str, str] = {}
    try:
        for done, (source, shard) in enumerate(zip(sources, _shards(modality, sources, task, jobs), strict=True), 1):
            if isinstance(shard, Shard):
                try:
                    _write(writer, shard, source, names, patterns, ids)
                except ValueError as error:  # e.g. another number of hand features than the records before
                    shard = Skipped(str(source.path or "generated"), source.record, str(error))
                else:
                    quality.update({shard.record: dict(shard.quality)} if shard.quality else {})
                    texts.update({shard.record: shard.text} if shard.text else {})
            if isinstance(shard, Skipped):
                skipped.append(shard)
            if progress is not None:
                progress(done, len(sources))
        if len(skipped) == len(sources):
            raise _nothing_read(modality, skipped)
        writer.finish(
            {
                "modality": modality.name,
                "spec": dataclasses.asdict(modality.spec),
                "task": dataclasses.asdict(task) if task else None,
                "names": {name: list(codes.names) for name, codes in names.items()},
                "patterns": [np.flatnonzero(np.frombuffer(p, bool)).tolist() for p in patterns.names],
                "skipped": [dataclasses.asdict(entry) for entry in skipped],
                "quality": quality,
                "texts": texts,
            }
        )
    finally:
        writer.close()


class Codes:
    """Integer codes of names in order of appearance; the empty name is unknown, -1."""

    def __init__(self) -> None:
        self.names: dict[Any, int] = {}

    def code(self, name: Any) -> int:
        return self.names.setdefault(name, len(self.names)) if name else -1


class WindowIds:
    """Stable unique ids: a hash of where the window comes from, so they do not depend on the other sources."""

    def __init__(self) -> None:
        self._used: set[int] = set()

    def make(self, source: Source, record: str, start_s: float) -> int:
        """63-bit id of a window; equal origins (windows that start together) are told apart by a counter."""
        count = 0
        while True:
            origin = f"{record}\n{source.start_s}\n{source.stop_s}\n{source.seed}\n{start_s:.6f}\n{count}"
            number = int.from_bytes(hashlib.blake2b(origin.encode(), digest_size=8).digest(), "big") >> 1
            if number not in self._used:
                self._used.add(number)
                return number
            count += 1


def _shards(modality: Modality, sources: Sequence[Source], task: Task | None, jobs: int) -> Iterator[Shard | Skipped]:
    if jobs == 1:
        return (make_shard(modality, source, task) for source in sources)
    shards: Any = Parallel(n_jobs=jobs, return_as="generator")(delayed(make_shard)(modality, s, task) for s in sources)
    return shards


# rows of a shard that must agree in width between records; checked before anything of the shard is written
_RAGGED = ("values", "ids", "valid", "kind", "group", "coords", "edges", "hand",
           "event_at", "event_label", "event_features", "event_hand", "dense", "asked")  # fmt: skip
_PER_WINDOW = (
    "length",
    "n_values",
    "n_edges",
    "n_events",
    "n_hand",
    "n_dense",
    "start_s",
    "label",
    "given",
    "n_asked",
    "asked_side",
    "asked_held_out",
)


def _write(
    writer: ArrayWriter, shard: Shard, source: Source, names: dict[str, Codes], patterns: Codes, ids: WindowIds
) -> None:
    arrays = {name: shard.arrays[name] for name in _PER_WINDOW if name in shard.arrays}
    arrays |= {name: shard.arrays[name] for name in _RAGGED if len(shard.arrays.get(name, ()))}
    writer.check(arrays)
    count = len(shard.arrays["length"])
    for name, codes in names.items():
        arrays[name] = np.full(count, codes.code(getattr(shard, name)), np.int32)
    if shard.subjects:
        arrays["subject"] = np.array([names["subject"].code(name) for name in shard.subjects], np.int32)
    arrays["fold"] = np.full(count, shard.fold, np.int32)
    if "columns" in shard.arrays:
        arrays["pattern"] = np.array([patterns.code(row.tobytes()) for row in shard.arrays["columns"]], np.int32)
    arrays["window"] = np.array([ids.make(source, shard.record, s) for s in shard.arrays["start_s"]], np.int64)
    for name, rows in arrays.items():
        writer.append(name, rows)


def _nothing_read(modality: Modality, skipped: list[Skipped]) -> InputError:
    first = skipped[0]
    return InputError(
        f"none of {len(skipped)} recordings could be read as {modality.name} (first: {first.record}: {first.reason})",
        fix="check the folder and the format",
    )
