"""One recording as flat arrays: read, window, patchify, label.

Nothing a file can do may stop the other files: whatever a reader raises becomes a `Skipped` entry.

Values are stored without the columns that are missing in the whole window. A joint patch over twelve lead slots of
a two-lead recording is five sixths NaN; leaving those out makes the cache, the page cache and the peak memory of a
run six times smaller. `columns` says which were kept. Nor are those stored that the kind of a patch does not use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..crop import cut_short
from ..errors import OmnipatchError
from ..modality import Modality, Source, Task, Window, one_class
from ..sequence import PatchSequence
from .dense import dense_labels
from .manifest import SIDES
from .numbers import number_label
from .ragged import used_columns
from .sensors import drop_sensors
from .sources import PRETRAIN_SIDE


@dataclass(frozen=True)
class Skipped:
    """A recording that is not in the store, and why."""

    path: str
    record: str
    reason: str


@dataclass(frozen=True)
class Shard:
    """All windows of one recording as flat ragged arrays.

    arrays: per window `length n_values n_events n_edges n_dense start_s label given columns hand n_hand`; per patch
    `valid kind group coords ids`; per number `values`; per event `event_at event_label event_features event_hand`;
    per edge `edges`; per step of a dense task `dense`; of a ranking task `n_asked asked_side asked_held_out` per window
    and `asked` per id.
    subjects: [window] who each came from where a recording is of several people, else ().
    """

    record: str
    subject: str
    site: str
    split: str
    fold: int
    arrays: Mapping[str, np.ndarray]
    quality: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    subjects: tuple[str, ...] = ()


def make_shard(modality: Modality, source: Source, task: Task | None) -> Shard | Skipped:
    """Windows of one source, or why there are none."""
    try:
        return _make(modality, source, task)
    except OmnipatchError as error:
        reason = str(error)
    except Exception as error:  # readers of foreign files fail in any way; the rest of the corpus goes on
        reason = f"{type(error).__name__}: {error}"
    return Skipped(str(source.path or "generated"), source.record, " ".join(reason.split()))


def _make(modality: Modality, source: Source, task: Task | None) -> Shard | Skipped:
    recording = modality.load(source)
    recording = drop_sensors(recording, source.sensor_loss)
    unlabelled = source.split == PRETRAIN_SIDE
    # a task made of a manifest's labels is unknown to the modality; its labels are those of the recording
    own = task is not None and task.name in modality.tasks() and not unlabelled
    beside = modality.hand_task if task is not None and not unlabelled else ""
    windows = modality.windows(recording, task.name if task is not None and own else beside or None)
    if not windows:
        return Skipped(str(source.path or "generated"), source.record, "too short for one window")
    if not own:
        windows = [replace(window, label=() if unlabelled else recording.label) for window in windows]
    # a stretch without any signal, as of a loose electrode, is left out; what lies around it is not
    patched = [(window, row) for window in windows if (row := _patchify(modality, window)).valid.any()]
    if not patched:
        return Skipped(str(source.path or "generated"), source.record, "no usable signal in any window")
    windows, rows = [window for window, _ in patched], [row for _, row in patched]
    arrays = _patch_arrays(rows) | _row_arrays(windows, task, source.start_s or 0.0) | _event_arrays(windows, task)
    arrays |= _dense_arrays(windows, task) | _question_arrays(windows, task)
    quality = dict(modality.quality(recording)) | cut_short(recording, source.start_s, source.stop_s)
    text = report_text(recording.extras.get("text"))
    subjects = tuple(window.subject or recording.subject for window in windows)
    subjects = subjects if set(subjects) != {recording.subject} else ()
    origin = (recording.record, recording.subject, recording.site, source.split, source.fold)
    return Shard(*origin, arrays, quality, text, subjects)


def report_text(text: object) -> str:
    """What was written about a recording, without empty lines; "" = nothing. Raises ValueError for what is no text."""
    if text is None:
        return ""
    if not isinstance(text, str):
        raise ValueError(f"the text of a recording must be a string, got {type(text).__name__}")
    return "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())


def _patchify(modality: Modality, window: Window) -> PatchSequence:
    row = modality.patchify(window)
    where = f"window at {window.start_s:g} s"
    if row.spec != modality.spec:
        raise ValueError(f"{where}: patchify returned another spec than the modality's")
    if len(row) != 1:
        raise ValueError(f"{where}: patchify returned {len(row)} rows, expected 1")
    valid = row.valid[0]
    if not bool(row.coords[0][valid].isfinite().all()):
        raise ValueError(f"{where}: a coordinate of a valid patch is not finite")
    if row.values is not None and bool(row.values[0][valid].isinf().any()):
        raise ValueError(f"{where}: a value is infinite")
    return row


def _patch_arrays(rows: list[PatchSequence]) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {
        "length": np.array([row.n_patches for row in rows], np.int64),
        "valid": np.concatenate([row.valid[0].numpy() for row in rows]),
        "coords": np.concatenate([row.coords[0].numpy() for row in rows]).astype(np.float32),
        "kind": np.concatenate([row.kind[0].numpy() for row in rows]).astype(np.int16),
        "group": np.concatenate([row.group[0].numpy() for row in rows]).astype(np.int32),
    }
    edges = [np.empty((0, 2), np.int32) if row.edges is None else row.edges.numpy().T.astype(np.int32) for row in rows]
    arrays["n_edges"] = np.array([len(e) for e in edges], np.int64)
    arrays["edges"] = np.concatenate(edges)
    if rows[0].ids is not None:
        arrays["ids"] = np.concatenate([row.ids[0].numpy() for row in rows if row.ids is not None]).astype(np.int64)
        return arrays
    values = [row.values[0].numpy().astype(np.float32, copy=False) for row in rows if row.values is not None]
    used = [used_columns(row.spec, row.kind[0].numpy()) for row in rows]
    columns = np.stack([(~np.isnan(v) & u).any(axis=0) for v, u in zip(values, used, strict=True)])
    kept = [v[u & c] for v, u, c in zip(values, used, columns, strict=True)]
    arrays["columns"] = columns
    arrays["n_values"] = np.array([len(v) for v in kept], np.int64)
    arrays["values"] = np.concatenate(kept)
    return arrays


def _row_arrays(windows: list[Window], task: Task | None, offset_s: float) -> dict[str, np.ndarray]:
    hand = [window.hand for window in windows if window.hand is not None]
    return {
        "start_s": np.array([window.start_s + offset_s for window in windows], np.float64),
        "label": np.stack([encode_label(window.label, task) for window in windows]),
        "given": np.array([one_class(window.label, task.given if task else ()) for window in windows], np.int64),
        "n_hand": np.array([window.hand is not None for window in windows], np.int64),
        "hand": np.stack(hand).astype(np.float32) if hand else np.empty((0, 0), np.float32),
    }


def encode_label(names: tuple[str, ...], task: Task | None) -> np.ndarray:
    """Code of a single-label class, -1 = none of the task's; or [class] of 0/1, NaN = unlabelled; or a number."""
    if task is None:
        return np.array(-1, np.int64)
    if task.numeric:
        return np.array(number_label(names, task), np.float32)
    if not task.multilabel:
        return np.array(one_class(names, task.classes), np.int64)
    if not set(names) - set(task.given):
        return np.full(len(task.classes), np.nan, np.float32)
    return np.array([name in names for name in task.classes], np.float32)


def _dense_arrays(windows: list[Window], task: Task | None) -> dict[str, np.ndarray]:
    if task is None or task.unit != "dense":
        return {}
    labels = [dense_labels(window, task) for window in windows]
    return {"n_dense": np.array([len(label) for label in labels], np.int64), "dense": np.concatenate(labels)}


def _question_arrays(windows: list[Window], task: Task | None) -> dict[str, np.ndarray]:
    if task is None or task.unit != "ranking":
        return {}
    questions = [window.question for window in windows]
    asked = [np.empty(0, np.int64) if q is None else np.asarray(q.ids, np.int64) for q in questions]
    return {
        "n_asked": np.array([len(ids) for ids in asked], np.int64),
        "asked_side": np.array([-1 if q is None else SIDES.index(q.side) for q in questions], np.int8),
        "asked_held_out": np.array([q is not None and q.held_out for q in questions]),
        "asked": np.concatenate(asked),
    }


def _event_arrays(windows: list[Window], task: Task | None) -> dict[str, np.ndarray]:
    found = [window.events for window in windows]
    arrays: dict[str, np.ndarray] = {"n_events": np.array([0 if e is None else len(e.at) for e in found], np.int64)}
    present = [e for e in found if e is not None and len(e.at)]
    classes = task.classes if task is not None else ()
    if present:
        arrays["event_at"] = np.concatenate([e.at for e in present]).astype(np.float32)
        arrays["event_label"] = np.array([one_class((name,), classes) for e in present for name in e.label], np.int64)
        arrays["event_features"] = np.concatenate([e.features for e in present]).astype(np.float32)
        arrays["event_hand"] = np.concatenate([e.hand for e in present]).astype(np.float32)
    return arrays
