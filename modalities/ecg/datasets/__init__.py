"""Public ECG data sets, read in their own layout: one file a data set, `layout` for what they share."""

from .cinc2021 import CINC2021, list_cinc2021
from .code15 import CODE15, list_code15
from .cpsc2018 import CPSC2018, list_cpsc2018
from .ludb import LUDB, list_ludb
from .mitdb import DS1, DS2, MITDB, list_mitdb
from .ptbxl import PTBXL, list_ptbxl

DATASETS = {dataset.name: dataset for dataset in (MITDB, LUDB, CINC2021, PTBXL, CPSC2018, CODE15)}

__all__ = [
    "DATASETS", "DS1", "DS2", "list_cinc2021", "list_code15", "list_cpsc2018", "list_ludb", "list_mitdb", "list_ptbxl",
]  # fmt: skip
