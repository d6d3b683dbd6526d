"""MIT-BIH Arrhythmia Database: half an hour of two leads from 47 people, every beat marked."""

from __future__ import annotations

from pathlib import Path

from ....core.errors import InputError
from ....core.modality import Dataset, Source
from .layout import find_headers

# inter-patient division of de Chazal, O'Dwyer & Reilly (2004, doi:10.1109/TBME.2004.827359)
DS1 = (101, 106, 108, 109, 112, 114, 115, 116, 118, 119, 122, 124, 201, 203, 205, 207, 208, 209, 215, 220, 223, 230)
DS2 = (100, 103, 105, 111, 113, 117, 121, 123, 200, 202, 210, 212, 213, 214, 219, 221, 222, 228, 231, 232, 233, 234)
_PACED = (102, 104, 107, 217)  # left out of the AAMI protocol


def list_mitdb(root: Path) -> list[Source]:
    """MIT-BIH Arrhythmia: DS1 trains, DS2 tests; 201 and 202 are one man and count as one subject."""
    train, test = _listed(root, "DS1.txt", DS1), _listed(root, "DS2.txt", DS2)
    both = train & test
    if both:
        raise InputError("a record stands in DS1 and DS2", source=root, got=sorted(both))
    if {"201", "202"} <= train | test and ("201" in train) != ("202" in train):
        train, test = train - {"202"}, test - {"202"}
    sources = []
    for header in find_headers(root, "mitdb"):
        name = header.stem
        if name not in train | test or name in {str(n) for n in _PACED}:
            continue
        subject = "201" if name == "202" else name
        sources.append(Source(header, name, subject, "bih", "train" if name in train else "test"))
    if not sources:
        raise InputError("no record of DS1 or DS2", source=root, expected="101.hea, 106.hea, ...")
    return sources


def _listed(root: Path, file: str, default: tuple[int, ...]) -> set[str]:
    path = root / file
    return set(path.read_text().split()) if path.is_file() else {str(n) for n in default}


MITDB = Dataset(
    "mitdb",
    "ecg/mitdb",
    list_mitdb,
    tasks=("beats", "rhythm"),
    licence="ODC-BY 1.0",
    citation="Moody & Mark 2001, doi:10.1109/51.932724",
    instructions="Download https://physionet.org/content/mitdb/1.0.0/ (open) and give its folder as --data.root.",
)
