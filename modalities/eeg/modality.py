"""The EEG adapter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ...core.crop import crop
from ...core.errors import InputError, nearest
from ...core.modality import Dataset, Modality, Recording, Source, Task, Window
from ...core.rng import RowRandom
from ...core.seeing import Seeing
from ...core.sequence import PatchSequence, SequenceSpec
from . import baseline as baselines
from .artefacts import channel_quality
from .augment import augment_tokens
from .baseline import Baseline
from .baseline import Kind as BaselineKind
from .channels import canonical_channels, parse_aliases, unknown_channel, wanted_channels
from .datasets import DATASETS
from .datasets import TASKS as DATASET_TASKS
from .demo import STATES, make_recording
from .features import FEATURE_SETS, hand_features
from .grid import Grid
from .layouts import ElectrodeLayout, Layout, TubeletLayout
from .marking import apply_marking, electrode_places
from .montage import place, places_of, site_names
from .preprocess import PreprocessConfig, preprocess
from .reading import read_eeg
from .seeing import EEGSeeing
from .sites import SITES_10_20
from .spectral import FINE_EDGES_HZ
from .tasks import TASKS, labelled_spans, window_label
from .tokens import CONTENTS, TokenShape, check_bands, make_tokens, signals

DEMO_SUBJECTS = 24
_LISTED = 3  # channels without a place that a remark names


@dataclass(frozen=True)
class EEGConfig(PreprocessConfig):
    """Preprocessing and tokens of the EEG adapter; saved with the weights."""

    aliases: tuple[str, ...] = ()  # names of your amplifier's inputs, e.g. "E12=Fz"
    montage: str = ""  # a standard montage of MNE that knows your amplifier's names, e.g. "biosemi128"
    channels: tuple[str, ...] = ()  # keep these of the recorded channels; empty = all that have a place
    window_s: float = 5.0  # length of a window
    stride_s: float = 5.0  # distance of windows
    wake_s: float | None = 1800.0  # studies of sleep: how much wake before and after it is kept; null = all
    trials: bool = False  # a window of each labelled span, of its class, instead: cued experiments
    trial_offset_s: float = 0.0  # where such a window begins, from the onset of its span
    layout: Literal["electrode", "tubelet", "grid"] = "electrode"  # a token: an electrode, neighbours, or a list's rows
    content: tuple[str, ...] = ("wave",)  # wave, spectrum, covariance, profile: which tokens a window has
    patch_s: float = 0.5  # stretch of a wave token
    spectrum_s: float = 5.0  # stretch of a spectral or covariance token
    bands_hz: tuple[float, ...] = FINE_EDGES_HZ  # edges of the bands of a spectral token
    band_groups: int = 1  # spectral tokens among which the bands are divided, so that whole bands can be hidden
    sites: tuple[str, ...] = SITES_10_20  # of tubelets, rows of the grid, covariances and hand features
    neighbours: int = 4  # tubelet: most sites of a neighbourhood
    grid_patch: tuple[int, int, int] = (4, 4, 30)  # grid: frames, channels and samples of a patch
    frame_s: float = 5.0  # grid: length of a frame
    frame_step_s: float = 7.5  # grid: distance of frames
    lose_electrodes: float = 0.3  # largest share of electrodes that an augmented view loses
    baseline: BaselineKind = "none"  # what spectra are relative to: none, reference, subject or site; see `baseline`
    baseline_label: str = "rest"  # class of the recording whose beginning is the reference
    baseline_s: float = 60.0  # length of the reference
    hand: tuple[str, ...] = ("bands",)  # features of the baseline: bands, fine-bands, log-covariance

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("window_s", "stride_s", "patch_s", "spectrum_s", "frame_s", "frame_step_s", "baseline_s"):
            if getattr(self, name) <= 0:
                raise InputError("must be positive", source=f"modality.{name}", got=getattr(self, name))
        for content in self.content or ("",):
            if content not in CONTENTS:
                raise InputError("unknown content in modality.content", got=content, fix=nearest(content, CONTENTS))
        if self.layout == "grid" and self.content != ("wave",):
            raise InputError("the grid holds waves only", source="modality.content", got=self.content)
        if self.wake_s is not None and self.wake_s < 0:
            raise InputError("must not be negative", source="modality.wake_s", got=self.wake_s, fix="null keeps all")
        if not 0 <= self.lose_electrodes < 1:
            raise InputError("must lie in [0, 1)", source="modality.lose_electrodes", got=self.lose_electrodes)
        lengths = [self.patch_s if content == "wave" else self.spectrum_s for content in self.content]
        if self.layout != "grid" and max(lengths) > self.window_s:
            raise InputError("a token is longer than a window", source="modality.window_s", got=self.window_s)
        for name in self.hand:
            if name not in FEATURE_SETS:
                raise InputError("unknown name in modality.hand", got=name, fix=nearest(name, FEATURE_SETS))
        check_bands(self.bands_hz, self.band_groups)
        wanted_channels(self.channels)
        if self.scaling == "baseline" and self.baseline == "none":
            raise InputError("there is no baseline to scale by", source="modality.baseline", got="none")
        if self.baseline != "none" and self.content == ("wave",) and self.scaling != "baseline":
            raise InputError("waves are relative to a baseline by their scale only", source="modality.scaling",
                             got=self.scaling, expected="baseline")  # fmt: skip


class EEG(Modality):
    """Electroencephalograms of any montage, rate and length."""

    name: ClassVar[str] = "eeg"
    Config: ClassVar[type] = EEGConfig
    config: EEGConfig
    reading_options: ClassVar[tuple[str, ...]] = ("aliases", "montage", "channels")
    hand_task: ClassVar[str] = "rest-task-record"

    def __init__(self, config: EEGConfig | None = None) -> None:
        super().__init__(config)
        c = self.config
        self._aliases = parse_aliases(c.aliases)
        self._sites = canonical_channels(c.sites)
        where = places_of(self._sites, {})
        self._shape = TokenShape(
            c.content, c.patch_s, c.spectrum_s, c.bands_hz, c.band_groups, c.sfreq_hz, tuple(map(tuple, where.tolist()))
        )
        self._layout: Layout = ElectrodeLayout()
        self._grid: Grid | None = None
        if c.layout == "tubelet":
            self._layout = TubeletLayout(where, c.neighbours)
        elif c.layout == "grid":
            self._grid = Grid(self._sites, c.grid_patch, c.frame_s, c.frame_step_s, c.sfreq_hz)
        self._baselines: dict[tuple[Any, ...], Baseline] = {}  # those computed before, by their sources

    @property
    def spec(self) -> SequenceSpec:
        return self._shape.spec(self._layout.slots) if self._grid is None else self._grid.spec

    # ---- files to windows -------------------------------------------------------------------------------------

    def read(self, path: Path | str) -> Recording:
        return read_eeg(path, self._aliases, montage=self.config.montage)

    def windows(self, recording: Recording, task: str | None = None) -> list[Window]:
        """Preprocess and cut; a recording shorter than a window gives one short window."""
        c = self.config
        recording = self._placed(recording)
        # of a stretch that is summed up at least half must be there, see `tokens`
        shortest = min(c.patch_s, 1.0) if "wave" in c.content else max(min(c.spectrum_s, 1.0), c.spectrum_s / 2)
        if recording.signals.shape[1] < shortest * recording.sfreq_hz:
            raise InputError(
                "recording is too short",
                source=recording.record,
                got=f"{recording.signals.shape[1] / recording.sfreq_hz:.3f} s",
                expected=f"at least {shortest} s",
            )
        baseline: Baseline | None = recording.extras.get(baselines.KNOWN)
        if c.baseline != "none" and baseline is None:
            raise baselines.unknown_baseline(recording.record, c.baseline, c.baseline_label)
        x = self._preprocessed(recording, baseline)
        extras = self._extras(recording, baseline)
        chosen = None if task is None else self.task(task)
        found = []
        starts = self._starts(recording, x.shape[1] / c.sfreq_hz, chosen)
        if not starts and c.trials and chosen is not None and not labelled_spans(recording, chosen):
            marks = dict.fromkeys(a.label for a in recording.annotations if a.duration_s)
            raise InputError(
                "no marked stretch is a trial", source=recording.record, got=", ".join(marks) or "no such mark",
                expected=", ".join(chosen.classes), fix="call marks by the classes of the task",
            )  # fmt: skip
        for start_s, label in starts:
            values = self._cut(x, start_s)
            if not np.isfinite(values).any():
                continue  # rejected as a whole
            if chosen is not None and label is None:
                label = window_label(recording, chosen, start_s, start_s + values.shape[1] / c.sfreq_hz)
            found.append(
                Window(
                    values=values,
                    sensors=recording.sensors,
                    sfreq_hz=c.sfreq_hz,
                    start_s=start_s,
                    record=recording.record,
                    subject=recording.subject,
                    site=recording.site,
                    label=recording.label if label is None else label,
                    hand=self._relative_hand(values, recording, baseline) if chosen and c.hand else None,
                    extras=extras,
                )
            )
        if starts and not found:
            raise self._nothing_left(recording)
        return found

    def _nothing_left(self, recording: Recording) -> InputError:
        """Of a recording of which every stretch was rejected: what is wrong with it, as far as can be told."""
        c, problems, unknown = self.config, self.quality(recording), recording.extras.get("unknown_channels", {})
        told = next((f"{name}: {problems[name]}" for name in recording.sensors if name in problems), "artefacts")
        more = f"; {len(unknown)} channels without a known place, such as {next(iter(unknown))}" if unknown else ""
        return InputError(
            "no signal is left, every stretch is rejected", source=recording.record, got=told + more,
            expected=f"ranges of {c.flat_uv:g} to {c.reject_uv or math.inf:g} uV",
            fix="see units and channels by omnipatch data check",
        )  # fmt: skip

    def _preprocessed(self, recording: Recording, baseline: Baseline | None) -> np.ndarray:
        spread_uv = None if baseline is None else baseline.spread(recording.sensors)
        return preprocess(recording.signals, recording.sfreq_hz, self.config, recording.sensors, spread_uv)

    def _cut(self, x: np.ndarray, start_s: float) -> np.ndarray:
        first = round(start_s * self.config.sfreq_hz)
        return x[:, first : first + round(self.config.window_s * self.config.sfreq_hz)].copy()

    def _extras(self, recording: Recording, baseline: Baseline | None) -> dict[str, Any]:
        """What `patchify` needs beside the values."""
        positions = recording.extras.get("positions", {})
        found: dict[str, Any] = {"positions": positions} if positions else {}
        if baseline is not None:
            found[baselines.KNOWN] = {kind: baseline.content(kind, recording.sensors) for kind in baseline.contents}
        return found

    def _placed(self, recording: Recording) -> Recording:
        """The channels that have a place and are wanted. Raises InputError when there is none, or for a wrong unit."""
        if recording.unit != "uV":
            raise InputError("wrong unit", source=recording.record, got=recording.unit, expected="uV")
        positions = recording.extras.get("positions", {})
        kept = [i for i, name in enumerate(recording.sensors) if name in positions or place(name) is not None]
        if not kept:
            raise unknown_channel(recording.sensors[0] if recording.sensors else "", recording.record)
        if wanted := wanted_channels(self.config.channels):
            there, kept = kept, [i for i in kept if recording.sensors[i] in wanted]
            if not kept:
                raise InputError(
                    "none of the wanted channels was recorded", source=recording.record, field="modality.channels",
                    got=", ".join(wanted), expected=", ".join(recording.sensors[i] for i in there),
                )  # fmt: skip
        return replace(
            recording,
            signals=np.asarray(recording.signals)[kept],
            sensors=tuple(recording.sensors[i] for i in kept),
        )

    def _relative_hand(self, values: np.ndarray, recording: Recording, baseline: Baseline | None) -> np.ndarray:
        features = self._hand(values, recording)
        return features if baseline is None else features - baseline.hand

    def _hand(self, values: np.ndarray, recording: Recording) -> np.ndarray:
        sensors = site_names(recording.sensors, recording.extras.get("positions", {}), self._sites)
        return hand_features(values, sensors, self.config.sfreq_hz, self.config.hand, self._sites)

    def _starts(
        self, recording: Recording, duration_s: float, task: Task | None
    ) -> list[tuple[float, tuple[str, ...] | None]]:
        """Start of each window in seconds, and the label of the span that it belongs to, None where it is no trial.

        What is left over behind the last whole window is not used, nor is what the baseline knows already.
        """
        c, known_s = self.config, float(recording.extras.get(baselines.OWN_S, 0.0))
        last = max(0.0, duration_s - c.window_s)
        if c.trials and task is not None and task.unit == "window":
            # a trial is of its own class, whatever other spans reach into it; of two at once the longer names it
            spans = sorted(labelled_spans(recording, task), key=lambda a: a.duration_s)
            labels = {a.onset_s + c.trial_offset_s: (a.label,) for a in spans}
            return [(start, labels[start]) for start in sorted(labels) if known_s <= start <= last + 0.5 / c.sfreq_hz]
        return [(float(start), None) for start in np.arange(0.0, last + 1e-9, c.stride_s) if start >= known_s]

    # ---- windows to tokens ------------------------------------------------------------------------------------

    def patchify(self, window: Window) -> PatchSequence:
        if self._grid is not None:
            return self._grid.tokens(window.values, window.sensors)
        places = places_of(window.sensors, window.extras.get("positions", {}))
        return make_tokens(window.values, places, self._layout, self._shape, window.extras.get(baselines.KNOWN))

    def unpatchify(self, sequence: PatchSequence) -> list[np.ndarray]:
        if self._grid is not None or "wave" not in self.config.content:
            raise NotImplementedError("only waves of electrodes and tubelets say what the signal was")
        return signals(sequence)

    def augment(self, batch: PatchSequence, rng: RowRandom) -> PatchSequence:
        return augment_tokens(batch, rng, self.config.lose_electrodes, self._shape.spectral)

    def maskers(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {"random": {"name": "random"}, "span": {"name": "span", "span": 1.0}}
        if self._grid is not None:
            row_s = 5 * self.config.grid_patch[2] / self.config.sfreq_hz
            found["box"] = {"name": "box", "size": {"row": 2.0, "within_s": row_s}}
            # shares that the published sampler hides of a row before it is cut to the smallest of its batch
            found["short"] = {"name": "multiblock", "scale": 0.15, "ratio": 0.675}
            found["long"] = {"name": "multiblock", "scale": 0.4, "ratio": 0.6}
            return found
        scalp = ["x", "y", "z"]
        found["electrodes"] = {"name": "place", "axes": scalp}
        found["disc"] = {"name": "disc", "axes": scalp, "radius": 0.6}
        found["block"] = {"name": "disc", "axes": scalp, "radius": 0.6, "span": 1.0}
        if self.config.band_groups > 1:
            found["bands"] = {"name": "place", "axes": ["octave"], "ratio": 0.5}
        return found

    # ---- what it knows ----------------------------------------------------------------------------------------

    def tasks(self) -> dict[str, Task]:
        return {**TASKS, **DATASET_TASKS}

    def datasets(self) -> dict[str, Dataset]:
        return dict(DATASETS)

    def example(self, rng: np.random.Generator) -> Recording:
        return make_recording(rng)

    def demo(self, seed: int = 0) -> list[Source]:
        """Each subject at rest and at work; both recordings come from one seed, so they are of one head."""
        return [
            Source(None, f"demo{i:02d}_{state}", f"demo{i:02d}", "demo", label=(state,), seed=seed * 1000 + i)
            for i in range(DEMO_SUBJECTS)
            for state in STATES
        ]

    @property
    def stamp(self) -> str:
        c = self.config
        return baselines.stamp(c.baseline, c.baseline_label, c.baseline_s)

    def relate(self, sources: Sequence[Source]) -> list[Source]:
        """Each source with the recordings that are its baseline."""
        c = self.config
        if c.baseline == "none":
            return list(sources)
        return baselines.with_baselines(sources, c.baseline, c.baseline_label, c.baseline_s)

    def load(self, source: Source) -> Recording:
        """As everywhere, with the baseline that `relate` has found for it."""
        recording = self._opened(source)
        if self.config.baseline == "none" or baselines.SOURCES not in source.extras:
            return recording
        known = self._baseline(source.extras[baselines.SOURCES])
        return replace(recording, extras={**recording.extras, baselines.KNOWN: known})

    def _baseline(self, sources: tuple[Source, ...]) -> Baseline:
        key = baselines.key(sources)
        if key not in self._baselines:
            opened = [self._placed(self._opened(s)) for s in sources]
            self._baselines[key] = baselines.measure(opened, self.config, self.config.window_s, self._shape, self._hand)
        return self._baselines[key]

    def open(self, source: Source) -> Recording:
        """A generated recording's label says which state to make; a data set may say where electrodes were."""
        if source.path is not None:
            return read_eeg(
                source.path, self._aliases, source.start_s, source.stop_s, self.config.montage, electrode_places(source)
            )
        state = source.label[0] if source.label and source.label[0] in STATES else None
        return crop(make_recording(np.random.default_rng(source.seed), state), source.start_s, source.stop_s)

    def _opened(self, source: Source) -> Recording:
        """A source with the classes that its marks mean."""
        return apply_marking(super().load(source), source, self.config.wake_s)

    def seeing(self) -> Seeing:
        return EEGSeeing(self._shape) if self._grid is None else Seeing()

    def quality(self, recording: Recording) -> dict[str, str]:
        problems = channel_quality(np.asarray(recording.signals), recording.sensors, recording.sfreq_hz)
        problems |= dict.fromkeys(recording.extras.get("bad_channels", ()), "marked bad in the file")
        lacking = [name for name in wanted_channels(self.config.channels) if name not in recording.sensors]
        problems |= dict.fromkeys(lacking, "wanted, but not recorded")
        unknown = recording.extras.get("unknown_channels", {})
        if len(unknown) > _LISTED:  # a laboratory's belts and sensors are one remark
            first = ", ".join(list(unknown)[:_LISTED])
            unknown = {f"{first} and {len(unknown) - _LISTED} more": "channels without a known place"}
        return problems | dict(unknown)
