"""A small store of a dense task: two kinds of segments on a background, each a constant level of the signal."""

from __future__ import annotations

import numpy as np
import torch
from downstream_fakes import FakeEncoder
from omnipatch.core.data.items import Items
from omnipatch.core.data.splits import Split
from omnipatch.core.modality import Task
from omnipatch.core.sequence import PatchSequence, SequenceSpec

STEP, CELL = 0.0125, 0.1
SPEC = SequenceSpec(axes=("time_s", "lead"), patch_shape=(8,), axis_scales=(CELL, 1.0), sfreq_hz=80.0)
CLASSES = ("none", "low", "high")
TASK = Task("levels", "dense", CLASSES, step=STEP, background="none", tolerance=0.05, shortest=0.03)


def dense_items(label, record=None, place=None, window=None):
    """Items of one subject a record from [item] codes; unlabelled steps (-1) are left out."""
    label = np.asarray(label)
    record = np.zeros(len(label), np.int64) if record is None else np.asarray(record)
    place = (np.arange(len(label)) + 0.5) * STEP if place is None else np.asarray(place, float)
    window = record if window is None else window
    kept = label >= 0
    nothing = np.empty((int(kept.sum()), 0), np.float32)
    return Items(
        window[kept], place[kept].astype(np.float32), label[kept], nothing, nothing, record[kept], record[kept],
        "dense", CLASSES, place[kept],
    )  # fmt: skip


class DenseStore:
    """Windows of 2 s, one a record; the first and last 0.2 s of each are not labelled."""

    asked_side = None  # nothing is ranked

    def __init__(self, subjects=10, windows=6, noise=0.2, seed=0):
        rng = np.random.default_rng(seed)
        n, samples = subjects * windows, 160
        self.spec, self.task = SPEC, TASK
        self.subject_code = np.repeat(np.arange(subjects), windows)
        self.record_code = np.arange(n)
        self.subjects, self.records = tuple(f"s{i}" for i in range(subjects)), tuple(f"r{i}" for i in range(n))
        self.sites, self.site_code = ("",), np.zeros(n, np.int64)
        self.window_ids, self.fixed_split = np.arange(n) + 7, np.full(n, "")
        self.lengths, self.start_s = np.full(n, samples // 8), np.zeros(n)
        code = np.zeros((n, samples), np.int64)
        for row in code:
            at = int(rng.integers(20, 40))
            while at < samples - 30:
                length = int(rng.integers(8, 20))
                row[at : at + length] = rng.integers(1, 3)
                at += length + int(rng.integers(12, 30))
        signal = code + noise * rng.normal(size=code.shape)
        self.values = torch.from_numpy(signal.reshape(n, -1, 8).astype(np.float32))
        code[:, :16] = code[:, -16:] = -1
        record = np.repeat(np.arange(n), samples)
        items = dense_items(code.ravel(), record, np.tile((np.arange(samples) + 0.5) * STEP, n))
        self._items = Items(**{**items.__dict__, "subject": self.subject_code[items.window]})

    def __len__(self):
        return len(self.lengths)

    def items(self):
        return self._items

    def batch(self, indices):
        rows = np.asarray(indices)
        time = (torch.arange(self.values.shape[1]) + 0.5) * CELL
        coords = torch.stack([time, torch.zeros_like(time)], dim=1).expand(len(rows), -1, -1)
        codes = {"window": self.window_ids, "record": self.record_code, "subject": self.subject_code}
        return PatchSequence.build(
            SPEC, coords, values=self.values[rows], **{k: torch.from_numpy(v[rows]) for k, v in codes.items()}
        )

    def split(self, test=3, validation=2):
        names = list(self.subjects)
        return Split(
            train=frozenset(names[test + validation :]), validation=frozenset(names[test : test + validation]),
            test=frozenset(names[:test]), kind="holdout", group="subject",
        )  # fmt: skip


class DenseEncoder(FakeEncoder):
    """The fake encoder under this kit's spec."""

    def __init__(self, seed=0):
        super().__init__(seed)
        self.spec = SPEC
