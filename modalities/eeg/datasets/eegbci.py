"""EEG Motor Movement/Imagery Dataset: 109 people, 64 electrodes, real and imagined movements (PhysioNet).

- What T1 and T2 mean depends on the run, so classes are named by run: a movement and its imagination are different
  classes, of different tasks.
- S088, S092, S100 and S104 were recorded at another rate or with other timing; studies leave them out, and so does this
  reader.
"""

from __future__ import annotations

import re
from pathlib import Path

from ....core.errors import wrong_layout
from ....core.modality import Dataset, Source, Task
from ..marking import Marking
from .layout import find_recordings

EYES = Task("eyes", "record", ("eyes open", "eyes closed"))
MOVEMENT = Task("movement", "window", ("left fist", "right fist", "both fists", "both feet"))
IMAGERY = Task("imagery", "window", tuple(f"imagined {name}" for name in MOVEMENT.classes))
_LEFT_OUT = ("S088", "S092", "S100", "S104")
_EYES = {1: "eyes open", 2: "eyes closed"}
_EXPECTED = "S001/S001R01.edf, ..."


def list_eegbci(root: Path) -> list[Source]:
    """Runs `S001/S001R01.edf` to `S109/S109R14.edf`."""
    sources = []
    for path in find_recordings(root, "eegbci", ("S???/S???R??.edf",), _EXPECTED):
        found = re.fullmatch(r"(S\d{3})R(0[1-9]|1[0-4])", path.stem)
        if found is None:
            raise wrong_layout(root, "eegbci", path.name, _EXPECTED)
        subject, run = found[1], int(found[2])
        if subject in _LEFT_OUT:
            continue
        if run in _EYES:
            sources.append(Source(path, path.stem, subject, "eegbci", label=(_EYES[run],)))
        else:
            extras = {"marking": Marking(_classes(run))}
            sources.append(Source(path, path.stem, subject, "eegbci", extras=extras))
    return sources


def _classes(run: int) -> dict[str, str]:
    """Meaning of T1 and T2: from run 3 on, fists really and imagined, then fists or feet really and imagined, again."""
    imagined, both = (run - 3) % 2 == 1, (run - 3) % 4 >= 2
    names = (IMAGERY if imagined else MOVEMENT).classes
    return dict(zip(("T1", "T2"), names[2:] if both else names[:2], strict=True))


EEGBCI = Dataset(
    "eegbci",
    "eeg/eegbci",
    list_eegbci,
    tasks=(IMAGERY.name, MOVEMENT.name, EYES.name),
    licence="ODC-BY 1.0",
    citation="Schalk et al. 2004, doi:10.1109/TBME.2004.827072",
    instructions="Download https://physionet.org/content/eegmmidb/1.0.0/ (open) and give its folder as --data.root.",
)
