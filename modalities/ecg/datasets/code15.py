"""CODE-15 %: 345 779 exams of 233 770 patients of a Brazilian telehealth network, twelve leads, six findings.

`exams.csv` says who and what, `exams_part0.hdf5` to `exams_part17.hdf5` hold the signals (see `exams`). One file holds
thousands of exams, so a source names its exam in `extras`.
"""

from __future__ import annotations

from pathlib import Path

from ....core.errors import CorruptFileError, wrong_layout
from ....core.modality import Dataset, Source
from .layout import bad_cell, file_inside, personal, read_table, whole_number

_TABLE = "exams.csv"
_FINDINGS = ("1dAVb", "RBBB", "LBBB", "SB", "AF", "ST")
_NOTHING = "no finding"  # none of the six: a label of its own, since the exam was read
_TRUTH = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def list_code15(root: Path) -> list[Source]:
    """CODE-15 %: exams of the parts that are there."""
    table = root / _TABLE
    if not table.is_file():
        raise wrong_layout(root, "code15", f"no {_TABLE}", f"{_TABLE}, exams_part0.hdf5, ...")
    there: dict[Path, bool] = {}
    sources, seen = [], set()
    for line, row in read_table(table, ("exam_id", "patient_id", "trace_file", *_FINDINGS)):
        exam = whole_number(table, line, "exam_id", row["exam_id"])
        if exam in seen:
            raise CorruptFileError("an exam stands twice in the table", source=table, field=f"line {line}", got=exam)
        seen.add(exam)
        path = file_inside(table, line, "trace_file", row["trace_file"])
        if not there.setdefault(path, path.is_file()):
            continue
        patient = row["patient_id"] and str(whole_number(table, line, "patient_id", row["patient_id"]))
        sources.append(
            Source(
                path,
                record=f"code{exam}",
                subject=f"code{patient}" if patient else "",
                site="code",
                label=tuple(name for name in _FINDINGS if _true(table, line, name, row[name])) or (_NOTHING,),
                extras={"exam": exam, **personal(row, age="age", male="is_male")},
            )
        )
    if not sources:
        raise wrong_layout(root, "code15", "no exams_part*.hdf5 that exams.csv names", "exams_part0.hdf5, ...")
    return sources


def _true(table: Path, line: int, column: str, cell: str) -> bool:
    if cell.lower() not in _TRUTH:
        raise bad_cell(table, line, column, cell, "True or False")
    return _TRUTH[cell.lower()]


CODE15 = Dataset(
    "code15",
    "ecg/code15",
    list_code15,
    tasks=("code15",),
    covariates=("age", "male"),
    licence="CC BY 4.0",
    citation="Ribeiro et al. 2020, doi:10.1038/s41467-020-15432-4",
    instructions=(
        "Download https://zenodo.org/records/4916206 (open): exams.csv and the unpacked exams_part*.zip, and give the "
        "folder as --data.root. Reading it needs h5py: pip install 'omnipatch[code15]'."
    ),
)
