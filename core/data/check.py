"""`omnipatch data check`: what a corpus holds and what is wrong with it, before anything is trained.

Every recording is opened as a run would open it, but nothing is windowed, cached or written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from joblib import Parallel, delayed

from ..crop import cut_short
from ..errors import OmnipatchError
from ..modality import Modality, Source


@dataclass(frozen=True)
class CheckedRecord:
    """One recording as it was found. `problem` "" = readable; otherwise the fields that need its content are empty.

    labels: how often each label occurs, annotations and the label of the whole recording together.
    quality: {sensor: reason} of sensors that should not be trusted.
    """

    record: str
    path: str
    subject: str
    site: str
    split: str
    sensors: tuple[str, ...] = ()
    sfreq_hz: float = 0.0
    duration_s: float = 0.0
    labels: tuple[tuple[str, int], ...] = ()
    quality: tuple[tuple[str, str], ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class CheckReport:
    """A corpus at a glance; `records` holds the details, `table()` the summary as rows of text."""

    records: tuple[CheckedRecord, ...]

    @property
    def unreadable(self) -> tuple[CheckedRecord, ...]:
        return tuple(record for record in self.records if record.problem)

    @property
    def readable(self) -> tuple[CheckedRecord, ...]:
        return tuple(record for record in self.records if not record.problem)

    def labels(self) -> dict[str, int]:
        """Occurrences of each label, the most frequent first."""
        total: Counter[str] = Counter()
        for record in self.readable:
            total.update(dict(record.labels))
        return dict(total.most_common())

    def doubts(self, most: int = 20) -> list[tuple[str, str, str]]:
        """(record, sensor, reason) of the first sensors that should not be trusted, and of remarks on a recording."""
        found = [(record.record, *one) for record in self.readable for one in record.quality]
        more = [("...", "", f"{len(found) - most} more")] if len(found) > most else []
        return found[:most] + more

    def table(self) -> list[tuple[str, str]]:
        """(what, value) rows for printing."""
        good = self.readable
        subjects = {record.subject for record in good if record.subject}
        durations = sorted(record.duration_s for record in good)
        rows = [
            ("recordings", str(len(self.records))),
            ("unreadable", str(len(self.unreadable))),
            ("subjects", f"{len(subjects)}{_without(good, 'subject')}"),
            ("sites", str(len({record.site for record in good if record.site}))),
        ]
        if good:
            median = durations[len(durations) // 2]
            rows += [
                ("hours", f"{sum(durations) / 3600:.2f}"),
                ("duration_s", f"{durations[0]:g} to {durations[-1]:g}, median {median:g}"),
                ("sfreq_hz", _counted(f"{record.sfreq_hz:g}" for record in good)),
                ("sensors", _counted(" ".join(record.sensors) for record in good)),
                ("sides", _counted(record.split or "none" for record in good)),
                ("bad sensors", str(sum(name in record.sensors for record in good for name, _ in record.quality))),
                *_remarks(good),
            ]
        return rows + [(f"label {name}", str(count)) for name, count in self.labels().items()]


def _remarks(records: Iterable[CheckedRecord]) -> list[tuple[str, str]]:
    """What a modality has to say that is about no sensor in use: a repaired header, a lead nobody knows."""
    counted = Counter(name for r in records for name, _ in r.quality if name not in r.sensors)
    return [(f"remarks on {name}", str(count)) for name, count in counted.most_common()]


def check_sources(
    modality: Modality, sources: Iterable[Source], jobs: int = 1, progress: Callable[[int, int], None] | None = None
) -> CheckReport:
    """Open every source and count what is in it; an unreadable one becomes a row with its problem.

    progress: called with (recordings done, recordings in all).
    """
    listed = list(sources)
    records = []
    for record in _checked(modality, listed, jobs):
        records.append(record)
        if progress is not None:
            progress(len(records), len(listed))
    return CheckReport(tuple(records))


def _checked(modality: Modality, sources: list[Source], jobs: int) -> Iterator[CheckedRecord]:
    if jobs == 1:
        return (_check(modality, source) for source in sources)
    records: Any = Parallel(n_jobs=jobs, return_as="generator")(delayed(_check)(modality, s) for s in sources)
    return records


def _check(modality: Modality, source: Source) -> CheckedRecord:
    path = str(source.path or "generated")
    try:
        recording = modality.load(source)
        labels = Counter([annotation.label for annotation in recording.annotations])
        labels.update(recording.label)
        quality = dict(modality.quality(recording)) | cut_short(recording, source.start_s, source.stop_s)
        return CheckedRecord(
            record=recording.record, path=path, subject=recording.subject, site=recording.site, split=source.split,
            sensors=recording.sensors, sfreq_hz=float(recording.sfreq_hz),
            duration_s=recording.signals.shape[-1] / recording.sfreq_hz,
            labels=tuple(labels.most_common()), quality=tuple(quality.items()),
        )  # fmt: skip
    except OmnipatchError as error:
        problem = str(error)
    except Exception as error:  # as in `shard`: one broken file is a finding, not the end of the check
        problem = f"{type(error).__name__}: {error}"
    return CheckedRecord(source.record, path, source.subject, source.site, source.split, problem=problem)


def _counted(values: Iterable[str], most: int = 4) -> str:
    """`a (12), b (3)`, and how many other values there are."""
    found = Counter(values).most_common()
    more = f", {len(found) - most} more" if len(found) > most else ""
    return ", ".join(f"{value} ({count})" for value, count in found[:most]) + more


def _without(records: tuple[CheckedRecord, ...], name: str) -> str:
    missing = sum(not getattr(record, name) for record in records)
    return f" ({missing} recordings without one)" if missing else ""
