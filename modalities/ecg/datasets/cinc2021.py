"""PhysioNet/CinC Challenge 2021: twelve leads from centres on three continents, diagnoses as SNOMED codes.

The codes stand in each header (`#Dx:`) and are read with the record. Eleven headers of the Georgia centre name their
record with the ending of its signal file ("E00271.mat"), which wfdb refuses; `headers` reads them through a repaired
copy, and the report lists them.

Two of its centres are also published as data sets of their own, under other names of people: CPSC 2018 (A0001 and on)
and PTB-XL (HR00001 and on). PTB-XL has 1.2 records a patient, but who is the same person is not told here.
"""

from __future__ import annotations

from pathlib import Path

from ....core.modality import Dataset, Source
from .layout import find_headers


def list_cinc2021(root: Path) -> list[Source]:
    """PhysioNet/CinC Challenge 2021: each record counts as a person; the letters of its name are the centre."""
    found = sorted(root.rglob("*.hea")) or find_headers(root, "cinc2021")
    return [Source(h, h.stem, h.stem, h.stem.rstrip("0123456789")) for h in found]


CINC2021 = Dataset(
    "cinc2021",
    "ecg/cinc2021",
    list_cinc2021,
    tasks=("record-rhythm", "diagnosis"),
    licence="CC BY 4.0",
    citation="Reyna et al. 2021, doi:10.23919/CinC53138.2021.9662687",
    instructions=(
        "Download https://physionet.org/content/challenge-2021/1.0.3/ (open) and give --data.root. Headers that name "
        "their record with an ending, such as E00271.mat, are repaired while reading and listed in the report."
    ),
    holds={"cpsc2018": "A*", "ptbxl": "HR*"},
)
