"""A folder in the Brain Imaging Data Structure (Pernet et al. 2019, doi:10.1038/s41597-019-0104-8).

- Subjects are the folders `sub-*`, and must stand in `participants.tsv` where there is one. Its columns `age` and `sex`
  become extras, `group` (or `diagnosis`) the label of all recordings of a person.
- `*_events.tsv` gives annotations, `*_channels.tsv` bad channels and kinds, `*_electrodes.tsv` places to channels that
  no site's name describes.
- A table holds for all recordings below its folder that have all parts of its name ("sub-01", "task-rest"). The nearest
  one counts, of several in a folder the one with most parts (the standard's inheritance principle).
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
            raise InputError(
                "subject does not stand in participants.tsv", source=path, got=subject,
                expected=f"one of its column participant_id ({next(iter(people))}, ...)",
                fix="add a row, or move the folder away",
            )  # fmt: skip
        person = people.get(subject, {})
        group = next((person[name] for name in _GROUPS if person.get(name, "") not in _NOT_SAID), "")
        extras = {name: person[name] for name in ("age", "sex") if person.get(name, "") not in _NOT_SAID}
        name = path.name[: path.name.rindex("_eeg.")]
        parts = frozenset(name.split("_"))
        electrodes = _nearest(root, path, parts, "electrodes.tsv")
        axes = None if electrodes is None else _nearest(root, path, parts | _parts(electrodes), "coordsystem.json")
        marking = Marking(
            file=_beside(path, _nearest(root, path, parts, "events.tsv")),
            channels=_beside(path, _nearest(root, path, parts, "channels.tsv")),
            electrodes=_beside(path, electrodes),
            axes=_beside(path, axes),
        )
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


def _nearest(root: Path, path: Path, parts: frozenset[str], ending: str) -> Path | None:
    """The file that holds for a recording, from its folder up to the root; None where there is none.

    parts: of the recording's name. A table of electrodes may name its space beside them; the first of several counts.
    """
    for folder in path.parents:
        found = [file for file in sorted(folder.glob(f"*{ending}")) if f"_{file.name}".endswith(f"_{ending}")]
        if ending == "electrodes.tsv":
            parts = parts | {part for file in found for part in _parts(file) if part.startswith("space-")}
        holding = [file for file in found if _parts(file) <= parts]
        if holding:
            return max(holding, key=lambda file: len(_parts(file)))
        if folder == root:
            break
    return None


def _parts(file: Path) -> frozenset[str]:
    """The entities of a file's name, "sub-01" and "task-rest" of "sub-01_task-rest_events.tsv"."""
    return frozenset(file.name.split("_")[:-1])


def _beside(path: Path, file: Path | None) -> SideFile | None:
    return None if file is None else SideFile.of(file, path, "tsv")


BIDS = Dataset(
    "bids",
    "eeg/bids",
    list_bids,
    tasks=(),
    licence="see its dataset_description.json",
    citation="Pernet et al. 2019, doi:10.1038/s41597-019-0104-8",
    instructions="Give any folder in BIDS as --data.root.",
)
