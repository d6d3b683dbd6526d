"""A small store, encoder and modality for the downstream tests: windows whose tokens show the class at its place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from omnipatch.core.blocks.encoder import Encoded, Encoder, masked_mean
from omnipatch.core.data.items import Items
from omnipatch.core.data.splits import Split
from omnipatch.core.modality import Task
from omnipatch.core.seeing import Seeing
from omnipatch.core.sequence import PatchSequence, SequenceSpec
from torch import nn

SPEC = SequenceSpec(axes=("time_s", "lead"), patch_shape=(8,), axis_scales=(0.1, 1.0), sfreq_hz=80.0)
CLASSES = ("N", "S", "V")


class FakeStore:
    """Windows [window, patch, 8] of two leads; events carry a class that a bump in the patches shows."""

    asked_side = None  # nothing is ranked

    def __init__(self, subjects=12, windows=12, patches=20, events=5, noise=0.3, seed=0, unit="event", signal=2.0):
        rng = np.random.default_rng(seed)
        n = subjects * windows
        self.spec = SPEC
        self.task = Task("beats", unit, CLASSES, offsets=(-0.1, 0.0, 0.1) if unit == "event" else (0.0,))
        self.subject_code = np.repeat(np.arange(subjects), windows)
        self.record_code = self.subject_code * 2 + np.tile(np.arange(windows) % 2, subjects)
        self.subjects = tuple(f"s{i:02d}" for i in range(subjects))
        self.records = tuple(f"r{i:03d}" for i in range(2 * subjects))
        self.sites, self.site_code = ("",), np.zeros(n, np.int64)
        self.window_ids, self.fixed_split = np.arange(n) + 1000, np.full(n, "")
        self.lengths = np.full(n, 2 * patches)
        self.start_s = np.tile(np.arange(windows) // 2 * 5.0, subjects)  # of two records, in turn
        time = np.tile(np.arange(patches) * 0.1 + 0.05, 2)
        lead = np.repeat([0.0, 1.0], patches)
        self.coords = np.stack([time, lead], axis=1).astype(np.float32)
        signature = rng.normal(size=(subjects, 8))
        shapes = rng.normal(size=(len(CLASSES), 8))
        values = rng.normal(size=(n, 2 * patches, 8)) * noise + signature[self.subject_code, None]
        at, label, window = [], [], []
        for w in range(n):
            if unit == "event":
                places = np.sort(rng.uniform(0.1, patches * 0.1 - 0.1, events))
                labels = rng.choice(3, events, p=[0.7, 0.2, 0.1])
            else:
                places, labels = np.zeros(1), rng.choice(3, 1)
                if unit == "record":
                    labels[:] = self.record_code[w] % 3
                elif unit == "subject":
                    labels[:] = self.subject_code[w] % 3
            for place, c in zip(places, labels, strict=True):
                here = np.abs(time - place) < 0.1 if unit == "event" else np.ones(len(time), bool)
                values[w, here] += signal * shapes[c]
                at.append(place), label.append(c), window.append(w)
        self.values = torch.from_numpy(values.astype(np.float32))
        window, label = np.array(window), np.array(label, np.int64)
        side = rng.normal(size=(len(window), 2)) + label[:, None] * [0.5, 0.0]
        hand = np.stack([rng.normal(size=len(window)) + label, rng.normal(size=len(window))], axis=1)
        self._items = Items(
            window, np.array(at, np.float32), label, side.astype(np.float32), hand.astype(np.float32),
            self.subject_code[window], self.record_code[window], unit, CLASSES,
        )  # fmt: skip

    def __len__(self):
        return len(self.lengths)

    def items(self):
        return self._items

    def batch(self, indices):
        rows = np.asarray(indices)
        coords = torch.from_numpy(self.coords).expand(len(rows), -1, -1)
        codes = {"window": self.window_ids, "record": self.record_code, "subject": self.subject_code}
        return PatchSequence.build(
            SPEC, coords, values=self.values[rows], **{k: torch.from_numpy(v[rows]) for k, v in codes.items()}
        )

    def split(self, test=4, validation=2):
        names = list(self.subjects)
        return Split(
            train=frozenset(names[test + validation :]), validation=frozenset(names[test : test + validation]),
            test=frozenset(names[:test]), kind="holdout", group="subject",
        )  # fmt: skip


class FakeEncoder(Encoder):
    """One random linear map of each patch, with two parameter groups."""

    width, depth = 16, 1

    def __init__(self, seed=0):
        super().__init__(SPEC)
        generator = torch.Generator().manual_seed(seed)
        self.embed = nn.Linear(8, 16)
        self.mix = nn.Linear(16, 16)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=generator) * 0.3)

    def encode(self, batch, index, keep_layers):
        x = self.embed(batch.values.masked_fill(~batch.valid.unsqueeze(-1), 0.0))
        y = self.mix(torch.tanh(x))
        layers = (x, y)[2 - keep_layers :] if keep_layers else ()
        return Encoded(y, batch.valid, batch.coords, index, masked_mean(y, batch.valid), layers, x)

    def layer_groups(self):
        return [list(self.embed.parameters()), list(self.mix.parameters())]


@dataclass
class FakeModality:
    """Augments by adding noise to the values."""

    name: str = "fake"

    def augment(self, batch, rng):
        return batch.replace(values=batch.values + 0.1 * rng.normal(*batch.values.shape[1:]))

    def seeing(self):
        return Seeing()
