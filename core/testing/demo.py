"""Demo set, named data sets, and the quality of sensors."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ..data.sources import list_dataset
from ..data.store import WindowStore
from ..errors import InputError
from ..modality import Source
from .case import Case
from .checks import check, expect, fail, need
from .compare import record_difference


@check(fix="give each Source a subject")
def demo_has_subjects(case: Case) -> None:
    sources = case.sources
    subjects = {source.subject for source in sources if source.subject}
    if not subjects:  # a recording may be of many people, whom its windows name
        windows = case.modality.windows(case.modality.load(sources[0]))
        subjects = {window.subject for window in windows if window.subject}
    expect(
        len(subjects) >= 4,
        got=f"{len(subjects)} subjects in `demo()`",
        expected="4 or more, so that all sides of a split get some",
    )
    records = [source.record for source in sources]
    expect(
        len(set(records)) == len(records),
        got="two demo recordings of one name",
        expected="a name of its own for each",
        fix="number Source.record",
    )


@check(fix="derive Source.seed from `seed`")
def demo_is_a_function_of_its_seed(case: Case) -> None:
    first, again, other = (case.modality.demo(seed)[0] for seed in (0, 0, 1))
    found = record_difference(case.modality.load(first), case.modality.load(again))
    expect(not found, got=f"{found} from the same seed", expected="the same demo set")
    found = record_difference(case.modality.load(first), case.modality.load(other))
    expect(found, got="the same recording from another seed", expected="another demo set")


@check(fix="call super().load(source) in your own `load`")
def load_keeps_what_the_source_knows(case: Case) -> None:
    source = Source(path=None, record="r9", subject="s9", site="clinic9", seed=9, extras={"age": 70})
    recording = case.modality.load(source)
    got = (recording.record, recording.subject, recording.site, recording.extras.get("age"))
    expect(
        got == ("r9", "s9", "clinic9", 70), got=f"(record, subject, site, age) = {got}", expected="those of the source"
    )


@check(fix="call super().open(source), or crop(recording, source.start_s, source.stop_s), in your own `open`")
def open_reads_the_stretch_of_the_source(case: Case) -> None:
    source = case.sources[0]
    whole = case.modality.load(source)
    need(whole.sfreq_hz > 0, "recordings have no sampling rate")
    half_s = whole.signals.shape[-1] / whole.sfreq_hz / 2
    part = case.modality.load(replace(source, stop_s=half_s))
    expect(
        part.signals.shape[-1] == round(half_s * whole.sfreq_hz),
        got=f"{part.signals.shape[-1] / whole.sfreq_hz:g} s of a source that stops at {half_s:g} s",
        expected="that stretch",
    )


@check(fix='write for example "gait/name"')
def datasets_are_well_described(case: Case) -> None:
    datasets = case.modality.datasets()
    need(datasets, "the adapter names no data sets")
    for key, dataset in datasets.items():
        folder = PurePosixPath(dataset.folder)
        expect(
            dataset.name == key and not folder.is_absolute() and ".." not in folder.parts,
            got=f"data set {dataset.name!r} under the key {key!r} in {dataset.folder!r}",
            expected="one name, and a folder below $OMNIPATCH_DATA",
        )
        unknown = [task for task in dataset.tasks if task not in case.modality.tasks()]
        expect(
            not unknown,
            got=f"tasks {unknown} of data set {key}",
            expected=f"some of {sorted(case.modality.tasks())}",
            fix="name tasks of `tasks()`",
        )


@check(fix="list files that exist")
def empty_dataset_folder_is_refused(case: Case) -> None:
    datasets = case.modality.datasets()
    need(datasets, "the adapter names no data sets")
    for key, dataset in datasets.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                list_dataset(dataset, Path(folder))
            except InputError:
                continue
            except Exception as error:
                fail(
                    got=f"{type(error).__name__} for an empty folder of {key}",
                    expected="InputError",
                    fix="say in list_sources which layout was expected",
                )
            fail(
                got=f"sources of {key} out of an empty folder",
                expected="InputError",
            )


@check(fix="return {sensor: reason}")
def quality_names_sensors(case: Case) -> None:
    recording = case.recording()
    for name, reason in case.modality.quality(recording).items():
        expect(
            name in recording.sensors and isinstance(reason, str) and reason,
            got=f"{{{name!r}: {reason!r}}} from `quality`",
            expected="a sensor of the recording and a reason in words",
        )


@check(fix="make all windows of `example` usable, with the same number of features")
def demo_set_is_usable_as_a_whole(case: Case) -> None:
    modality = case.modality
    task = next(iter(modality.tasks()), None)
    with tempfile.TemporaryDirectory() as cache:
        store = WindowStore.prepare(modality, case.sources, task, cache)
        bad = [f"{entry.record}: {entry.reason}" for entry in store.skipped]
    expect(
        not bad,
        got=f"{len(bad)} of {len(case.sources)} demo recordings skipped ({'; '.join(bad[:1])})",
        expected="none",
    )
