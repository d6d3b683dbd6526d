"""WindowStore: all windows of a corpus, patchified once, read through memory maps.

Design decisions
- Arrays are flat and ragged: window w owns patches `start[w] : start[w] + length[w]`. A batch is a handful of block
  copies; nothing is decoded, filtered or parsed while training.
- float32: the windows of the largest public ECG and EEG sets fit a disk, and rounding would change what
  `unpatchify` gives back.
- Columns of the value axis that are missing (NaN) in a whole window are not stored, see `shard`.
- The folder's key holds everything the windows depend on (`fingerprint`), so a store is never stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import InputError
from ..modality import Modality, Source, Task
from ..sequence import Events, PatchSequence, SequenceSpec
from .arrays import DamagedError, open_arrays
from .cache import cache_folder, obtain
from .fingerprint import store_key
from .manifest import SIDES
from .prepare import Progress, build_store
from .ragged import Ragged, places, value_reader
from .shard import Skipped

if TYPE_CHECKING:
    from .items import Items


class WindowStore:
    """Windows of a corpus by index.

    spec: of every batch. task: what the labels mean, None = unlabelled.
    lengths: [window] patches a window. window_ids: [window] unique stable id of each window.
    record_code, subject_code, site_code: [window] int64 into `records`, `subjects`, `sites`; -1 = unknown.
    fixed_split: [window] side named by the data set's authors, "" = none, "pretrain" = unlabelled addition.
    fixed_fold: [window] int64 fold by which its authors or users divide it, -1 = none.
    labels: [window] int64, [window, class] float32 or [window] float32 numbers, -1 or NaN = none.
    start_s: [window] place in its recording.
    given: [window] int64 code of what the task knows beforehand, -1 = nothing.
    events, hand, dense: what tasks label, ragged over windows; None = nothing of the kind. Read them through `items`.
    asked: what a ranking task asks of each window, ragged ids; asked_side: [window] on which side, "" = nothing is;
        asked_held_out: [window] bool, of people of whom nothing is learned.
    texts: [record code] what was written about each record (report, transcript), "" = nothing.
    skipped: recordings that could not be used. quality: {record: {sensor: reason}} of untrustworthy sensors.
    """

    def __init__(self, folder: Path) -> None:
        """Open a finished cache folder; raises DamagedError. Use `prepare` to make one."""
        self.folder = Path(folder)
        meta, arrays = open_arrays(self.folder)
        try:
            self._load(meta, arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedError(f"{type(error).__name__}: {error}") from error

    @classmethod
    def prepare(
        cls,
        modality: Modality,
        sources: Iterable[Source],
        task: Task | str | None,
        cache: str | Path | None = None,
        jobs: int = 1,
        progress: Progress | None = None,
    ) -> WindowStore:
        """Open the cached windows of `sources` for `task`, making them first when needed.

        cache: root of the cache, default $OMNIPATCH_CACHE or ~/.cache/omnipatch. jobs: processes that read.
        progress: called with (recordings done, recordings in all) while windows are made.

        Raises InputError when no recording can be read, a file is missing or the cache cannot be written.
        """
        listed = list(sources)
        refuse_repeated(listed)
        chosen = modality.task(task) if isinstance(task, str) else task
        key = store_key(modality, listed, chosen, jobs)
        target = cache_folder(cache) / "windows" / f"{modality.name}-{key}"
        return obtain(target, lambda folder: build_store(folder, modality, listed, chosen, jobs, progress), cls)

    def _load(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.spec = SequenceSpec(**_tuples(meta["spec"]))
        self.task = Task(**_tuples(meta["task"])) if meta["task"] else None
        self.records, self.subjects, self.sites = (tuple(meta["names"][name]) for name in ("record", "subject", "site"))
        self.skipped = [Skipped(**entry) for entry in meta["skipped"]]
        self.quality: dict[str, dict[str, str]] = meta["quality"]
        self.texts = tuple(meta["texts"].get(record, "") for record in self.records)
        self.lengths = np.array(arrays["length"])
        self.window_ids = np.array(arrays["window"])
        self.record_code, self.subject_code, self.site_code = (
            arrays[name].astype(np.int64) for name in ("record", "subject", "site")
        )
        self.fixed_split = np.array([*meta["names"]["split"], ""])[arrays["split"]]  # code -1 is the last, ""
        self.fixed_fold = arrays["fold"].astype(np.int64)
        self.labels, self.given = np.array(arrays["label"]), np.array(arrays["given"])
        self.start_s = np.array(arrays["start_s"])
        patches = Ragged(self.lengths, {name: arrays[name] for name in ("valid", "coords", "kind", "group")})
        self._patches = patches
        self._ids = Ragged(self.lengths, {"ids": arrays["ids"]}) if "ids" in arrays else None
        self._values = None if "ids" in arrays else value_reader(arrays, meta["patterns"], self.spec)
        self._edges = Ragged(arrays["n_edges"], {"edges": arrays["edges"]}) if "edges" in arrays else None
        names = {"at": "event_at", "label": "event_label", "features": "event_features", "hand": "event_hand"}
        has_events = "event_at" in arrays
        self.events = Ragged(arrays["n_events"], {k: arrays[v] for k, v in names.items()}) if has_events else None
        self.hand = Ragged(arrays["n_hand"], {"hand": arrays["hand"]}) if "hand" in arrays else None

        self.asked = Ragged(arrays["n_asked"], {"ids": arrays["asked"]}) if "asked" in arrays else None
        self.asked_side = np.array([*SIDES, ""])[arrays["asked_side"]] if "asked_side" in arrays else None
        self.asked_held_out = np.array(arrays["asked_held_out"]) if "asked_held_out" in arrays else None
        self.dense = Ragged(arrays["n_dense"], {"label": arrays["dense"]}) if "dense" in arrays else None

    def __len__(self) -> int:
        return len(self.lengths)

    def __reduce__(self) -> tuple[type[WindowStore], tuple[Path]]:
        return type(self), (self.folder,)  # workers map the files again instead of copying them

    @property
    def has_more_than_patches(self) -> bool:
        """Whether edges or events tell of patches by their positions in a window."""
        return self._edges is not None or self.events is not None

    def kinds(self) -> np.ndarray:
        """[patch] kinds of all patches, window after window."""
        return self._patches.flat(np.arange(len(self)))["kind"]

    def batch(
        self, indices: Sequence[int] | np.ndarray | torch.Tensor, positions: np.ndarray | None = None
    ) -> PatchSequence:
        """Windows `indices` as one batch, padded to the longest of them, with provenance, labels and events.

        positions: [row, k] of patches to read of each window, -1 = none; of windows of ids alone (`PartialWindows`).
        """
        rows = np.asarray(indices, dtype=np.int64).reshape(-1)
        if positions is None:
            positions = places(self.lengths[rows], int(self.lengths[rows].max(initial=1)))
        longest = positions.shape[1]
        fields = {name: torch.from_numpy(array) for name, array in self._patches.picked(rows, positions).items()}
        return PatchSequence(
            spec=self.spec,
            valid=fields["valid"],
            coords=fields["coords"],
            kind=fields["kind"].long(),
            group=fields["group"].long(),
            values=None if self._values is None else torch.from_numpy(self._values.padded(rows, longest)),
            ids=None if self._ids is None else torch.from_numpy(self._ids.picked(rows, positions)["ids"]),
            edges=None if self._edges is None else torch.from_numpy(self._edge_index(self._edges, rows, longest)),
            window=torch.from_numpy(self.window_ids[rows]),
            record=torch.from_numpy(self.record_code[rows]),
            subject=torch.from_numpy(self.subject_code[rows]),
            site=torch.from_numpy(self.site_code[rows]),
            label=torch.from_numpy(self.labels[rows]),
            events=None if self.events is None else _events(self.events, rows),
        )

    def items(self) -> Items:
        """Everything the task labels, flat (see `items`)."""
        from .items import collect_items

        return collect_items(self)

    @staticmethod
    def _edge_index(edges: Ragged, rows: np.ndarray, longest: int) -> np.ndarray:
        """[2, edge] int64, renumbered from positions in a window to row * longest + position."""
        owner = np.repeat(np.arange(len(rows)), edges.counts[rows])
        return np.ascontiguousarray((edges.flat(rows)["edges"].astype(np.int64) + owner[:, None] * longest).T)


def _events(events: Ragged, rows: np.ndarray) -> Events:
    most = int(events.counts[rows].max(initial=0))
    padded = {name: torch.from_numpy(array) for name, array in events.padded(rows, most).items()}
    inside = torch.from_numpy(np.arange(most) < events.counts[rows][:, None])
    return Events(
        at=padded["at"], label=padded["label"].masked_fill(~inside, -1), valid=inside, features=padded["features"]
    )


def _tuples(entry: dict[str, Any]) -> dict[str, Any]:
    """Undo what JSON does to the tuples of a dataclass."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}


def refuse_repeated(sources: Sequence[Source]) -> None:
    """Raise InputError when two sources share a record name: rows, splits and tables go by it."""
    seen: set[str] = set()
    for source in sources:
        if source.record in seen:
            raise InputError(
                "two recordings have one name", source=source.path, field="record", got=source.record,
                expected="a name of its own for each", fix="list each recording once",
            )  # fmt: skip
        seen.add(source.record)
