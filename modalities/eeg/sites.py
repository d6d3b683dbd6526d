"""Sites of the 10-05 system on the unit sphere: x to the right, y to the front, z up; the vertex is (0, 0, 1).

- `sites.csv` is the idealised sphere of eeg_positions as MNE ships it (montage `spherical_1005`; a test compares them):
  nasion, inion and preauricular points lie on the equator. Kept as a table, so that a position needs no MNE.
- Ears and mastoids are no part of the system: A1, A2, M1 and M2 lie ten degrees below T9, T10, TP9 and TP10.
- One idealised head for everybody: what differs between heads is smaller than what a cap is displaced by.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

Place = tuple[float, float, float]

# the 19 of the clinical standard, front to back
SITES_10_20 = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8", "P7", "P3", "Pz", "P4", "P8", "O1", "O2",
)  # fmt: skip


@cache
def site_places() -> Mapping[str, Place]:
    """{site: (x, y, z)}, read-only."""
    with Path(__file__).with_name("sites.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return MappingProxyType({row["site"]: _on_sphere(*(float(row[axis]) for axis in "xyz")) for row in rows})


def _on_sphere(x: float, y: float, z: float) -> Place:
    """The table is rounded to four digits; places are exactly of length one."""
    length = math.hypot(x, y, z)
    return x / length, y / length, z / length
