"""EEG During Mental Arithmetic Tasks: three minutes of rest and one of serial subtraction, a file each (PhysioNet).

- The class is the file. Whatever is standardised per recording loses it, and what differs between files for any other
  reason (the authors cleaned each apart) speaks for it: compare with the hand features.
- The second label is how well a person counted: "bad" for those whom the authors found to have had difficulty.
"""

from __future__ import annotations

import re
from pathlib import Path

from ....core.errors import wrong_layout
from ....core.modality import Dataset, Source, Task
from .layout import find_recordings

COUNTING = Task("counting", "record", ("bad", "good"))
_STATES = {"1": "rest", "2": "task"}
# subject-info.csv of version 1.0.0, column "Count quality" = 0
_COUNT_BADLY = frozenset((0, 4, 6, 9, 10, 14, 19, 21, 22))


def list_eegmat(root: Path) -> list[Source]:
    """Recordings `SubjectNN_1.edf` (rest) and `SubjectNN_2.edf` (task) with state and quality of counting."""
    sources = []
    for path in find_recordings(root, "eegmat", ("Subject*.edf",), "Subject00_1.edf, Subject00_2.edf, ..."):
        found = re.fullmatch(r"Subject(\d+)_([12])", path.stem)
        if found is None:
            raise wrong_layout(root, "eegmat", path.name, "Subject00_1.edf, Subject00_2.edf, ...")
        number, state = int(found[1]), _STATES[found[2]]
        label = (state, "bad" if number in _COUNT_BADLY else "good")
        sources.append(Source(path, path.stem, f"Subject{number:02d}", "eegmat", label=label))
    return sources


EEGMAT = Dataset(
    "eegmat",
    "eeg/eegmat-200hz",
    list_eegmat,
    tasks=("rest-task", "rest-task-record", COUNTING.name),
    licence="ODC-BY 1.0",
    citation="Zyma et al. 2019, doi:10.3390/data4010014",
    instructions="Download https://physionet.org/content/eegmat/1.0.0/ (open) and give its folder as --data.root.",
)
