"""`metrics.csv`: one row a logged step, also across kills and resumes.

- Columns appear when a metric first does (monitors run less often than losses); the file is then rewritten.
- On resume, rows after the checkpoint are dropped, since those steps run again, and so is a row a kill tore.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from .atomic import replacing


class MetricsCSV(Logger):
    """Lightning logger that owns `path`.

    keep_until: step of the checkpoint the run continues from; rows up to it stay. 0 = a new file.
    """

    def __init__(self, path: Path, keep_until: int = 0) -> None:
        super().__init__()
        self.path, self.keep_until = path, keep_until
        self._columns: list[str] = []

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The recipe is in the run folder's config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        row = {"step": str(step), **{key: f"{value:.7g}" for key, value in metrics.items()}}
        if not self._columns:
            self._write([r for r in read_rows(self.path) if int(r["step"]) <= self.keep_until], row)
        elif not set(row) <= set(self._columns):
            self._write(read_rows(self.path), row)
        with open(self.path, "a", newline="") as file:
            csv.DictWriter(file, self._columns, restval="").writerow(row)

    def _write(self, rows: list[dict[str, str]], newest: Mapping[str, str]) -> None:
        self._columns = list(dict.fromkeys([*(rows[0] if rows else ()), *self._columns, *newest]))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
        with replacing(self.path) as file:
            file.write(text.getvalue().encode())


def read_rows(path: Path) -> list[dict[str, str]]:
    """Complete rows of a metrics file; none when it does not exist."""
    try:
        lines = path.read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    # a line without its end was being written when the process was killed
    rows = csv.DictReader(line for line in lines if line.endswith("\n"))
    return [row for row in rows if None not in row and None not in row.values() and row["step"].isdigit()]
