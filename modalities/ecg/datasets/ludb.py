"""Lobachevsky University Database: ten seconds of twelve leads from 200 patients, all waves marked, diagnoses in words.

Diagnoses come from `ludb.csv`: one column a group of findings, several findings of a cell on lines of their own (or
joined with "|"). Without the table they are taken from the headers' comments, which say the same.
"""

from __future__ import annotations

import re
from pathlib import Path

from ....core.errors import CorruptFileError
from ....core.modality import Dataset, Source
from .layout import find_headers, personal, read_table

_TABLE = "ludb.csv"
_ABOUT = ("ID", "Sex", "Age")  # the other columns hold findings


def list_ludb(root: Path) -> list[Source]:
    """LUDB: one recording of each of 200 patients."""
    told = _findings(root / _TABLE) if (root / _TABLE).is_file() else {}
    sources = []
    for header in find_headers(root, "ludb", "data"):
        label, extras = told.get(header.stem, ((), {}))
        sources.append(Source(header, f"ludb{header.stem}", f"ludb{header.stem}", "ludb", label=label, extras=extras))
    return sources


def _findings(table: Path) -> dict[str, tuple[tuple[str, ...], dict[str, str]]]:
    """{record: (terms, age and sex)} of the table."""
    found = {}
    for line, row in read_table(table, (*_ABOUT, "Rhythms")):
        if row["ID"] in found:
            raise CorruptFileError(
                "a record stands twice in the table", source=table, field=f"line {line}, ID", got=row["ID"]
            )
        cells = [cell for column, cell in row.items() if column not in _ABOUT]
        terms = (term.strip() for cell in cells for term in re.split(r"[|\n]", cell))
        found[row["ID"]] = tuple(dict.fromkeys(filter(None, terms))), personal(row, age="Age", sex="Sex")
    return found


LUDB = Dataset(
    "ludb",
    "ecg/ludb",
    list_ludb,
    tasks=("ludb-rhythm", "ludb-conduction", "ludb-diagnosis", "delineation"),
    covariates=("age", "sex"),
    licence="ODC-BY 1.0",
    citation="Kalyakulina et al. 2020, doi:10.1109/ACCESS.2020.3029211",
    instructions="Download https://physionet.org/content/ludb/1.0.1/ (open) and give its folder as --data.root.",
)
