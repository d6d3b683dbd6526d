"""What doctors write about an ECG: one table of findings, and the words each data set has for them.

- `labels/findings.csv`: SNOMED CT codes, names and abbreviations of the PhysioNet/CinC Challenge 2021 (Reyna et al.
  2021, doi:10.23919/CinC53138.2021.9662687). `scored` says whether the challenge scores a finding, `counts_as` as
  which other one. The last columns hold the words of LUDB, PTB-XL, CPSC2018 and CODE-15 % for it, joined with " | ".
- `labels/scp.csv`: the 71 SCP-ECG statements of PTB-XL (Wagner et al. 2020, doi:10.1038/s41597-020-0495-6) with the
  superclass and subclass of its diagnostic ones.

A word of LUDB may be narrower than its finding (the wall of an ischaemia is lost). What has no counterpart has no row.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "labels"
_SETS = ("ludb", "ptbxl", "cpsc2018", "code15")


@dataclass(frozen=True)
class Finding:
    """One finding. `counts_as`: code of the finding it is scored with, its own where there is no other."""

    code: str
    name: str
    abbreviation: str
    scored: bool
    counts_as: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    """One SCP-ECG statement. `kinds`: any of diagnostic, form, rhythm; `superclass`, `subclass` "" = not diagnostic."""

    code: str
    description: str
    kinds: frozenset[str]
    superclass: str
    subclass: str


@cache
def findings() -> dict[str, Finding]:
    """All findings by SNOMED code, in the order of the table."""
    return {
        row["snomed"]: Finding(
            row["snomed"],
            row["name"],
            row["abbreviation"],
            row["scored"] == "yes",
            row["counts_as"] or row["snomed"],
            tuple(word for name in _SETS for word in row[name].split(" | ") if word),
        )
        for row in _rows("findings.csv")
    }


@cache
def statements() -> dict[str, Statement]:
    """All SCP-ECG statements by their code, in the order of the table."""
    return {
        row["statement"]: Statement(
            row["statement"],
            row["description"],
            frozenset(kind for kind in ("diagnostic", "form", "rhythm") if row[kind] == "yes"),
            row["superclass"],
            row["subclass"],
        )
        for row in _rows("scp.csv")
    }


def terms_of(codes: Iterable[str]) -> set[str]:
    """Every way to write findings of these codes, `normal_term` applied: code, name and the words of the data sets."""
    known = findings()
    return {normal_term(word) for c in codes for word in (known[c].code, known[c].name, *known[c].words)}


def finding_name(term: str) -> str:
    """The name of a finding however it is written, or the term itself where it is in no table."""
    return _names().get(normal_term(term), term)


def normal_term(term: str) -> str:
    """A term without the accidents of writing: case, spaces, final dot, and the word "Rhythm:" before it."""
    plain = " ".join(term.split()).rstrip(". ").casefold()
    return plain.removeprefix("rhythm: ")


@cache
def _names() -> dict[str, str]:
    names = {normal_term(s.code): s.description for s in statements().values()}
    for finding in findings().values():
        names |= dict.fromkeys(terms_of([finding.code]), finding.name)
    return names


def _rows(name: str) -> list[dict[str, str]]:
    with (_FOLDER / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
