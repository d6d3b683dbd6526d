"""The speech adapter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...core.crop import crop
from ...core.errors import InputError
from ...core.modality import Dataset, Modality, Recording, Source, Task, Window
from ...core.rng import RowRandom
from ...core.sequence import PatchSequence, SequenceSpec
from .augment import AugmentConfig, augment_tokens
from .datasets import DATASETS
from .datasets import TASKS as DATASET_TASKS
from .demo import STATES, WORDS, demo_sources, make_recording
from .features import mfcc_statistics
from .preprocess import PreprocessConfig, one_channel, preprocess
from .quality import channel_quality
from .reading import read_audio
from .tasks import TASKS
from .tokens import frames_of, make_tokens, spectra, token_spec


@dataclass(frozen=True)
class SpeechConfig(AugmentConfig, PreprocessConfig):
    """Preprocessing, tokens and views of the speech adapter; saved with the weights."""

    window_s: float = 2.0  # longest window; a shorter recording is one shorter window
    stride_s: float = 2.0  # distance of windows
    token_hz: float = 25.0  # tokens a second: 50, 25, 12.5 or 6.25 at frames of 10 ms

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_augment()
        for name in ("window_s", "stride_s", "token_hz"):
            if getattr(self, name) <= 0:
                raise InputError("must be positive", source=f"modality.{name}", got=getattr(self, name))
        if 1.0 / self.token_hz > self.window_s:
            raise InputError("a token is longer than a window", source="modality.window_s", got=self.window_s)
        frames_of(self.token_hz, self.hop_s)


class Speech(Modality):
    """Speech and other sound of any format, rate and length."""

    name: ClassVar[str] = "speech"
    Config: ClassVar[type] = SpeechConfig
    hand_task: ClassVar[str] = "word"
    config: SpeechConfig

    def __init__(self, config: SpeechConfig | None = None) -> None:
        super().__init__(config)
        c = self.config
        self._frames = frames_of(c.token_hz, c.hop_s)

    @property
    def spec(self) -> SequenceSpec:
        return token_spec(self.config.bands, self._frames, self.config.hop_s)

    # ---- files to windows -------------------------------------------------------------------------------------

    def read(self, path: Path | str) -> Recording:
        return read_audio(path)

    def windows(self, recording: Recording, task: str | None = None) -> list[Window]:
        """Log-mel of the whole recording, then cut; what is left over is a window of its own if it is long enough."""
        c = self.config
        chosen = None if task is None else self.task(task)
        spectrum = preprocess(recording, c)
        frames = spectrum.values.shape[1]
        if 2 * frames < self._frames:
            raise InputError(
                "recording is too short", source=recording.record, got=f"{frames * c.hop_s:.3f} s of sound",
                expected=f"at least half a token of {self._frames * c.hop_s:g} s",
            )  # fmt: skip
        found = []
        for first in self._starts(frames):
            part = slice(first, first + round(c.window_s / c.hop_s))
            values = spectrum.values[:, part]
            if not np.isfinite(values).any():
                continue  # a gap as long as a window
            found.append(
                Window(
                    values=values[None].copy(),
                    sensors=("sound",),
                    sfreq_hz=1.0 / c.hop_s,
                    start_s=spectrum.start_s + first * c.hop_s,
                    record=recording.record,
                    subject=recording.subject,
                    site=recording.site,
                    label=_labels(recording, chosen),
                    hand=None if chosen is None else mfcc_statistics(spectrum.power[:, part]),
                )
            )
        return found

    def _starts(self, frames: int) -> list[int]:
        """First frame of each window: whole ones, and the rest when it is half a window or all there is."""
        window, stride = (round(s / self.config.hop_s) for s in (self.config.window_s, self.config.stride_s))
        starts = list(range(0, max(frames - window, 0) + 1, max(1, stride)))
        rest = starts[-1] + max(1, stride)
        return [*starts, rest] if frames > window and 2 * (frames - rest) >= window else starts

    # ---- windows to tokens ------------------------------------------------------------------------------------

    def patchify(self, window: Window) -> PatchSequence:
        return make_tokens(window.values[0], self.spec)

    def unpatchify(self, sequence: PatchSequence) -> list[np.ndarray]:
        """[1, band, frame] of each row."""
        return [spectrum[None] for spectrum in spectra(sequence)]

    def augment(self, batch: PatchSequence, rng: RowRandom) -> PatchSequence:
        return augment_tokens(batch, rng, self.config, self.config)

    def maskers(self) -> dict[str, dict[str, Any]]:
        return {"span": {"name": "span", "span": 0.2}, "random": {"name": "random"}}

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
        """Of a file only the stretch that the source names is read; a generated recording's label says what to say and
        how."""
        if source.path is not None:
            return read_audio(source.path, source.start_s, source.stop_s)
        word, state = source.label if len(source.label) == 2 else ("", "")
        known = (word if word in WORDS else None, state if state in STATES else None)
        return crop(make_recording(np.random.default_rng(source.seed), *known), source.start_s, source.stop_s)

    def quality(self, recording: Recording) -> dict[str, str]:
        """Of channels; and why none can be made of them, which a check that windows nothing would not meet."""
        found = channel_quality(recording.signals, recording.sensors)
        try:
            one_channel(recording, self.config.channel)
        except InputError as error:
            found["channels"] = f"left out of a run: {error.what}" + (f"; {error.fix}" if error.fix else "")
        return found


def _labels(recording: Recording, task: Task | None) -> tuple[str, ...]:
    """Those of the recording, or the one that is a class of the task."""
    if task is None:
        return recording.label
    own = tuple(name for name in recording.label if name in task.classes)
    return own if task.multilabel else own[:1]
