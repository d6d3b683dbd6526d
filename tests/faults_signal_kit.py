"""Broken adapters, part one: contract, reading, windows, patches.

`@fault(check, *others)`: the class breaks one promise, and exactly these checks must say so. Others are named where one
mistake breaks several promises at once; ALL_THAT_BATCH stands for whatever puts its windows into a batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from omnipatch import Modality, PatchSequence, Recording, SequenceSpec, Window
from testing_kit import Hum, HumConfig

FAULTS: dict[str, tuple[Modality | type[Modality], frozenset[str]]] = {}
ALL_THAT_BATCH = "all that batch"
COUNTER = itertools.count()


def fault(check: str, *others: str) -> Callable[[type], type]:
    def add(cls: type) -> type:
        assert check not in FAULTS
        FAULTS[check] = (cls, frozenset({check, *others}))
        return cls

    return add


class Changed(Hum):
    """Hum whose windows and patches go through a hook."""

    def window(self, window: Window, recording: Recording) -> Window:
        return window

    def row(self, row: PatchSequence, window: Window) -> PatchSequence:
        return row

    def windows(self, recording: Recording, task: str | None = None) -> list[Window]:
        return [self.window(window, recording) for window in super().windows(recording, task)]

    def patchify(self, window: Window) -> PatchSequence:
        return self.row(super().patchify(window), window)


# ---- contract -------------------------------------------------------------------------------------------------


@fault("name_is_an_identifier")
class BadName(Hum):
    name = "Hum Toy"


@fault("api_version_is_current")
class OldVersion(Hum):
    api_version = 0


@dataclass
class OpenConfig:
    sfreq_hz: float = 32.0  # rate
    patch_s: float = 0.25  # patch
    window_s: float = 4.0  # window


@fault("config_is_a_frozen_dataclass")
class NotFrozen(Hum):
    Config = OpenConfig


@dataclass(frozen=True)
class BareConfig:
    window_s: float  # no default
    sfreq_hz: float = 32.0  # rate
    patch_s: float = 0.25  # patch


class NoDefaults(Hum):
    Config = BareConfig


FAULTS["config_has_defaults"] = (NoDefaults(BareConfig(4.0)), frozenset({"config_has_defaults"}))  # type: ignore[arg-type]


@dataclass(frozen=True)
class SilentConfig(HumConfig):
    gain: float = 1.0


@fault("config_fields_have_comments")
class NoComment(Hum):
    Config = SilentConfig


@dataclass(frozen=True)
class SetConfig(HumConfig):
    # JSON has no sets
    sensors: frozenset = frozenset({"left"})


@fault("config_survives_json")
class NotPlain(Hum):
    Config = SetConfig


@fault("reading_options_are_config_fields")
class NoSuchOption(Hum):
    reading_options = ("nicknames",)


@fault("preprocessing_is_in_the_config")
class Learns(Changed):
    scale = None

    def window(self, window, recording):
        if self.scale is None:
            self.scale = np.nanstd(recording.signals)
        return replace(window, values=window.values / self.scale)


@fault("spec_is_static", "preprocessing_is_in_the_config")
class NumberedSpec(Hum):
    def __init__(self, config=None):
        super().__init__(config)
        self.number = next(COUNTER)

    @property
    def spec(self):
        return replace(super().spec, unit=str(self.number))


@fault("spec_survives_json", "window_cache_gives_back_the_patches")
class ListSpec(Hum):
    @property
    def spec(self):
        return replace(super().spec, kinds=["patch"])  # type: ignore[arg-type]


@fault("spec_is_sensible")
class TwiceTheSameKind(Hum):
    @property
    def spec(self):
        return replace(super().spec, kinds=("patch", "patch"))


@fault("first_axis_of_a_signal_is_time")
class NoUnit(Hum):
    @property
    def spec(self):
        return replace(super().spec, axes=("t", "x_m"))


@fault("adapter_can_be_pickled")
class HoldsLambda(Hum):
    def __init__(self, config=None):
        super().__init__(config)
        self.hook = lambda x: x


# ---- reading --------------------------------------------------------------------------------------------------


@fault("example_is_a_pure_function_of_rng", "demo_is_a_function_of_its_seed")
class CountsExamples(Hum):
    def example(self, rng):
        return replace(super().example(rng), extras={"number": next(COUNTER)})


@fault("example_varies_with_rng", "demo_is_a_function_of_its_seed", "tasks_get_labels_from_the_demo_set")
class OneExample(Hum):
    def example(self, rng):
        return super().example(np.random.default_rng(0))


@fault("recording_has_its_declared_form")
class ListOfSensors(Hum):
    def example(self, rng):
        made = super().example(rng)
        return replace(made, sensors=list(made.sensors))  # type: ignore[arg-type]


@fault("example_is_in_physical_units")
class NoUnitOfSignal(Hum):
    def example(self, rng):
        return replace(super().example(rng), unit="")


@fault("annotations_lie_inside_the_example")
class AnnotationTooLong(Hum):
    def example(self, rng):
        made = super().example(rng)
        return replace(made, annotations=tuple(replace(a, duration_s=2 * a.duration_s) for a in made.annotations))


@fault("global_random_state_is_left_alone")
class GlobalDraw(Changed):
    def row(self, row, window):
        np.random.rand()  # noqa: NPY002
        return row


@fault("missing_file_is_named")
class LetsMissingThrough(Hum):
    def read(self, path: Path | str):
        if not Path(path).exists():
            raise FileNotFoundError(path)
        return super().read(path)


@fault("empty_file_is_refused")
class LetsEmptyThrough(Hum):
    def read(self, path: Path | str):
        if Path(path).exists() and not Path(path).stat().st_size:
            raise EOFError
        return super().read(path)


@fault("garbage_file_is_refused")
class ReadsAnything(Hum):
    def read(self, path: Path | str):
        if Path(path).exists() and Path(path).stat().st_size:
            return self.example(np.random.default_rng(0))
        return super().read(path)


# ---- windows --------------------------------------------------------------------------------------------------


@fault("example_gives_windows", "each_sensor_works_alone")  # the store leaves such a window out
class DeadWindow(Changed):
    def window(self, window, recording):
        return replace(window, values=np.full_like(window.values, np.nan)) if window.start_s > 7 else window


@fault("windows_keep_their_origin")
class ForgetsSubject(Changed):
    def window(self, window, recording):
        return replace(window, subject="")


@fault("windows_say_where_they_start")
class AllStartAtZero(Changed):
    def window(self, window, recording):
        return replace(window, start_s=0.0)


@fault(
    "windows_have_a_rate_and_sensor_names", "coordinates_are_relative_to_the_window",
    "events_lie_inside_their_window", "short_recording_works_or_is_refused",
)  # fmt: skip
class NegativeRate(Changed):
    def window(self, window, recording):
        return replace(window, sfreq_hz=-window.sfreq_hz)


@fault("windows_are_deterministic")
class CountsWindows(Changed):
    def window(self, window, recording):
        return replace(window, extras={"number": next(COUNTER)})


@fault("windows_do_not_write_into_the_recording")
class CentresInPlace(Changed):
    def windows(self, recording, task=None):
        recording.signals[...] -= 0.0
        return super().windows(recording, task)


@fault("windows_do_not_share_memory_with_the_recording")
class ViewsOfTheRecording(Changed):
    def example(self, rng):
        made = super().example(rng)
        return replace(made, signals=self.resample(made.signals, made.sfreq_hz), sfreq_hz=self.config.sfreq_hz)

    def window(self, window, recording):
        if recording.sfreq_hz != window.sfreq_hz or len(recording.signals) != len(window.values):
            return window
        first = round(window.start_s * window.sfreq_hz)
        return replace(window, values=recording.signals[:, first : first + window.values.shape[1]])


@fault("short_recording_works_or_is_refused")
class NeedsLength(Changed):
    def row(self, row, window):
        if window.values.shape[1] <= 64:
            raise IndexError("too short")
        return row


@fault("tiny_recording_is_refused_or_works")
class DividesByLength(Changed):
    def windows(self, recording, task=None):
        return super().windows(recording, task) if 1 // recording.signals.shape[1] < 2 else []


@fault("recording_without_signal_is_refused")
class FillsSilence(Changed):
    def windows(self, recording, task=None):
        if np.isnan(recording.signals).all():
            recording = replace(recording, signals=np.zeros_like(recording.signals))
        return super().windows(recording, task)


# ---- patches --------------------------------------------------------------------------------------------------


@fault("patchify_gives_one_row_of_the_spec", "demo_set_is_usable_as_a_whole", "window_cache_gives_back_the_patches")
class OtherSpec(Changed):
    def row(self, row, window):
        return row.replace(spec=SequenceSpec(row.spec.axes, row.spec.patch_shape, row.spec.axis_scales, 99.0))


@fault("patches_have_their_declared_types")
class DoubleCoordinates(Changed):
    def row(self, row, window):
        return row.replace(coords=row.coords.double())


@fault("values_are_finite_or_nan", "demo_set_is_usable_as_a_whole", "window_cache_gives_back_the_patches")
class Infinite(Changed):
    def row(self, row, window):
        return row.replace(values=row.values.masked_fill(row.values > 0.3, np.inf)) if window.start_s > 7 else row


@fault("values_are_of_order_one")
class InMicrovolt(Changed):
    def window(self, window, recording):
        return replace(window, values=window.values * np.float32(1e5))


@fault("coordinates_are_finite", ALL_THAT_BATCH)
class Nowhere(Changed):
    def row(self, row, window):
        gone = row.coords[..., :1] > 2
        return row.replace(coords=row.coords.masked_fill(gone, np.nan)) if window.start_s > 7 else row


@fault("coordinates_are_relative_to_the_window")
class AbsoluteTime(Changed):
    def row(self, row, window):
        return row.replace(coords=row.coords + torch.tensor([10 * window.start_s, 0.0]))


@fault("patches_lie_at_different_places", "dropped_sensor_shifts_no_other", "unknown_sensor_is_ignored_or_refused")
class CoarseTime(Changed):
    def row(self, row, window):
        return row.replace(coords=torch.stack([(2 * row.coords[..., 0]).floor() / 2, row.coords[..., 1]], -1))


@fault("kinds_groups_and_ids_are_in_range")
class NegativeGroup(Changed):
    def row(self, row, window):
        return row.replace(group=row.group - 1)


@fault("edges_join_patches_of_the_row")
class EdgesFromOne(Changed):
    def row(self, row, window):
        return row.replace(edges=row.edges + 1)
