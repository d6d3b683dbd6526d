"""PTB-XL: 21 799 ten-second records of 18 869 patients, twelve leads, SCP-ECG statements, ten stratified folds.

- Statements come from `ptbxl_database.csv`, patients are subjects, folds 1 to 8 train, 9 validates, 10 tests.
- Which statement belongs to which label set is fixed in this package (`findings`): classes of a task are known before
  data are seen. `scp_statements.csv` must name the same statements, or the folder holds another version.
- 500 Hz where that folder is there, else 100 Hz. A mirror may leave one of them out, or later records; a file missing
  from a folder that is there is reported as skipped.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from ....core.errors import CorruptFileError, wrong_layout
from ....core.modality import Dataset, Source
from ..findings import statements
from .layout import bad_cell, file_inside, personal, read_table, whole_number

_TABLE, _STATEMENTS = "ptbxl_database.csv", "scp_statements.csv"
_SIDES = {**dict.fromkeys(range(1, 9), "train"), 9: "validation", 10: "test"}
_COLUMNS = ("ecg_id", "patient_id", "scp_codes", "strat_fold", "filename_lr", "filename_hr")
_SIGNALS = {"filename_hr": "records500", "filename_lr": "records100"}


def list_ptbxl(root: Path) -> list[Source]:
    """PTB-XL with its authors' folds as sides."""
    table = root / _TABLE
    if not table.is_file():
        raise wrong_layout(root, "ptbxl", f"no {_TABLE}", f"{_TABLE}, {_STATEMENTS}, records500 or records100")
    if (root / _STATEMENTS).is_file():
        _check_statements(root / _STATEMENTS)
    column = next((name for name, folder in _SIGNALS.items() if (root / folder).is_dir()), None)
    if column is None:
        raise wrong_layout(root, "ptbxl", "no folder of signals", " or ".join(_SIGNALS.values()))
    return list(_sources(table, column))


def _sources(table: Path, column: str) -> Iterator[Source]:
    there: dict[Path, bool] = {}
    for line, row in read_table(table, _COLUMNS):
        number = whole_number(table, line, "ecg_id", row["ecg_id"])
        fold = whole_number(table, line, "strat_fold", row["strat_fold"])
        if fold not in _SIDES:
            raise bad_cell(table, line, "strat_fold", fold, "1 to 10")
        path = file_inside(table, line, column, row[column]).with_suffix(".hea")
        if not there.setdefault(path.parent, path.parent.is_dir()):
            continue
        patient = row["patient_id"] and str(whole_number(table, line, "patient_id", row["patient_id"]))
        yield Source(
            path,
            record=f"ptbxl{number}",
            subject=f"ptbxl{patient}" if patient else "",
            site=f"ptbxl{whole_number(table, line, 'site', row['site'])}" if row.get("site") else "ptbxl",
            split=_SIDES[fold],
            label=_codes(table, line, row["scp_codes"]),
            extras=personal(row, age="age", sex="sex", text="report"),
        )


def _codes(table: Path, line: int, cell: str) -> tuple[str, ...]:
    """Statements of a cell such as {'NORM': 100.0, 'SR': 0.0}; a likelihood of 0 means that none was given."""
    try:
        found = ast.literal_eval(cell)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise bad_cell(table, line, "scp_codes", cell, "a dictionary of statements") from error
    if not isinstance(found, dict) or not all(isinstance(code, str) for code in found):
        raise bad_cell(table, line, "scp_codes", cell, "a dictionary of statements")
    unknown = [code for code in found if code not in statements()]
    if unknown:
        raise bad_cell(table, line, "scp_codes", unknown[0], "a statement of scp_statements.csv")
    return tuple(found)


def _check_statements(path: Path) -> None:
    known = {s.code: (s.superclass, s.subclass) for s in statements().values()}
    columns = ("", "diagnostic_class", "diagnostic_subclass")
    found = {row[""]: (row[columns[1]], row[columns[2]]) for _, row in read_table(path, columns)}
    different = sorted(code for code in {*known, *found} if known.get(code) != found.get(code))
    if different:
        raise CorruptFileError(
            "statements differ from those of PTB-XL 1.0.3", source=path, got=", ".join(different[:5]),
            fix="restore the file or take it away",
        )  # fmt: skip


PTBXL = Dataset(
    "ptbxl",
    "ecg/ptbxl",
    list_ptbxl,
    tasks=(
        "ptbxl-superdiagnostic", "ptbxl-subdiagnostic", "ptbxl-diagnostic", "ptbxl-form", "ptbxl-rhythm", "ptbxl-all",
        "diagnosis", "record-rhythm",
    ),
    covariates=("age", "sex"),
    licence="CC BY 4.0",
    citation="Wagner et al. 2020, doi:10.1038/s41597-020-0495-6",
    instructions="Download https://physionet.org/content/ptb-xl/1.0.3/ (open) and give its folder as --data.root.",
)  # fmt: skip
