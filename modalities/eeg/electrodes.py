"""Where electrodes were measured, as a BIDS folder writes it: `electrodes.tsv`, and `coordsystem.json` for its axes.

- The unit does not matter: places are brought to one sphere (`montage.on_idealised_head`). Where x points does.
- Conventions are those of the specification's appendix on coordinate systems. One that is not listed there is taken for
  right, anterior, superior, as most are.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from ...core.errors import CorruptFileError
from .mark_files import read_text, read_tsv
from .sites import Place

# x to the front and y to the left; everywhere else x is to the right and y to the front
_FRONT_LEFT_UP = {"CTF", "EEGLAB", "EEGLAB-HJ", "4DBti", "KitYokogawa"}


def read_electrodes(table: Path, system: Path | None = None) -> dict[str, Place]:
    """{name: (x right, y front, z up)} of the electrodes with a place. Raises CorruptFileError."""
    turned = system is not None and _system(system) in _FRONT_LEFT_UP
    found: dict[str, Place] = {}
    for line, row in enumerate(read_tsv(table, ("name", "x", "y", "z")), 2):
        cells = [row[axis] for axis in "xyz"]
        if "n/a" in cells or "" in cells:
            continue
        try:
            x, y, z = (float(cell) for cell in cells)
        except ValueError:
            x = y = z = math.nan
        if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z)):
            raise CorruptFileError(
                "bad row", source=table, field=f"line {line}", got=", ".join(cells), expected="three numbers"
            )
        found[row["name"]] = (-y, x, z) if turned else (x, y, z)
    return found


def _system(path: Path) -> str:
    """Name of the coordinate system, "" where none is said."""
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise CorruptFileError("cannot be read as JSON", source=path, got=error) from error
    return str(content.get("EEGCoordinateSystem", "")) if isinstance(content, dict) else ""
