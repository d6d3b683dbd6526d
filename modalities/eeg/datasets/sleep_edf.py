"""Sleep-EDF Expanded: whole nights of two bipolar channels with hypnograms (PhysioNet).

- Stages are those of Rechtschaffen & Kales; 3 and 4 together are N3 of the AASM. Movement time and what was not scored
  have no label.
- Two nights of a person are one subject. Cassette files begin and end in the day: most of them is wake, of which
  `modality.wake_s` before and after sleep is kept.
"""

from __future__ import annotations

from pathlib import Path

from ....core.errors import InputError
from ....core.modality import Dataset, Source, Task
from ..marking import Marking, SideFile
from ..tasks import SLEEP_TEXTS
from .layout import find_recordings

STAGES = Task("sleep-stage", "window", ("W", "N1", "N2", "N3", "REM"))
_STUDIES = {"SC": "cassette", "ST": "telemetry"}


def list_sleep_edf(root: Path) -> list[Source]:
    """Nights `*-PSG.edf`, each with the `*-Hypnogram.edf` that shares the first seven letters of its name."""
    sources = []
    expected = "sleep-cassette/SC4001E0-PSG.edf with SC4001EC-Hypnogram.edf, ..."
    for path in find_recordings(root, "sleep-edf", ("*-PSG.edf", "sleep-*/*-PSG.edf"), expected):
        night = path.name[:7]
        hypnograms = sorted(path.parent.glob(f"{night}?-Hypnogram.edf"))
        if len(hypnograms) != 1:
            raise InputError(
                "a night needs one hypnogram", source=path, got=f"{len(hypnograms)} files",
                expected=f"{night}?-Hypnogram.edf",
            )  # fmt: skip
        marking = Marking(SLEEP_TEXTS, file=SideFile.of(hypnograms[0], path, "edf"), asleep=STAGES.classes[1:])
        # SC4ssN: subject ss, night N
        sources.append(
            Source(path, night, night[:5], _STUDIES.get(night[:2], ""), extras={"marking": marking}),
        )
    return sources


SLEEP_EDF = Dataset(
    "sleep-edf",
    "eeg/sleep-edf",
    list_sleep_edf,
    tasks=(STAGES.name,),
    licence="ODC-BY 1.0",
    citation="Kemp et al. 2000, doi:10.1109/10.867928",
    instructions="Download https://physionet.org/content/sleep-edfx/1.0.0/ (open) and give its folder as --data.root.",
)
