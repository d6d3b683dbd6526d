"""Broken adapters, part two: patchify, sensors, views, tasks, events, demo, training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from faults_signal_kit import ALL_THAT_BATCH, COUNTER, Changed, fault
from omnipatch import Task, Window
from omnipatch.core.modality import Dataset, Source
from omnipatch.core.rng import RowRandom
from testing_kit import PLACES, Hum

# ---- patchify -------------------------------------------------------------------------------------------------


@fault("patchify_is_deterministic")
class Remembers(Changed):
    last = None

    def row(self, row, window):
        again, self.last = window is self.last, window
        return row.replace(values=row.values + 1) if again else row


@fault("patchify_does_not_write_into_the_window")
class WritesIntoWindow(Changed):
    def row(self, row, window):
        window.values[...] += 0.0
        return row


@fault("patches_do_not_share_memory_with_the_window")
class ViewsOfTheWindow(Changed):
    def row(self, row, window):
        whole = window.values.flags.writeable and window.values.size == row.values.numel()
        return row.replace(values=torch.from_numpy(window.values.reshape(1, -1, 8))) if whole else row


@fault("windows_of_all_lengths_collate", ALL_THAT_BATCH)
class DifferentFields(Changed):
    def row(self, row, window):
        return row.replace(label=torch.zeros(1, 3)) if window.start_s > 7 else row


@fault("unpatchify_inverts_patchify")
class TurnsRound(Hum):
    def unpatchify(self, sequence):
        return [-row for row in super().unpatchify(sequence)]


# ---- sensors --------------------------------------------------------------------------------------------------


def later(row):
    return row.replace(coords=row.coords + torch.tensor([0.02, 0.0]))


@fault("sensor_order_changes_nothing")
class FirstSensorLeads(Changed):
    def row(self, row, window):
        return later(row) if window.sensors[0] == "top" else row


@fault("dropped_sensor_shifts_no_other")
class CountsFromLeft(Changed):
    def row(self, row, window):
        return row if "left" in window.sensors else later(row)


@fault("dropped_sensor_is_absent", "dropped_sensor_shifts_no_other", "nan_sensor_equals_an_absent_one")
class ZerosForMissing(Changed):
    def patchify(self, window: Window):
        gone = [name for name in PLACES if name not in window.sensors]
        zeros = np.zeros((len(gone), window.values.shape[1]), np.float32)
        return super().patchify(
            replace(window, values=np.concatenate([window.values, zeros]), sensors=(*window.sensors, *gone))
        )


@fault("nan_sensor_equals_an_absent_one")
class NanIsValid(Changed):
    def row(self, row, window):
        return row.replace(valid=torch.ones_like(row.valid))


@fault("each_sensor_works_alone")
class NeedsTwo(Changed):
    def row(self, row, window):
        if len(window.sensors) == 1:
            raise ZeroDivisionError
        return row


@fault("unknown_sensor_is_ignored_or_refused")
class MustKnowAll(Changed):
    def windows(self, recording, task=None):
        assert all(PLACES[name] < 2 for name in recording.sensors)
        return super().windows(recording, task)


@fault("gap_is_missing_not_zero")
class FillsGaps(Changed):
    def windows(self, recording, task=None):
        if np.isnan(recording.signals).all():
            return []
        return super().windows(replace(recording, signals=np.nan_to_num(recording.signals)), task)


@fault("rate_changes_keep_seconds")
class AssumesRate(Hum):
    def resample(self, x, sfreq_hz):
        return super().resample(x, 50.0)


# ---- augmentation and maskers ---------------------------------------------------------------------------------


@fault("augment_keeps_labels_and_origin")
class ChangesLabels(Hum):
    def augment(self, batch, rng):
        return super().augment(batch, rng).replace(label=batch.label + 1)


@fault("augment_keeps_shapes_and_validity")
class InventsPatches(Hum):
    def augment(self, batch, rng):
        return super().augment(batch, rng).replace(valid=torch.ones_like(batch.valid))


@fault("augment_gives_finite_values")
class DropsEverything(Hum):
    def augment(self, batch, rng):
        view = super().augment(batch, rng)
        return view.replace(values=view.values * float("nan")) if rng.step == 2 else view


@fault("augment_is_a_pure_function_of_rng", "augment_ignores_other_rows", "augment_ignores_padding")
class OwnRandomness(Hum):
    def augment(self, batch, rng):
        return batch.replace(values=batch.values * (1 + next(COUNTER)))


@fault("augment_varies_with_the_step")
class SameEachStep(Hum):
    def augment(self, batch, rng):
        return super().augment(batch, RowRandom(rng.seed, 0, rng.rows))


@fault("augment_does_not_write_into_the_batch", "augment_is_a_pure_function_of_rng")
class WritesIntoBatch(Hum):
    def augment(self, batch, rng):
        batch.values.mul_(0.5)
        return super().augment(batch, rng)


@fault("augment_ignores_other_rows")
class CentresTheBatch(Hum):
    def augment(self, batch, rng):
        view = super().augment(batch, rng)
        return view.replace(values=view.values - batch.values[batch.valid].nanmean())


@fault("augment_ignores_padding")
class DrawsOverPadding(Hum):
    def augment(self, batch, rng):
        noise = rng.normal(batch.spec.patch_size, batch.n_patches).transpose(1, 2)
        return batch.replace(values=batch.values + noise)


@fault("maskers_are_registered")
class UnknownMask(Hum):
    def maskers(self):
        return {"blob": {"name": "blob"}}


@fault("maskers_hide_and_show_patches")
class MaskOfAnotherAxis(Hum):
    def maskers(self):
        return {"box": {"name": "box", "size": {"depth_m": 1.0}}}


# ---- tasks and events -----------------------------------------------------------------------------------------


class OtherTasks(Changed):
    changes: dict = {}  # noqa: RUF012
    which = "state"

    def tasks(self) -> dict[str, Task]:
        known = super().tasks()
        return known | {self.which: replace(known[self.which], **self.changes)}

    def event(self, events):
        return events

    def window(self, window, recording):
        return window if window.events is None else replace(window, events=self.event(window.events))


@fault("tasks_are_well_formed")
class UnknownUnit(OtherTasks):
    changes = {"unit": "clip"}  # noqa: RUF012


@fault("labels_are_classes_of_their_task")
class OddLabel(Changed):
    def window(self, window, recording):
        return replace(window, label=(*window.label, "odd")) if window.label else window


@fault("tasks_get_labels_from_the_demo_set")
class ClassNobodyHas(OtherTasks):
    changes = {"classes": ("calm", "loud", "silent")}  # noqa: RUF012


@fault("events_agree_in_number")
class TwoFeaturesOneName(OtherTasks):
    def event(self, events):
        return replace(events, features=np.ones((len(events.at), 2), np.float32))


@fault("event_features_are_finite")
class NoFirstInterval(OtherTasks):
    def event(self, events):
        return replace(events, features=events.features * np.nan)


@fault("events_lie_inside_their_window")
class EventsInSamples(OtherTasks):
    def event(self, events):
        return replace(events, at=events.at * 50)


@fault("events_are_listed_once")
class EventsTwice(OtherTasks):
    def event(self, events):
        return type(events)(
            np.repeat(events.at, 2), tuple(np.repeat(events.label, 2).tolist()), np.repeat(events.features, 2, 0),
            np.repeat(events.hand, 2, 0),
        )  # fmt: skip


# ---- demo -----------------------------------------------------------------------------------------------------


@fault("demo_has_subjects")
class NoSubjects(Hum):
    def demo(self, seed=0):
        return [replace(source, subject="") for source in super().demo(seed)]


@fault("demo_is_a_function_of_its_seed")
class OneDemo(Hum):
    def demo(self, seed=0):
        return super().demo(0)


@fault("load_keeps_what_the_source_knows")
class LoadForgetsSite(Hum):
    def load(self, source):
        return replace(super().load(source), site="")


@fault("open_reads_the_stretch_of_the_source")
class OpensTheWhole(Hum):
    def open(self, source):
        return super().open(replace(source, start_s=None, stop_s=None))


@fault("datasets_are_well_described")
class AbsoluteFolder(Hum):
    def datasets(self):
        return {"hall": replace(super().datasets()["hall"], folder="/data/hall")}


@fault("empty_dataset_folder_is_refused")
class ListsWhatIsNotThere(Hum):
    def datasets(self):
        return {"hall": Dataset("hall", "hum/hall", lambda root: [Source(root / "a.npz", "a")], ("state",))}


@fault("quality_names_sensors")
class UnknownSensorIsBad(Hum):
    def quality(self, recording):
        return {"nose": "flat"}


@fault("demo_set_is_usable_as_a_whole")
class OneDemoTooShort(Changed):
    def windows(self, recording, task=None):
        return [] if recording.record == "d3" else super().windows(recording, task)


# ---- training -------------------------------------------------------------------------------------------------


@fault("window_cache_gives_back_the_patches")
class HugeGroup(Changed):
    def row(self, row, window):
        return row.replace(group=row.group + 2**33)


@fault("embeddings_tell_windows_apart", "values_are_of_order_one", "unpatchify_inverts_patchify")
class AllTheSame(Changed):
    def row(self, row, window):
        return row.replace(values=row.values * 0)
