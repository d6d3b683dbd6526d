"""Tables of interactions: CSV and its kin, and parquet, one row an interaction.

- Read in pieces, of which only codes and numbers stay: ten million rows need some hundred megabytes.
- A missing user, item, rating or time is an error that names the row. Nothing is guessed and nothing left out: half a
  history looks like a whole one afterwards.
- Times are numbers, or ISO dates such as 2026-01-31 or 2026-01-31T12:30 (they become seconds since 1970): other forms
  would have to be guessed.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import CorruptFileError, InputError, not_utf8
from .columns import Columns, assemble
from .headers import Header, find_header, match_roles
from .interactions import Interactions
from .names import Coder

CHUNK_ROWS = 500_000
_MISSING = ["", "nan", "NaN", "NA", "N/A", "null", "NULL", "None"]


def read_tables(
    paths: Sequence[Path | str], columns: Mapping[str, str] | None = None, chunk_rows: int = CHUNK_ROWS
) -> list[Interactions]:
    """Interactions of each file; users and items have the same codes in all.

    columns: role ("user", "item", "rating", "time") -> name of its column, where the name is not one of the known.
    Raises InputError or CorruptFileError: no such column, empty file, missing or negative ids, times that are none.
    """
    users, items = Coder(), Coder()
    parts = []
    for path in map(Path, paths):
        part = Columns(path)
        for first_row, piece in _pieces(path, columns, chunk_rows):
            part.add(**_piece(path, first_row, piece, users, items))
        parts.append(part)
    return assemble(parts, users, items)


def read_table(path: Path | str, columns: Mapping[str, str] | None = None) -> Interactions:
    """Interactions of one file, see `read_tables`."""
    return read_tables([path], columns)[0]


def first_line(path: Path) -> str:
    """First line of a text file that is not blank. Raises CorruptFileError when there is none or it is no text."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig") as file:
            line = next((line for line in file if line.strip()), "")
    except FileNotFoundError:
        raise InputError("there is no such file", source=path) from None
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from error
    except (OSError, EOFError) as error:
        raise CorruptFileError("cannot be read as text", source=path, got=error) from error
    if not line:
        raise CorruptFileError("the file is empty", source=path, expected="user,item[,rating][,time]")
    return line.rstrip("\r\n")


def _pieces(path: Path, columns: Mapping[str, str] | None, rows: int) -> Iterator[tuple[int, Any]]:
    """(number of its first row, data frame with columns named by their role) of each piece."""
    parquet = path.suffix.lower() in (".parquet", ".pq")
    source = _parquet_pieces(path, columns, rows) if parquet else _csv_pieces(path, columns, rows)
    at = 1
    while True:
        try:
            piece = next(source, None)
        except InputError:
            raise
        except UnicodeDecodeError as error:
            raise not_utf8(path, error) from error
        except (ValueError, OSError, EOFError, ArithmeticError, NotImplementedError, KeyError) as error:
            # all that pandas and pyarrow raise
            raise CorruptFileError(
                "cannot be read as a table", source=path, got=" ".join(str(error).split())
            ) from error
        if piece is None:
            return
        yield at, piece
        at += len(piece)


def _csv_pieces(path: Path, columns: Mapping[str, str] | None, rows: int) -> Iterator[Any]:
    pandas = _library("pandas", path)
    header = find_header(first_line(path), path, columns)
    places = sorted(header.columns.values())
    roles = [role for at in places for role, column in header.columns.items() if column == at]
    dates = "time" in header.columns and not _numeric_time(pandas, path, header)
    dtype: dict[int, Any] = dict.fromkeys(places, "category")
    for role in ("rating", "time"):
        if role in header.columns:
            dtype[header.columns[role]] = "str" if role == "time" and dates else np.float64
    # all columns are read, for pandas would drop what stands beyond those it is asked for without a word
    unread = dict.fromkeys(range(header.width), "str") if header.delimiter != " " else {}
    options: Any = _csv_options(header) | {"dtype": unread | dtype, "chunksize": rows}
    if not unread:
        options["usecols"] = places
    try:
        for piece in pandas.read_csv(path, **options):
            if not isinstance(piece.index, pandas.RangeIndex):  # of cells for which the header has no name
                raise InputError(
                    "the rows have more cells than the header", source=path, expected=f"{header.width} cells",
                    fix="give each interaction a row of its own, and double quotes to cells that hold the delimiter",
                )  # fmt: skip
            kept = piece.iloc[:, places] if unread else piece
            kept.columns = roles
            yield kept
    except InputError:
        raise
    except ValueError as error:
        numbers = {role: column for role, column in header.columns.items() if dtype[column] is np.float64}
        raise _first_word(pandas, path, header, numbers) or error from error


def _first_word(pandas: Any, path: Path, header: Header, columns: Mapping[str, int]) -> InputError | None:
    """The error for the first cell of these columns (role -> place) that is text, None where all are numbers."""
    options: Any = _csv_options(header) | {"usecols": sorted(columns.values()), "dtype": "str"}
    try:
        table = pandas.read_csv(path, **options)
    except ValueError:
        return None
    for role, place in columns.items():
        cells = table.iloc[:, sorted(columns.values()).index(place)]
        found = np.flatnonzero(cells.notna() & pandas.to_numeric(cells, errors="coerce").isna())
        if found.size:
            text = str(cells.iloc[found[0]])
            expected = "a number" + (" with a decimal point" if "," in text else "")
            return _bad(path, 1 + int(found[0]), role, text, expected)
    return None


def _csv_options(header: Header) -> dict[str, Any]:
    return {
        "sep": r"\s+" if header.delimiter == " " else header.delimiter, "header": 0 if header.present else None,
        "encoding": "utf-8-sig", "skipinitialspace": True, "keep_default_na": False,
        # somebody may be called NA, but no rating is
        "na_values": {at: [""] if role in ("user", "item") else _MISSING for role, at in header.columns.items()},
    }  # fmt: skip


def _numeric_time(pandas: Any, path: Path, header: Header) -> bool:
    """True when the first time is a number (or there is none)."""
    at = header.columns["time"]
    first = pandas.read_csv(path, **_csv_options(header), usecols=[at], dtype="str", nrows=1)
    try:
        float("nan" if first.empty else first.iloc[0, 0])
    except (TypeError, ValueError):
        return False
    return True


def _parquet_pieces(path: Path, columns: Mapping[str, str] | None, rows: int) -> Iterator[Any]:
    parquet = _library("pyarrow.parquet", path)
    if not path.is_file():
        raise InputError("there is no such file", source=path)
    with parquet.ParquetFile(path) as file:
        names = file.schema_arrow.names
        roles = match_roles(names, path, columns)
        wanted = {names[at]: role for role, at in roles.items()}
        for batch in file.iter_batches(batch_size=rows, columns=list(wanted)):
            yield batch.to_pandas().rename(columns=wanted)


def _piece(path: Path, first_row: int, piece: Any, users: Coder, items: Coder) -> dict[str, np.ndarray]:
    """Codes and numbers of one piece."""
    found = {
        name: _ids(path, first_row, piece[name], name, coder) for name, coder in (("user", users), ("item", items))
    }
    if "rating" in piece:
        found["rating"] = _finite(path, first_row, piece["rating"].to_numpy(np.float64), "rating").astype(np.float32)
    if "time" in piece:
        found["time"] = _finite(path, first_row, _seconds(piece["time"]), "time", piece["time"])
    return found


def _ids(path: Path, first_row: int, column: Any, what: str, coder: Coder) -> np.ndarray:
    """[row] codes of a column of names or whole numbers."""
    category = column.astype("category").cat
    codes, names = category.codes.to_numpy(), category.categories
    if (codes < 0).any():
        raise _bad(path, first_row + int(np.flatnonzero(codes < 0)[0]), what, "nothing", "an id")
    if names.dtype.kind == "f":
        code = next((code for code, name in enumerate(names) if not float(name).is_integer()), 0)
        row = first_row + int(np.flatnonzero(codes == code)[0])
        raise _bad(path, row, what, f"{names[code]:g}", "a name or a whole number >= 0")
    plain = [str(name).strip() for name in names]
    for code, name in enumerate(plain):
        if not name or (name[0] == "-" and name[1:].isdigit()):
            row = first_row + int(np.flatnonzero(codes == code)[0])
            raise _bad(path, row, what, name or "nothing", "a name or a whole number >= 0")
    return coder.codes(plain)[codes]


def _seconds(column: Any) -> np.ndarray:
    """[row] float64; NaN where it is no time."""
    if column.dtype.kind in "iuf":
        return column.to_numpy(np.float64)
    pandas = _library("pandas", None)
    times = pandas.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
    return np.where(times.isna(), np.nan, times.astype("int64") / _ticks(times.dtype.unit))


def _ticks(unit: str) -> float:
    return {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit]


def _finite(path: Path, first_row: int, values: np.ndarray, what: str, cells: Any = None) -> np.ndarray:
    """cells: what is written, where that is not the values themselves."""
    bad = ~np.isfinite(values)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        got = f"{values[at]:g}" if cells is None else str(cells.iloc[at])
        expected = "a time (a number, or a date such as 2026-01-31)" if what == "time" else "a number"
        raise _bad(path, first_row + at, what, got, expected)
    return values


def _bad(path: Path, row: int, field: str, got: str, expected: str) -> InputError:
    return InputError(
        f"row {row} has no proper {field}", source=path, field=field, got=got, expected=expected,
        fix="correct the row, or leave it out",
    )  # fmt: skip


def _library(name: str, path: Path | None) -> Any:
    try:
        if name == "pandas":
            import pandas

            return pandas
        import pyarrow.parquet

        return pyarrow.parquet
    except ImportError as error:
        raise InputError(
            f"reading this needs {name.split('.')[0]}", source=path, fix="pip install 'omnipatch[recommender]'"
        ) from error
