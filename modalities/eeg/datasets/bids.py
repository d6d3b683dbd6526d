"""A folder in the Brain Imaging Data Structure (Pernet et al. 2019, doi:10.1038/s41597-019-0104-8).

- Subjects are the folders `sub-*`, and must stand in `participants.tsv` where there is one. Its columns `age` and `sex`
  become extras, `group` (or `diagnosis`) the label of all recordings of a person.
- `*_events.tsv` gives annotations, `*_channels.tsv` bad channels and kinds, of the recording whose name they share.
- `*_electrodes.tsv` gives places to channels that no site's name describes; it holds for all recordings of a folder.
- Which classes there are only the folder knows, so it has no task of its own: pretrain on it, or write a manifest.
"""

from __future__ import annotations

from pathlib import Path

from ....core.errors import InputError
from ....core.modality import Dataset, Source
from ..mark_files import read_tsv
from ..marking import Marking, SideFile
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
        beside = {kind: _beside(path, path.with_name(f"{name}_{kind}.tsv")) for kind in ("events", "channels")}
        electrodes, axes = _measured(path, subject)
        marking = Marking(file=beside["events"], channels=beside["channels"], electrodes=electrodes, axes=axes)
        sources.append(
            Source(
                path,
                record=name,
                subject=subject,
                label=(group,) if group else (),
                extras={**extras, "marking": marking},
            )
        )
    return sources


def _people(table: Path) -> dict[str, dict[str, str]]:
    if not table.is_file():
        return {}
    return {row["participant_id"]: row for row in read_tsv(table, ("participant_id",))}


def _measured(path: Path, subject: str) -> tuple[SideFile | None, SideFile | None]:
    """The table of electrodes of a recording's folder and the description of its axes; the first of several spaces."""
    tables = sorted(path.parent.glob(f"{subject}*_electrodes.tsv"))
    if not tables:
        return None, None
    axes = tables[0].with_name(tables[0].name.replace("_electrodes.tsv", "_coordsystem.json"))
    return _beside(path, tables[0]), _beside(path, axes)


def _beside(path: Path, file: Path) -> SideFile | None:
    return SideFile.of(file, path, "tsv") if file.is_file() else None


BIDS = Dataset(
    "bids",
    "eeg/bids",
    list_bids,
    tasks=(),
    licence="see its dataset_description.json",
    citation="Pernet et al. 2019, doi:10.1038/s41597-019-0104-8",
    instructions="Give any folder in BIDS as --data.root.",
)
