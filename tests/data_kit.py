"""A toy modality with everything the data room must carry: joint patches over sensors that may be missing, uneven
lengths, events, labels of windows and records, edges; recordings are small .npz files."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omnipatch import Modality, PatchSequence, Recording, SequenceSpec, Task, Window
from omnipatch.core.errors import CorruptFileError
from omnipatch.core.modality import Annotation, Dataset, Source, WindowEvents

SENSORS = ("a", "b", "c")
PATCH = 8
SFREQ_HZ = 16.0


@dataclass(frozen=True)
class ToyConfig:
    window_s: float = 4.0  # length of a window; the last one of a recording may be shorter
    gain: float = 1.0  # stands for all preprocessing


class Toy(Modality):
    name = "toy"
    Config = ToyConfig

    @property
    def spec(self) -> SequenceSpec:
        return SequenceSpec(axes=("time_s",), axis_scales=(0.5,), patch_shape=(len(SENSORS), PATCH), sfreq_hz=SFREQ_HZ)

    def read(self, path: Path | str) -> Recording:
        try:
            with np.load(path) as file:
                content = {name: file[name] for name in file.files}
        except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
            raise CorruptFileError("not a toy recording", source=path, got=error) from error
        beats = zip(content["beat_s"].tolist(), content["beat"].tolist(), strict=True)
        return Recording(  # a file without its arrays raises KeyError here, as careless readers do
            content["signals"], tuple(content["sensors"].tolist()), SFREQ_HZ, "mV", Path(path).stem,
            subject=str(content["subject"]), annotations=tuple(Annotation(at, name) for at, name in beats),
            label=tuple(content["label"].tolist()),
        )  # fmt: skip

    def windows(self, recording: Recording, task: str | None = None) -> list[Window]:
        size = int(self.config.window_s * SFREQ_HZ)
        found = []
        for first in range(0, recording.signals.shape[1] - PATCH + 1, size):
            values = recording.signals[:, first : first + size] * np.float32(self.config.gain)
            values = values[:, : values.shape[1] // PATCH * PATCH]
            start = first / SFREQ_HZ
            inside = [b for b in recording.annotations if start <= b.onset_s < start + values.shape[1] / SFREQ_HZ]
            wild = float(np.nanmean(np.abs(values))) > 1.0
            label = {"rhythm": ("wild" if wild else "calm",), "findings": recording.label}.get(task or "", ())
            events = _events(inside, start) if task == "beats" else None
            hand = np.array([np.nanmean(values), np.nanstd(values)], np.float32) if task == "rhythm" else None
            found.append(
                Window(
                    values,
                    recording.sensors,
                    SFREQ_HZ,
                    start,
                    recording.record,
                    recording.subject,
                    recording.site,
                    label,
                    events,
                    hand,
                )
            )
        return found

    def patchify(self, window: Window) -> PatchSequence:
        patches = window.values.shape[1] // PATCH
        joint = np.full((patches, len(SENSORS), PATCH), np.nan, np.float32)
        for row, sensor in enumerate(window.sensors):
            joint[:, SENSORS.index(sensor)] = window.values[row].reshape(patches, PATCH)
        chain = torch.arange(patches - 1)
        return PatchSequence.build(
            self.spec,
            coords=(torch.arange(patches) * 0.5).view(1, patches, 1),
            values=torch.from_numpy(joint.reshape(1, patches, -1)),
            valid=torch.from_numpy(np.isfinite(joint).any(axis=(1, 2))[None]),
            kind=torch.zeros(1, patches, dtype=torch.long),
            group=(torch.arange(patches) % 3).unsqueeze(0),
            edges=torch.stack([chain, chain + 1]),
        )

    def example(self, rng: np.random.Generator) -> Recording:
        return toy_recording(rng)

    def tasks(self) -> dict[str, Task]:
        return {
            "beats": Task("beats", "event", ("N", "V"), offsets=(-0.5, 0.0), event_features=("before_s", "after_s")),
            "rhythm": Task("rhythm", "window", ("calm", "wild")),
            "findings": Task("findings", "record", ("x", "y", "z"), multilabel=True),
        }

    def datasets(self) -> dict[str, Dataset]:
        return {name: Dataset(name, f"toy/{name}", list_npz, ("beats", "rhythm")) for name in ("alpha", "beta")}

    def quality(self, recording: Recording) -> dict[str, str]:
        flat = [name for name, row in zip(recording.sensors, recording.signals, strict=True) if np.ptp(row) == 0]
        return dict.fromkeys(flat, "flat")


def _events(beats: list[Annotation], start_s: float) -> WindowEvents:
    at = np.array([beat.onset_s - start_s for beat in beats], np.float32)
    return WindowEvents(
        at, tuple(beat.label for beat in beats), np.stack([at, -at], 1), np.stack([at, at + 1, at + 2], 1)
    )


def list_npz(root: Path) -> list[Source]:
    """Sides come from the folder's `test.txt`, when there is one."""
    listed = (root / "test.txt").read_text().split() if (root / "test.txt").exists() else None
    sources = []
    for path in sorted(root.glob("*.npz")):
        side = "" if listed is None else "test" if path.stem in listed else "train"
        sources.append(Source(path, path.stem, split=side))
    return sources


def toy_recording(
    rng: np.random.Generator, duration_s: float = 11.0, sensors: tuple[str, ...] = ("c", "a")
) -> Recording:
    signals = rng.normal(scale=rng.choice([0.5, 3.0]), size=(len(sensors), int(duration_s * SFREQ_HZ)))
    onsets = np.sort(rng.uniform(0, duration_s, 9))
    beats = tuple(Annotation(float(at), str(rng.choice(["N", "V", "~"]))) for at in onsets)
    label = tuple(name for name in "xyz" if rng.random() < 0.5)
    return Recording(
        signals.astype(np.float32), sensors, SFREQ_HZ, "mV", "toy", "someone", annotations=beats, label=label
    )


def write_toy(path: Path, recording: Recording, **changes: Any) -> Path:
    recording = replace(recording, **changes)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path, signals=recording.signals, sensors=np.array(recording.sensors), subject=recording.subject,
        beat_s=[beat.onset_s for beat in recording.annotations], beat=[beat.label for beat in recording.annotations],
        label=np.array(recording.label, dtype=str),
    )  # fmt: skip
    return path


def write_corpus(folder: Path, count: int = 6, seed: int = 0) -> list[Source]:
    """`count` recordings of as many subjects, of different lengths and sensors."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        sensors = SENSORS if number % 3 == 2 else ("c", "a")
        recording = toy_recording(rng, duration_s=9.0 + 2.3 * number, sensors=sensors)
        write_toy(folder / f"r{number}.npz", recording, subject=f"s{number}")
    return list_npz(folder)
