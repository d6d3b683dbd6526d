"""A folder in the Brain Imaging Data Structure (Pernet et al. 2019, doi:10.1038/s41597-019-0104-8).

- Subjects are the folders `sub-*`, and must stand in `participants.tsv` where there is one. Its columns `age` and `sex`
  become extras, `group` (or `diagnosis`) the label of all recordings of a person.
- `*_events.tsv` gives annotations, `*_channels.tsv` bad channels, both of the recording they share their name with.
- Which classes there are only the folder knows, so it has no task of its own: pretrain on it, or write a manifest.
"""

from __future__ import annotations

from pathlib import Path

from ....core.errors import InputError
from ....core.modality import Dataset, Source
from ..mark_files import read_tsv
from ..marking import MarkFile, Marking
from ..reading import subject_of
from .layout import find_recordings

_ENDINGS = (".edf", ".bdf", ".vhdr", ".set", ".fif", ".fif.gz")
_GROUPS = ("group", "diagnosis")
_NOT_SAID = ("", "n/a")


def list_bids(root: Path) -> list[Source]:
    """Recordings `sub-*/[ses-*/]eeg/*_eeg.*`."""
    patterns = [f"sub-*/{session}eeg/*_eeg{ending}" for session in ("", "ses-*/") for ending in _ENDINGS]
    people = _people(root / "participants.tsv")
    sources = []
    for path in find_recordings(root, "bids", patterns, "sub-01/eeg/sub-01_task-rest_eeg.edf, participants.tsv"):
        subject = subject_of(path.relative_to(root))
        if people and subject not in people:
            raise InputError("subject does not stand in participants.tsv", source=path, got=subject)
        person = people.get(subject, {})
        group = next((person[name] for name in _GROUPS if person.get(name, "") not in _NOT_SAID), "")
        extras = {name: person[name] for name in ("age", "sex") if person.get(name, "") not in _NOT_SAID}
        name = path.name[: path.name.rindex("_eeg.")]
        events, channels = (_beside(path, f"{name}_{kind}.tsv") for kind in ("events", "channels"))
        sources.append(
            Source(
                path,
                record=name,
                subject=subject,
                label=(group,) if group else (),
                extras={**extras, "marking": Marking(file=events, channels=channels)},
            )
        )
    return sources


def _people(table: Path) -> dict[str, dict[str, str]]:
    if not table.is_file():
        return {}
    return {row["participant_id"]: row for row in read_tsv(table, ("participant_id",))}


def _beside(path: Path, name: str) -> MarkFile | None:
    table = path.with_name(name)
    return MarkFile.of(table, path, "tsv") if table.is_file() else None


BIDS = Dataset(
    "bids",
    "eeg/bids",
    list_bids,
    tasks=(),
    licence="see its dataset_description.json",
    citation="Pernet et al. 2019, doi:10.1038/s41597-019-0104-8",
    instructions="Give any folder in BIDS as --data.root.",
)
