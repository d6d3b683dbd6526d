"""Public ECG data sets, read in their own layout."""

from __future__ import annotations

from pathlib import Path

from ...core.errors import InputError
from ...core.modality import Dataset, Source

# inter-patient division of de Chazal, O'Dwyer & Reilly (2004, doi:10.1109/TBME.2004.827359)
DS1 = (101, 106, 108, 109, 112, 114, 115, 116, 118, 119, 122, 124, 201, 203, 205, 207, 208, 209, 215, 220, 223, 230)
DS2 = (100, 103, 105, 111, 113, 117, 121, 123, 200, 202, 210, 212, 213, 214, 219, 221, 222, 228, 231, 232, 233, 234)
_PACED = (102, 104, 107, 217)  # left out of the AAMI protocol


def _headers(root: Path, name: str, *folders: str) -> list[Path]:
    for folder in (root, *(root / f for f in folders)):
        found = sorted(folder.glob("*.hea"))
        if found:
            return found
    if not root.is_dir():
        raise InputError(
            f"no folder for data set {name}", source=root, fix="give --data.root, or set OMNIPATCH_DATA to its parent"
        )
    raise InputError(f"wrong layout for data set {name}", source=root, got="no .hea file", expected="WFDB records")


def _listed(root: Path, file: str, default: tuple[int, ...]) -> set[str]:
    path = root / file
    return set(path.read_text().split()) if path.is_file() else {str(n) for n in default}


def list_mitdb(root: Path) -> list[Source]:
    """MIT-BIH Arrhythmia: DS1 trains, DS2 tests; 201 and 202 are one man and count as one subject."""
    train, test = _listed(root, "DS1.txt", DS1), _listed(root, "DS2.txt", DS2)
    both = train & test
    if both:
        raise InputError("a record stands in DS1 and DS2", source=root, got=sorted(both))
    if {"201", "202"} <= train | test and ("201" in train) != ("202" in train):
        train, test = train - {"202"}, test - {"202"}
    sources = []
    for header in _headers(root, "mitdb"):
        name = header.stem
        if name not in train | test or name in {str(n) for n in _PACED}:
            continue
        subject = "201" if name == "202" else name
        sources.append(Source(header, name, subject, "bih", "train" if name in train else "test"))
    if not sources:
        raise InputError("no record of DS1 or DS2", source=root, expected="101.hea, 106.hea, ...")
    return sources


def list_ludb(root: Path) -> list[Source]:
    """LUDB: one recording of each of 200 patients."""
    return [Source(h, f"ludb{h.stem}", f"ludb{h.stem}", "ludb") for h in _headers(root, "ludb", "data")]


def list_cinc2021(root: Path) -> list[Source]:
    """PhysioNet/CinC Challenge 2021: a record a patient; the letters of its name say which centre it came from."""
    found = sorted(root.rglob("*.hea"))
    if not found:
        _headers(root, "cinc2021")
    return [Source(h, h.stem, h.stem, h.stem.rstrip("0123456789")) for h in found]


DATASETS = {
    "mitdb": Dataset(
        "mitdb",
        "ecg/mitdb",
        list_mitdb,
        tasks=("beats", "rhythm"),
        licence="ODC-BY 1.0",
        citation="Moody & Mark 2001, doi:10.1109/51.932724",
        instructions="Download https://physionet.org/content/mitdb/1.0.0/ (open) and give its folder as --data.root.",
    ),
    "ludb": Dataset(
        "ludb",
        "ecg/ludb",
        list_ludb,
        tasks=(),
        licence="ODC-BY 1.0",
        citation="Kalyakulina et al. 2020, doi:10.1109/ACCESS.2020.3029211",
        instructions="Download https://physionet.org/content/ludb/1.0.1/ (open) and give its folder as --data.root.",
    ),
    "cinc2021": Dataset(
        "cinc2021",
        "ecg/cinc2021",
        list_cinc2021,
        tasks=(),
        licence="CC BY 4.0",
        citation="Reyna et al. 2021, doi:10.23919/CinC53138.2021.9662687",
        instructions="Download https://physionet.org/content/challenge-2021/1.0.3/ (open) and give --data.root.",
    ),
}
