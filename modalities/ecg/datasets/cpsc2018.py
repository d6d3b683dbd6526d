"""China Physiological Signal Challenge 2018: 6 877 records of 6 to 60 s, twelve leads, nine classes.

Two layouts are read: the organisers' own, MATLAB files of a struct `ECG` beside a `REFERENCE.csv` with up to three
class numbers a record; and the form of the PhysioNet challenges, WFDB headers whose SNOMED codes (`#Dx:`) mean the same
nine classes. Files may lie in folders below (TrainingSet1, g1, ...). Nobody says which records share a patient: each
counts as a subject.
"""

from __future__ import annotations

from pathlib import Path

from ....core.errors import CorruptFileError, wrong_layout
from ....core.modality import Dataset, Source
from .layout import bad_cell, read_table, whole_number

_TABLE = "REFERENCE.csv"
_CLASSES = ("Normal", "AF", "I-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE")  # numbers 1 to 9
_COLUMNS = ("First_label", "Second_label", "Third_label")


def list_cpsc2018(root: Path) -> list[Source]:
    """CPSC 2018 in either layout; labels from REFERENCE.csv where there is one, else from the headers."""
    headers = sorted(root.rglob("*.hea"))
    files = headers or sorted(root.rglob("*.mat"))
    tables = sorted(root.rglob(_TABLE))
    if not files or not (headers or tables):
        got = f"no {_TABLE}" if files else "no .hea or .mat file"
        raise wrong_layout(root, "cpsc2018", got, f"A0001.mat, ... and {_TABLE}, or A0001.hea, A0001.mat, ...")
    labels = {name: label for table in tables for name, label in _labels(table).items()}
    return [Source(f, f"cpsc{f.stem}", f"cpsc{f.stem}", "cpsc", label=labels.get(f.stem, ())) for f in files]


def _labels(table: Path) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line, row in read_table(table, ("Recording", "First_label")):
        name = row["Recording"]
        if not name or name in found:
            raise CorruptFileError("a record stands twice in the table", source=table, field=f"line {line}", got=name)
        numbers = [whole_number(table, line, c, row[c]) for c in _COLUMNS if row.get(c)]
        if not numbers or not all(1 <= number <= len(_CLASSES) for number in numbers):
            raise bad_cell(table, line, "label", numbers or "nothing", f"1 to {len(_CLASSES)}")
        found[name] = tuple(dict.fromkeys(_CLASSES[number - 1] for number in numbers))
    return found


CPSC2018 = Dataset(
    "cpsc2018",
    "ecg/cpsc2018",
    list_cpsc2018,
    tasks=("cpsc2018",),
    licence="not stated by the organisers; CC BY 4.0 as a part of the PhysioNet/CinC Challenge 2021",
    citation="Liu et al. 2018, doi:10.1166/jmihi.2018.2442",
    instructions=(
        "Ask the organisers of the China Physiological Signal Challenge 2018 for the training set, or take its part of "
        "https://physionet.org/content/challenge-2021/1.0.3/ (open); give the folder as --data.root."
    ),
)
