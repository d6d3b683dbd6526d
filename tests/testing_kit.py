"""A small adapter that keeps the whole contract: one token a sensor and time patch, events, edges, an inverse.

`tests/test_testing_faults.py` breaks one promise of it at a time.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from omnipatch import Modality, PatchSequence, Recording, SequenceSpec, Task, Window
from omnipatch.core.errors import CorruptFileError, InputError
from omnipatch.core.modality import Annotation, Dataset, Source, WindowEvents
from omnipatch.core.rng import RowRandom

PLACES = {"left": -1.0, "right": 1.0, "top": 0.0}  # metres to the right
STATES, CLAPS = ("calm", "loud"), ("soft", "hard")
EXAMPLE_S, EXAMPLE_HZ = 11.0, 50.0


@dataclass(frozen=True)
class HumConfig:
    """Preprocessing of the toy."""

    sfreq_hz: float = 32.0  # rate after resampling
    patch_s: float = 0.25  # length of a patch
    window_s: float = 4.0  # length of a window; the last one may be shorter


class Hum(Modality):
    name: ClassVar[str] = "hum"
    Config: ClassVar[type] = HumConfig
    config: HumConfig

    @property
    def spec(self) -> SequenceSpec:
        patch = round(self.config.patch_s * self.config.sfreq_hz)
        return SequenceSpec(("time_s", "x_m"), (1, patch), (self.config.patch_s, 0.5), self.config.sfreq_hz)

    def read(self, path: Path | str) -> Recording:
        try:
            with np.load(path) as file:
                sensors = tuple(str(name) for name in file["sensors"])
                return Recording(file["signals"], sensors, float(file["sfreq_hz"]), "Pa", Path(path).stem)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise CorruptFileError("not a hum", source=path, got=error) from error

    def windows(self, recording: Recording, task: str | None = None) -> list[Window]:
        known = [i for i, name in enumerate(recording.sensors) if name in PLACES]
        if not known:
            raise InputError("no known sensor", source=recording.record, got=recording.sensors, expected=list(PLACES))
        x = self.resample(recording.signals[known], recording.sfreq_hz)
        size, sensors = round(self.config.window_s * self.config.sfreq_hz), tuple(recording.sensors[i] for i in known)
        found = []
        for first in range(0, x.shape[1] - self.spec.patch_size + 1, size):
            values = x[:, first : first + size].copy()
            start_s, stop_s = first / self.config.sfreq_hz, (first + values.shape[1]) / self.config.sfreq_hz
            inside = [a for a in recording.annotations if not a.duration_s and start_s <= a.onset_s < stop_s]
            label = tuple(a.label for a in recording.annotations if a.duration_s) if task == "state" else ()
            events = self.events(inside, start_s) if task == "claps" else None
            origin = (recording.record, recording.subject, recording.site)
            found.append(Window(values, sensors, self.config.sfreq_hz, start_s, *origin, label, events))
        return found

    def resample(self, x: np.ndarray, sfreq_hz: float) -> np.ndarray:
        samples = x.shape[1]
        if samples < 2:
            raise InputError("too short")
        at = np.arange(int(samples * self.config.sfreq_hz / sfreq_hz)) * sfreq_hz / self.config.sfreq_hz
        return np.stack([np.interp(at, np.arange(samples), row) for row in x]).astype(np.float32)

    def events(self, claps: list[Annotation], start_s: float) -> WindowEvents:
        at = np.array([clap.onset_s - start_s for clap in claps])
        side = np.ones((len(claps), 1), np.float32)
        return WindowEvents(at, tuple(clap.label for clap in claps), side, side)

    def patchify(self, window: Window) -> PatchSequence:
        patch, step = self.spec.patch_size, self.config.patch_s
        count = -(-window.values.shape[1] // patch)
        cut = np.full((len(window.sensors), count * patch), np.nan, np.float32)
        cut[:, : window.values.shape[1]] = window.values
        cut = cut.reshape(-1, patch)
        time = np.tile((np.arange(count) + 0.5) * step, len(window.sensors))
        place = np.repeat([PLACES[name] for name in window.sensors], count)
        group = np.repeat([list(PLACES).index(name) for name in window.sensors], count)
        after = torch.arange(len(cut) - 1)
        return PatchSequence.build(
            self.spec,
            torch.from_numpy(np.stack([time, place], axis=1).astype(np.float32))[None],
            values=torch.from_numpy(cut)[None],
            valid=torch.from_numpy(np.isfinite(cut).any(axis=1))[None],
            group=torch.from_numpy(group)[None],
            edges=torch.stack([after, after + 1]),
        )

    def unpatchify(self, sequence: PatchSequence) -> list[np.ndarray]:
        rows = []
        for values, group, valid in zip(sequence.values, sequence.group, sequence.valid, strict=True):  # type: ignore[arg-type]
            sensors = [values[valid & (group == g)].reshape(-1).numpy() for g in group[valid].unique()]
            rows.append(np.stack(sensors))
        return rows

    def augment(self, batch: PatchSequence, rng: RowRandom) -> PatchSequence:
        assert batch.values is not None
        return batch.replace(values=batch.values * (1 + 0.3 * rng.normal(1, 1)) + 0.1 * rng.normal(1, 1))

    def maskers(self) -> dict[str, dict]:
        return {"random": {"name": "random"}, "span": {"name": "span", "span": 1.0}}

    def example(self, rng: np.random.Generator) -> Recording:
        samples, loud = int(EXAMPLE_S * EXAMPLE_HZ), bool(rng.random() < 0.5)
        wave = (2.0 if loud else 0.5) * np.sin(np.arange(samples) * rng.uniform(0.2, 0.4))
        signals = np.stack([wave * gain for gain in rng.uniform(0.5, 1.5, 3)]) + rng.normal(0, 0.2, (3, samples))
        claps = [Annotation(float(at), str(rng.choice(CLAPS))) for at in np.sort(rng.uniform(0, EXAMPLE_S, 8))]
        state = Annotation(0.0, STATES[loud], EXAMPLE_S)
        return Recording(signals.astype(np.float32), tuple(PLACES), EXAMPLE_HZ, "Pa", "hum", "s", "", (state, *claps))

    def tasks(self) -> dict[str, Task]:
        return {
            "state": Task("state", "window", STATES),
            "claps": Task("claps", "event", CLAPS, event_features=("loudness",)),
        }

    def datasets(self) -> dict[str, Dataset]:
        return {"hall": Dataset("hall", "hum/hall", lambda root: sorted(root.glob("*.npz")), ("state",))}

    def demo(self, seed: int = 0) -> list[Source]:
        return [Source(None, f"d{i}", f"d{i}", seed=100 * seed + i) for i in range(6)]

    def quality(self, recording: Recording) -> dict[str, str]:
        return {"top": "a toy's sensor is never to be trusted"} if "top" in recording.sensors else {}
