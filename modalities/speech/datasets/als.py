"""Minsk2020 ALS: sustained vowels of 31 people with amyotrophic lateral sclerosis and 33 without, by smartphone.

- Numbers 024, 028 and 042 are different people in the two groups, so a subject is group and number.
- The diagnosis is decided once a person, from both vowels; the vowel once a recording.
- Age and sex differ between the groups and are extras: a score means little without theirs beside it.
"""

from __future__ import annotations

from pathlib import Path

from ....core.errors import CorruptFileError
from ....core.modality import Dataset, Source, Task
from .layout import named_files, read_rows

ALS_DIAGNOSIS = Task("als", "subject", ("healthy", "als"))
VOWEL = Task("vowel", "record", ("a", "i"))
_TABLE = "Minsk2020_ALS_dataset.csv"
_GROUPS = {"ALS": "als", "HC": "healthy"}
_DIAGNOSES = {"0": "healthy", "1": "als"}


def list_als(root: Path) -> list[Source]:
    """Recordings `ALS/008_a.wav` and `HC/002_i.wav` (or .flac), with age and sex where the table is there."""
    people = _people(root / _TABLE) if (root / _TABLE).is_file() else {}
    sources = []
    pattern, expected = r"(\d+)_([ai])\.(?:wav|flac)", f"ALS/008_a.wav, HC/002_a.wav, ..., {_TABLE}"
    for path, name in named_files(root, "als", "[AH]*/*", pattern, expected):
        group = path.parent.name
        if group in _GROUPS:
            person = people.get((_GROUPS[group], int(name[1])), {})
            subject, label = f"{group}_{name[1]}", (_GROUPS[group], name[2])
            sources.append(Source(path, f"{group}_{path.stem}", subject, "als", label=label, extras=person))
    return sources


def _people(table: Path) -> dict[tuple[str, int], dict[str, str]]:
    """{(class, number): age and sex}."""
    found = {}
    for row in read_rows(table, ("ID", "Sex", "Age", "Diagnosis (ALS)")):
        try:
            key = (_DIAGNOSES[row["Diagnosis (ALS)"]], int(row["ID"]))
        except (ValueError, KeyError) as error:
            raise CorruptFileError("a number cannot be read", source=table, got=error) from error
        found[key] = {"age": row["Age"], "sex": row["Sex"].lower()}
    return found


ALS = Dataset(
    "als",
    "speech/als",
    list_als,
    (ALS_DIAGNOSIS.name, VOWEL.name),
    licence="GPL-3.0",
    citation="Vashkevich & Rushkevich 2021, doi:10.1016/j.bspc.2020.102350",
    instructions="Clone https://github.com/Mak-Sim/Minsk2020_ALS_database (open) and give its folder as --data.root.",
    covariates=("age", "sex"),
    folds=5,
)
