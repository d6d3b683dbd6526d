"""The EEG adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ...core.errors import InputError, nearest
from ...core.modality import Dataset, Modality, Recording, Source, Task, Window
from ...core.rng import RowRandom
from ...core.sequence import PatchSequence, SequenceSpec
from .artefacts import channel_quality
from .augment import augment_tokens
from .channels import canonical_channels, parse_aliases, unknown_channel
from .datasets import DATASETS
from .datasets import TASKS as DATASET_TASKS
from .demo import SITES_10_20, STATES, make_recording
from .features import FEATURE_SETS, hand_features
from .grid import Grid
from .layouts import ElectrodeLayout, Layout, TubeletLayout
from .marking import apply_marking
from .montage import place
from .preprocess import PreprocessConfig, preprocess
from .reading import read_eeg
from .spectral import FINE_EDGES_HZ
from .tasks import TASKS, labelled_spans, window_label
from .tokens import CONTENTS, TokenShape, check_bands, make_tokens, signals

DEMO_SUBJECTS = 24


@dataclass(frozen=True)
class EEGConfig(PreprocessConfig):
    """Preprocessing and tokens of the EEG adapter; saved with the weights."""

    aliases: tuple[str, ...] = ()  # names of your amplifier's inputs, e.g. "E12=Fz"
    montage: str = ""  # a standard montage of MNE that knows your amplifier's names, e.g. "biosemi128"
    window_s: float = 5.0  # length of a window
    stride_s: float = 5.0  # distance of windows
    trials: bool = False  # a window at the onset of each labelled span instead: cued experiments
    trial_offset_s: float = 0.0  # where such a window begins, from the onset of its span
    layout: Literal["electrode", "tubelet", "grid"] = "electrode"  # a token: an electrode, neighbours, or a list's rows
    content: tuple[str, ...] = ("wave",)  # wave, spectrum, covariance: which tokens a window has
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
    hand: tuple[str, ...] = ("bands",)  # features of the baseline: bands, fine-bands, log-covariance

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("window_s", "stride_s", "patch_s", "spectrum_s", "frame_s", "frame_step_s"):
            if getattr(self, name) <= 0:
                raise InputError("must be positive", source=f"modality.{name}", got=getattr(self, name))
        for content in self.content or ("",):
            if content not in CONTENTS:
                raise InputError("unknown content in modality.content", got=content, fix=nearest(content, CONTENTS))
        if self.layout == "grid" and self.content != ("wave",):
            raise InputError("the grid holds waves only", source="modality.content", got=self.content)
        if not 0 <= self.lose_electrodes < 1:
            raise InputError("must lie in [0, 1)", source="modality.lose_electrodes", got=self.lose_electrodes)
        lengths = {"wave": self.patch_s, "spectrum": self.spectrum_s, "covariance": self.spectrum_s}
        if self.layout != "grid" and max(lengths[content] for content in self.content) > self.window_s:
            raise InputError("a token is longer than a window", source="modality.window_s", got=self.window_s)
        for name in self.hand:
            if name not in FEATURE_SETS:
                raise InputError("unknown name in modality.hand", got=name, fix=nearest(name, FEATURE_SETS))
        check_bands(self.bands_hz, self.band_groups)


class EEG(Modality):
    """Electroencephalograms of any montage, rate and length."""

    name: ClassVar[str] = "eeg"
    Config: ClassVar[type] = EEGConfig
    config: EEGConfig

    def __init__(self, config: EEGConfig | None = None) -> None:
        super().__init__(config)
        c = self.config
        self._aliases = parse_aliases(c.aliases)
        self._sites = canonical_channels(c.sites)
        where = _places(self._sites, {})
        self._shape = TokenShape(
            c.content, c.patch_s, c.spectrum_s, c.bands_hz, c.band_groups, c.sfreq_hz, tuple(map(tuple, where.tolist()))
        )
        self._layout: Layout = ElectrodeLayout()
        self._grid: Grid | None = None
        if c.layout == "tubelet":
            self._layout = TubeletLayout(where, c.neighbours)
        elif c.layout == "grid":
            self._grid = Grid(self._sites, c.grid_patch, c.frame_s, c.frame_step_s, c.sfreq_hz)

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
        shortest = min(c.patch_s if "wave" in c.content else c.spectrum_s, 1.0)
        if recording.signals.shape[1] < shortest * recording.sfreq_hz:
            raise InputError(
                "recording is too short",
                source=recording.record,
                got=f"{recording.signals.shape[1] / recording.sfreq_hz:.3f} s",
                expected=f"at least {shortest} s",
            )
        x = preprocess(recording.signals, recording.sfreq_hz, c, recording.sensors, recording.extras.get("spread_uv"))
        positions = recording.extras.get("positions", {})
        chosen = None if task is None else self.task(task)
        found = []
        for start_s in self._starts(recording, x.shape[1] / c.sfreq_hz, chosen):
            first = round(start_s * c.sfreq_hz)
            values = x[:, first : first + round(c.window_s * c.sfreq_hz)].copy()
            if not np.isfinite(values).any():
                continue  # rejected as a whole
            stop_s = start_s + values.shape[1] / c.sfreq_hz
            found.append(
                Window(
                    values=values,
                    sensors=recording.sensors,
                    sfreq_hz=c.sfreq_hz,
                    start_s=start_s,
                    record=recording.record,
                    subject=recording.subject,
                    site=recording.site,
                    label=recording.label if chosen is None else window_label(recording, chosen, start_s, stop_s),
                    hand=None if chosen is None or not c.hand else self._hand(values, recording.sensors),
                    extras={"positions": positions} if positions else {},
                )
            )
        return found

    def _placed(self, recording: Recording) -> Recording:
        """The channels that have a place. Raises InputError when there is none, or for a wrong unit."""
        if recording.unit != "uV":
            raise InputError("wrong unit", source=recording.record, got=recording.unit, expected="uV")
        positions = recording.extras.get("positions", {})
        kept = [i for i, name in enumerate(recording.sensors) if name in positions or place(name) is not None]
        if not kept:
            raise unknown_channel(recording.sensors[0] if recording.sensors else "", recording.record)
        return replace(
            recording,
            signals=np.asarray(recording.signals)[kept],
            sensors=tuple(recording.sensors[i] for i in kept),
        )

    def _hand(self, values: np.ndarray, sensors: tuple[str, ...]) -> np.ndarray:
        return hand_features(values, sensors, self.config.sfreq_hz, self.config.hand, self._sites)

    def _starts(self, recording: Recording, duration_s: float, task: Task | None) -> list[float]:
        """Start of each window in seconds. What is left over behind the last whole one is not used."""
        c = self.config
        last = max(0.0, duration_s - c.window_s)
        if c.trials and task is not None:
            onsets = {a.onset_s + c.trial_offset_s for a in labelled_spans(recording, task)}
            return sorted(start for start in onsets if 0 <= start <= last + 0.5 / c.sfreq_hz)
        return [float(start) for start in np.arange(0.0, last + 1e-9, c.stride_s)]

    # ---- windows to tokens ------------------------------------------------------------------------------------

    def patchify(self, window: Window) -> PatchSequence:
        if self._grid is not None:
            return self._grid.tokens(window.values, window.sensors)
        places = _places(window.sensors, window.extras.get("positions", {}))
        return make_tokens(window.values, places, self._layout, self._shape)

    def unpatchify(self, sequence: PatchSequence) -> list[np.ndarray]:
        if self._grid is not None or "wave" not in self.config.content:
            raise NotImplementedError("only waves of electrodes and tubelets say what the signal was")
        return signals(sequence)

    def augment(self, batch: PatchSequence, rng: RowRandom) -> PatchSequence:
        return augment_tokens(batch, rng, self.config.lose_electrodes)

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

    def load(self, source: Source) -> Recording:
        """As everywhere; a generated recording's label says which state to make, a data set what its marks mean."""
        if source.path is None and source.label and source.label[0] in STATES:
            made = make_recording(np.random.default_rng(source.seed), source.label[0])
            extras = {**made.extras, **source.extras}
            return replace(made, record=source.record, subject=source.subject, site=source.site, extras=extras)
        return apply_marking(super().load(source), source)

    def quality(self, recording: Recording) -> dict[str, str]:
        problems = channel_quality(np.asarray(recording.signals), recording.sensors, recording.sfreq_hz)
        problems |= dict.fromkeys(recording.extras.get("bad_channels", ()), "marked bad in the file")
        return problems | dict(recording.extras.get("unknown_channels", {}))


def _places(names: tuple[str, ...], positions: Mapping[str, Any]) -> np.ndarray:
    """[channel, 3] on the unit sphere, by measured position or by name."""
    found = [positions.get(name) or place(name) for name in names]
    for name, where in zip(names, found, strict=True):
        if where is None:
            raise unknown_channel(name)
    return np.array(found, dtype=np.float64).reshape(-1, 3)
