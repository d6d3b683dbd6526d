"""BCI competition IV, data set 2a: nine people imagine four movements, 22 electrodes, two sessions.

- Classes of the second session are in files of their own (`A01E.mat`); without them its trials are unlabelled.
- The competition trains and tests on the same people. Here a split is by subject, so both sessions of a person are on
  one side; the sessions are sites, which a split may hold out instead.
"""

from __future__ import annotations

from pathlib import Path

from ....core.modality import Dataset, Source, Task
from ..marking import Marking, SideFile
from .layout import find_recordings

IMAGERY_2A = Task("bci-iv-2a", "window", ("left hand", "right hand", "feet", "tongue"))
_CUES: tuple[str, ...] = ("769", "770", "771", "772")  # how an event of the file names the class
_NUMBERS: tuple[str, ...] = ("1", "2", "3", "4")  # and how a file of labels does
_IMAGERY_S = (0.0, 4.0)  # from the cue to the end of the trial
_LABEL_FOLDERS = (".", "true_labels", "../true_labels")


def list_bci_iv_2a(root: Path) -> list[Source]:
    """Sessions `A01T.gdf` and `A01E.gdf` of each person."""
    sources = []
    for path in find_recordings(root, "bci-iv-2a", ("A0[1-9][TE].gdf",), "A01T.gdf, A01E.gdf, ..."):
        labels = (path.parent / folder / f"{path.stem}.mat" for folder in _LABEL_FOLDERS)
        found = next((file for file in labels if file.is_file()), None) if path.stem.endswith("E") else None
        file = None if found is None else SideFile.of(found, path, "mat")
        classes = dict(zip(_CUES if file is None else _NUMBERS, IMAGERY_2A.classes, strict=True))
        extras = {"marking": Marking(classes, span_s=_IMAGERY_S, file=file)}
        site = "session 1" if path.stem.endswith("T") else "session 2"
        sources.append(Source(path, path.stem, path.stem[:3], site, extras=extras))
    return sources


BCI_IV_2A = Dataset(
    "bci-iv-2a",
    "eeg/bci-iv-2a",
    list_bci_iv_2a,
    tasks=(IMAGERY_2A.name,),
    licence="CC BY-ND 4.0",
    citation="Tangermann et al. 2012, doi:10.3389/fnins.2012.00055",
    instructions="Download data set 2a from https://www.bbci.de/competition/iv/ and give its folder as --data.root.",
)
