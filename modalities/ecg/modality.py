"""The ECG adapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch

from ...core.errors import InputError, nearest
from ...core.modality import Annotation, Dataset, Modality, Recording, Source, Task, Window, WindowEvents
from ...core.rng import RowRandom
from ...core.sequence import PatchSequence, SequenceSpec
from . import scales, tokens
from .augment import LOSE, augment_patches, augment_scales
from .beat_track import BeatTrack, WindowBeats
from .beats import find_beats, hand_features, in_normal_heights, residual
from .datasets import DATASETS
from .delineation import window_segments
from .demo import make_recording
from .features import RHYTHM_FEATURES, rhythm_features
from .filters import preprocess
from .lead_presence import LeadDropout
from .leads import DIRECTIONS, STANDARD_LEADS, parse_aliases, parse_slots
from .quality import lead_quality, usable_leads
from .reading import apart, read_ecg
from .record_features import record_features
from .record_tasks import label_sets, record_labels
from .rpeaks import detected_beats
from .scales import SCALES
from .tasks import AAMI, BEAT_MARKS, TASKS, rhythm_class

# a beat is scored when its wave complex lies inside the recording
_BEFORE_S, _AFTER_S = 0.25, 0.40
DEMO_SUBJECTS = 24


@dataclass(frozen=True)
class ECGConfig:
    """Preprocessing and tokens of the ECG adapter; saved with the weights."""

    leads: tuple[str, ...] = STANDARD_LEADS  # slots of a joint patch; "II|I" = II, or I where there is no II
    aliases: tuple[str, ...] = ()  # names of your recorder's leads, e.g. "ECG1=II"
    tokens: Literal["joint", "lead"] = "joint"  # a patch over all leads, or one token a lead
    scales: tuple[str, ...] = ("patch",)  # patch, beat, rhythm: which tokens a window has; beats bring the residual
    rhythm_s: tuple[float, ...] = (10.0, 60.0, 300.0)  # stretches whose beat intervals a rhythm token describes
    residual: bool = False  # also show the difference to the record's normal beat
    normal_heights: bool | None = None  # leads in units of their normal beat's height; None = where beats are tokens
    beat_intervals: bool = True  # heads that name beats are told the intervals around each
    sfreq_hz: float = 120.0  # rate after resampling
    patch_s: float = 0.1  # length of a patch
    window_s: float = 10.0  # length of a window
    stride_s: float = 8.0  # distance of windows; a beat is labelled in the window in which it lies most central
    highpass_hz: float = 0.5  # removes baseline wander
    lowpass_hz: float = 40.0  # removes muscle noise and powerline
    powerline_hz: float | None = None  # notch, for a lowpass above the mains frequency
    lead_dropout: float = 0.0  # share of augmented windows that keep a random subset of their leads, from one to all

    def __post_init__(self) -> None:
        for name in ("sfreq_hz", "patch_s", "window_s", "stride_s", "highpass_hz", "lowpass_hz"):
            if getattr(self, name) <= 0:
                raise InputError("must be positive", source=f"modality.{name}", got=getattr(self, name))
        for scale in self.scales or ("",):
            if scale not in SCALES:
                raise InputError("unknown scale in modality.scales", got=scale, fix=nearest(scale, SCALES))
        if not self.rhythm_s or min(self.rhythm_s) <= 0:
            raise InputError("must be positive stretches", source="modality.rhythm_s", got=self.rhythm_s)
        if not 0 <= self.lead_dropout <= 1:
            raise InputError("must lie between 0 and 1", source="modality.lead_dropout", got=self.lead_dropout)
        if self.tokens == "joint" and not self.leads:
            raise InputError("a joint patch needs leads", source="modality.leads", expected="at least one")
        if self.lowpass_hz > self.sfreq_hz / 2:
            raise InputError(
                "lies above what the rate can hold", source="modality.lowpass_hz", got=self.lowpass_hz,
                expected=f"at most {self.sfreq_hz / 2:g}, half of modality.sfreq_hz",
            )  # fmt: skip
        if self.highpass_hz >= self.lowpass_hz:
            raise InputError("highpass_hz must lie below lowpass_hz", source="modality", got=self.highpass_hz)
        if not self.patch_s <= self.stride_s <= self.window_s:
            raise InputError("need patch_s <= stride_s <= window_s", source="modality.stride_s", got=self.stride_s)


class ECG(Modality):
    """Electrocardiograms of any leads, rate and length."""

    name: ClassVar[str] = "ecg"
    Config: ClassVar[type] = ECGConfig
    config: ECGConfig
    reading_options: ClassVar[tuple[str, ...]] = ("aliases",)
    hand_task: ClassVar[str] = "record-rhythm"

    def __init__(self, config: ECGConfig | None = None) -> None:
        super().__init__(config)
        c = self.config
        self._aliases = parse_aliases(c.aliases)
        self._residual = c.residual or "beat" in c.scales
        self._heights = "beat" in c.scales if c.normal_heights is None else c.normal_heights
        slots = parse_slots(c.leads)
        self._slots = tokens.slot_names(slots, self._residual)
        self._patch = max(1, round(c.patch_s * c.sfreq_hz))
        self._patch_spec = tokens.make_spec(c.tokens, len(self._slots), self._patch, c.patch_s, c.sfreq_hz)
        every = [(lead,) for lead in DIRECTIONS]
        self._dropout = LeadDropout(c.lead_dropout, tuple(slots if c.tokens == "joint" else every))
        self._beat_slots = self._slots if c.tokens == "joint" else tokens.slot_names(every, self._residual)

    @property
    def spec(self) -> SequenceSpec:
        c = self.config
        return scales.scale_spec(self._patch_spec, c.scales, len(self._beat_slots), len(c.rhythm_s))

    # ---- files to windows -------------------------------------------------------------------------------------

    def read(self, path: Path | str) -> Recording:
        return read_ecg(path, self._aliases)

    def relate(self, sources: Sequence[Source]) -> list[Source]:
        return apart(sources)

    def load(self, source: Source) -> Recording:
        """As everywhere; where one file holds many exams, the path that `read` gets names one of them."""
        if source.path is not None and "exam" in source.extras:
            source = replace(source, path=source.path / str(source.extras["exam"]))
        return super().load(source)

    def windows(self, recording: Recording, task: str | None = None) -> list[Window]:
        """Filter, resample, scale to beat heights, cut; a recording shorter than a window gives one short window."""
        c = self.config
        n_samples = np.asarray(recording.signals).shape[1]
        if n_samples < self._patch / c.sfreq_hz * recording.sfreq_hz:
            raise InputError(
                "recording is shorter than one patch",
                source=recording.record,
                got=f"{n_samples / recording.sfreq_hz:.3f} s",
                expected=f"at least {c.patch_s} s",
            )
        signals, sensors = self._wanted(recording)
        x = preprocess(signals, recording.sfreq_hz, c.sfreq_hz, c.highpass_hz, c.lowpass_hz, c.powerline_hz)
        # heads that name beats are asked about every beat, in recordings without marks too
        needed = self._residual or self._heights or task == "beats"
        marks = self._beat_marks(recording, signals, sensors, detect=needed or c.scales != ("patch",))
        r_s = np.array([a.onset_s for a in marks])
        beats = find_beats(x, r_s, c.sfreq_hz) if len(marks) and needed else None
        if self._heights and beats is not None:
            x, beats = in_normal_heights(x, beats)
        if self._residual:
            rest = np.full_like(x, np.nan) if beats is None else residual(x, beats)
            x, sensors = np.concatenate([x, rest]), (*sensors, *(s + tokens.RESIDUAL for s in sensors))
        starts = self._starts(x.shape[1])
        track = BeatTrack(r_s) if len(r_s) and c.scales != ("patch",) else None
        owner = np.abs(r_s[:, None] - (starts + c.window_s / 2)).argmin(axis=1) if len(r_s) else np.zeros(0, int)
        labels = self._beat_labels(marks, signals.shape[1] / recording.sfreq_hz)
        side = rhythm_features(r_s)[:, : None if c.beat_intervals else 0] if task == "beats" else None
        hand = hand_features(self._slot_beats(x, sensors, r_s)) if task == "beats" else None
        whole = self._record_hand(recording, r_s) if task in label_sets() else None
        waves = window_segments(recording, sensors, starts, c.window_s) if task == "delineation" else None
        windows = []
        for i, start_s in enumerate(starts):
            first = round(start_s * c.sfreq_hz)
            events = None
            if side is not None and hand is not None:
                own = np.flatnonzero(owner == i)
                events = WindowEvents(r_s[own] - start_s, tuple(labels[j] for j in own), side[own], hand[own])
            windows.append(
                Window(
                    values=x[:, first : first + round(c.window_s * c.sfreq_hz)],
                    sensors=sensors,
                    sfreq_hz=c.sfreq_hz,
                    start_s=float(start_s),
                    record=recording.record,
                    subject=recording.subject,
                    site=recording.site,
                    label=self._window_label(recording, task, start_s),
                    events=events,
                    hand=whole,
                    segments=None if waves is None else waves[i],
                    extras={} if track is None else track.window(start_s, c.window_s, c.rhythm_s).to_extras(),
                )
            )
        return windows

    @staticmethod
    def _beat_marks(
        recording: Recording, signals: np.ndarray, sensors: tuple[str, ...], *, detect: bool
    ) -> list[Annotation]:
        """Given beat marks; detected ones where nobody marked any."""
        marks = [a for a in recording.annotations if a.duration_s == 0 and a.label in BEAT_MARKS]
        if not marks and detect:
            return list(detected_beats(replace(recording, signals=signals, sensors=sensors)))
        return marks

    def _wanted(self, recording: Recording) -> tuple[np.ndarray, tuple[str, ...]]:
        """The leads that tokens can use, bad ones missing; limb leads that follow from others are derived."""
        known = [i for i, s in enumerate(recording.sensors) if s in DIRECTIONS]
        if not known:
            raise InputError(
                "no known lead",
                source=recording.record,
                got=", ".join(recording.sensors),
                expected=", ".join(STANDARD_LEADS),
                fix="map them with modality.aliases, e.g. ECG1=II",
            )
        if recording.unit != "mV":
            raise InputError("wrong unit", source=recording.record, got=recording.unit, expected="mV")
        names = tuple(recording.sensors[i] for i in known)
        signals, sensors = usable_leads(np.asarray(recording.signals)[known], names, recording.sfreq_hz)
        if self.config.tokens == "joint":
            slots = parse_slots(self.config.leads)
            used = sorted({i for i in tokens.fill_slots(slots, sensors) if i is not None})
            if not used:
                raise InputError(
                    "none of its leads fills a slot",
                    source=recording.record,
                    got=", ".join(sensors),
                    expected=", ".join(self.config.leads),
                    fix="set modality.leads",
                )
            return signals[used], tuple(sensors[i] for i in used)
        return signals, sensors

    def _starts(self, n_samples: int) -> np.ndarray:
        """Start of each window in seconds; the last one ends with the recording."""
        c = self.config
        last = max(0.0, n_samples / c.sfreq_hz - c.window_s)
        starts = np.arange(0.0, last + 1e-9, c.stride_s)
        return np.append(starts, last) if last - starts[-1] > 0.5 * c.patch_s else starts

    def _slot_beats(self, x: np.ndarray, sensors: tuple[str, ...], r_s: np.ndarray):
        """Beats over all slots of the configuration, so that every record has the same hand features."""
        slots = parse_slots(self.config.leads)
        full = np.zeros((len(slots), x.shape[1]), np.float32)
        for slot, source in enumerate(tokens.fill_slots(slots, sensors)):
            if source is not None:
                full[slot] = x[source]
        return find_beats(full, r_s, self.config.sfreq_hz)

    @staticmethod
    def _record_hand(recording: Recording, r_s: np.ndarray) -> np.ndarray:
        """Hand features see every lead in millivolt, whatever the tokens are made of."""
        signals, sensors = usable_leads(np.asarray(recording.signals), recording.sensors, recording.sfreq_hz)
        if not len(r_s):
            found = detected_beats(replace(recording, signals=signals, sensors=sensors))
            r_s = np.array([a.onset_s for a in found])
        return record_features(signals, sensors, recording.sfreq_hz, r_s)

    @staticmethod
    def _beat_labels(marks: list[Annotation], duration_s: float) -> list[str]:
        return [AAMI.get(a.label, "") if _BEFORE_S <= a.onset_s < duration_s - _AFTER_S else "" for a in marks]

    def _window_label(self, recording: Recording, task: str | None, start_s: float) -> tuple[str, ...]:
        """The rhythm that covers most of the window."""
        if task in label_sets():
            return record_labels(task, recording.label)
        if task != "rhythm":
            return recording.label if task is None else ()
        stop_s, best, most = start_s + self.config.window_s, "", 0.0
        for a in recording.annotations:
            overlap = min(stop_s, a.onset_s + a.duration_s) - max(start_s, a.onset_s)
            if a.duration_s and overlap > most:
                best, most = rhythm_class(a.label), overlap
        return (best,) if best else ()

    # ---- windows to patches -----------------------------------------------------------------------------------

    def patchify(self, window: Window) -> PatchSequence:
        c, spec = self.config, self.spec
        if c.scales == ("patch",):
            return self._time_patches(window)
        beats, axes = WindowBeats.of(window.extras, len(RHYTHM_FEATURES), len(c.rhythm_s)), len(spec.axes)
        parts = []
        for kind in spec.kinds:
            if kind == "patch":
                part = self._time_patches(window)
                owner = scales.owner_of(part.coords[..., 0].numpy(), beats)
                part = part.replace(group=torch.from_numpy(owner))
            elif kind == "beat":
                part = scales.beat_tokens(window.values, window.sensors, self._beat_slots, beats, axes, c.sfreq_hz)
            else:
                part = scales.rhythm_token(beats, axes, bool(np.isfinite(window.values).any()))
            parts.append(part)
        return scales.join(parts, spec)

    def _time_patches(self, window: Window) -> PatchSequence:
        if self.config.tokens == "joint":
            return tokens.joint_patches(window.values, window.sensors, self._slots, self._patch_spec)
        return tokens.lead_patches(window.values, window.sensors, self._patch_spec)

    def unpatchify(self, sequence: PatchSequence) -> list[np.ndarray]:
        if self.config.scales == ("patch",):
            return tokens.signals(sequence)
        if "patch" not in self.config.scales:
            raise NotImplementedError("beats and rhythm alone do not say what the signal was")
        return tokens.signals(scales.time_patches(sequence, self._patch_spec))

    def augment(self, batch: PatchSequence, rng: RowRandom) -> PatchSequence:
        sensors = len(self._slots) if self.config.tokens == "joint" else 2 * len(DIRECTIONS)
        paired = self._residual or self.config.tokens == "lead"
        lose = 0.0 if self.config.lead_dropout else LOSE
        if self.config.scales == ("patch",):
            view = augment_patches(batch, rng, sensors, paired, lose)
        else:
            view = augment_scales(batch, rng, self._patch_spec, sensors, paired, lose)
        return self._dropout(view, rng.fork("presence"), self._patch_spec) if self.config.lead_dropout else view

    def maskers(self) -> dict[str, dict]:
        spans = {"span": {"name": "span", "span": 0.6}, "random": {"name": "random"}}
        if "beat" in self.config.scales:
            spans["beats"] = {"name": "group", "ratio": 0.4}
        if self.config.tokens == "lead" and "patch" in self.config.scales:
            rest = dict.fromkeys([kind for kind in self.spec.kinds if kind != "patch"], "visible")
            spans["leads"] = {"name": "place", "axes": ["x", "y", "z"], "ratio": 0.4, "kinds": rest}
            spans["box"] = {"name": "box", "size": {"time_s": 0.6, "x": 0.8}}
        return spans

    # ---- what it knows ----------------------------------------------------------------------------------------

    def tasks(self) -> dict[str, Task]:
        if self.config.beat_intervals:
            return dict(TASKS)
        return {**TASKS, "beats": replace(TASKS["beats"], event_features=())}

    def datasets(self) -> dict[str, Dataset]:
        return dict(DATASETS)

    def prompts(self) -> dict[str, Path]:
        return {file.stem: file for file in sorted((Path(__file__).parent / "prompts").glob("*.yaml"))}

    def example(self, rng: np.random.Generator) -> Recording:
        return make_recording(rng)

    def demo(self, seed: int = 0) -> list[Source]:
        return [
            Source(None, f"demo{i:02d}", f"demo{i:02d}", "demo", seed=seed * 1000 + i) for i in range(DEMO_SUBJECTS)
        ]

    def quality(self, recording: Recording) -> dict[str, str]:
        problems = lead_quality(np.asarray(recording.signals), recording.sensors, recording.sfreq_hz)
        repaired = recording.extras.get("repaired")
        problems |= {"header": repaired} if repaired else {}
        return problems | dict.fromkeys(recording.extras.get("unknown_leads", ()), "unknown lead")
