"""The skeleton adapter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ...core.crop import crop
from ...core.errors import InputError
from ...core.modality import Dataset, Modality, Recording, Source, Task, Window
from ...core.rng import RowRandom
from ...core.seeing import Seeing
from ...core.sequence import PatchSequence, SequenceSpec
from .augment import AugmentConfig, augment_tokens
from .body import resolve_body
from .clip import LEAST_CONFIDENCE
from .completion import with_all_joints
from .datasets import DATASETS
from .datasets import TASKS as DATASET_TASKS
from .datasets.clips import open_clip
from .demo import demo_sources, make_recording, open_demo
from .features import movement_statistics
from .preprocess import PreprocessConfig, preprocess
from .quality import joint_quality
from .reading import read_skeleton
from .seeing import SkeletonSeeing
from .streams import check_streams, parent_names
from .tasks import TASKS
from .tokens import TokenShape, make_tokens, positions


@dataclass(frozen=True)
class SkeletonConfig(AugmentConfig, PreprocessConfig):
    """Preprocessing, tokens and views of the skeleton adapter; saved with the weights."""

    window_s: float = 6.0  # longest window; a shorter clip is one shorter window
    stride_s: float = 6.0  # distance of windows
    tokens: Literal["part", "joint"] = "part"  # a token: a body part, or a joint
    patch_frames: int = 8  # frames of a token
    streams: tuple[str, ...] = ("joint", "bone", "motion")  # of joint, bone, motion, bone_motion: what a token holds
    hand_persons: int = 1  # persons whose movement statistics are the hand features
    layout: str = ""  # what the joints of files are: a built-in name or a YAML of your own; empty = as the file says
    least_confidence: float = LEAST_CONFIDENCE  # a joint whose detector was less sure counts as lost
    file_sfreq_hz: float | None = None  # frames a second of files that do not say so

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_augment()
        for name in ("window_s", "stride_s", "patch_frames", "hand_persons"):
            if getattr(self, name) <= 0:
                raise InputError("must be positive", source=f"modality.{name}", got=getattr(self, name))
        if self.patch_frames > self.window_s * self.sfreq_hz:
            raise InputError("a token is longer than a window", source="modality.window_s", got=self.window_s)
        check_streams(self.streams)


class Skeleton(Modality):
    """Skeletons of any layout, number of persons, rate and length."""

    name: ClassVar[str] = "skeleton"
    Config: ClassVar[type] = SkeletonConfig
    config: SkeletonConfig
    reading_options: ClassVar[tuple[str, ...]] = ("layout", "least_confidence", "file_sfreq_hz")
    hand_task: ClassVar[str] = "exercise"

    def __init__(self, config: SkeletonConfig | None = None) -> None:
        super().__init__(config)
        c = self.config
        self._shape = TokenShape(c.tokens, c.streams, c.patch_frames, c.sfreq_hz)

    @property
    def spec(self) -> SequenceSpec:
        return self._shape.spec

    # ---- files to windows -------------------------------------------------------------------------------------

    def read(self, path: Path | str) -> Recording:
        c = self.config
        return read_skeleton(path, c.layout, c.file_sfreq_hz, c.least_confidence)

    def windows(self, recording: Recording, task: str | None = None) -> list[Window]:
        """Preprocess and cut; what is left over is a window of its own if it is long enough."""
        c = self.config
        chosen = None if task is None else self.task(task)
        if c.lost == "zero":
            recording = with_all_joints(recording)
        layout = recording.extras.get("layout")
        body = resolve_body(recording.sensors, layout)
        clip = preprocess(recording, body, c)
        parents = parent_names(recording.sensors, layout)
        if not {"joint", "motion"} & {*c.streams} and not {*parents.values()} & {*recording.sensors}:
            raise InputError("no bone in the clip", source=recording.record, field="modality.streams", got=c.streams,
                             fix="add the stream joint")  # fmt: skip
        extras = {"layout": layout, "parents": parents, "moving_hz": clip.moving_hz}
        found = []
        for part in self._stretches(clip.positions.shape[-1]):
            values = clip.stretch(part, c.centre == "frame")
            if not np.isfinite(values).any():
                continue  # nobody there
            if c.lost == "zero":
                values = np.nan_to_num(values, nan=0.0)
            found.append(
                Window(
                    values=values,
                    sensors=recording.sensors,
                    sfreq_hz=c.sfreq_hz,
                    start_s=part.start / c.sfreq_hz,
                    record=recording.record,
                    subject=recording.subject,
                    site=recording.site,
                    label=_labels(recording, chosen),
                    hand=None if chosen is None else self._hand(values, recording, clip.moving_hz),
                    extras=extras,
                )
            )
        return found

    def _stretches(self, frames: int) -> list[slice]:
        """Frames of each window: whole ones, and the rest when it is half a window or all there is."""
        c = self.config
        window, stride = (max(1, round(s * c.sfreq_hz)) for s in (c.window_s, c.stride_s))
        if c.frames or frames <= window:
            return [slice(0, frames)]
        starts = list(range(0, frames - window + 1, stride))
        rest = starts[-1] + stride
        if 2 * (frames - rest) >= window:
            starts.append(rest)
        return [slice(first, min(first + window, frames)) for first in starts]

    def _hand(self, values: np.ndarray, recording: Recording, moving_hz: float) -> np.ndarray:
        body = resolve_body(recording.sensors, recording.extras.get("layout"))
        return np.concatenate(
            [movement_statistics(values, body, moving_hz, person) for person in range(self.config.hand_persons)]
        )

    # ---- windows to tokens ------------------------------------------------------------------------------------

    def patchify(self, window: Window) -> PatchSequence:
        layout = window.extras.get("layout")
        names = window.extras.get("parents") or parent_names(window.sensors, layout)
        number = {sensor: i for i, sensor in enumerate(window.sensors)}
        parent = np.array([number.get(names.get(sensor, ""), -1) for sensor in window.sensors], dtype=int)
        moving_hz = window.extras.get("moving_hz", window.sfreq_hz)
        return make_tokens(window.values, resolve_body(window.sensors, layout), parent, self._shape, moving_hz)

    def unpatchify(self, sequence: PatchSequence) -> list[np.ndarray]:
        """[joint, 3, frame] of each row."""
        return positions(sequence, self._shape)

    def augment(self, batch: PatchSequence, rng: RowRandom) -> PatchSequence:
        return augment_tokens(batch, rng, self.config, self._shape)

    def maskers(self) -> dict[str, dict[str, Any]]:
        return {
            "part": {"name": "group"},
            "tube": {"name": "place", "axes": ["person", "x", "y", "z"]},
            "span": {"name": "span", "span": 0.5},
            "motion": {"name": "motion"},
            "random": {"name": "random"},
        }

    # ---- what it knows ----------------------------------------------------------------------------------------

    def tasks(self) -> dict[str, Task]:
        return {**TASKS, **DATASET_TASKS}

    def datasets(self) -> dict[str, Dataset]:
        return dict(DATASETS)

    def example(self, rng: np.random.Generator) -> Recording:
        return make_recording(rng)

    def demo(self, seed: int = 0) -> list[Source]:
        return demo_sources(seed)

    def open(self, source: Source) -> Recording:
        """One clip of a file, which may hold thousands; what a generated clip shows is said by its source."""
        clip = open_demo(source) if source.path is None else open_clip(source, self.config)
        return crop(clip, source.start_s, source.stop_s)

    def seeing(self) -> Seeing:
        return SkeletonSeeing(self._shape)

    def quality(self, recording: Recording) -> dict[str, str]:
        return joint_quality(recording.signals, recording.sensors)


def _labels(recording: Recording, task: Task | None) -> tuple[str, ...]:
    """Those of the recording; under a task what it is given and the one that is a class of it."""
    if task is None:
        return recording.label
    given = tuple(name for name in recording.label if name in task.given)
    own = tuple(name for name in recording.label if name in task.classes)
    return (*given, *(own if task.multilabel else own[:1]))
