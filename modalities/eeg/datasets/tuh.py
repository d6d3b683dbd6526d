"""Two corpora of Temple University Hospital: TUAB (normal or abnormal) and TUEV (events of six kinds).

- TUAB says with the folder of a file what the neurologist's report concludes; the authors' evaluation files are the
  test side. Subjects come from file names.
- TUEV marks events in channels of a bipolar montage. As in the studies that use it, a labelled stretch reaches two
  seconds beyond its event at both ends and holds for all channels.
"""

from __future__ import annotations

from pathlib import Path

from ....core.modality import Dataset, Source, Task
from ..marking import Marking, SideFile
from .layout import find_recordings

ABNORMAL = Task("abnormal", "record", ("normal", "abnormal"))
EVENTS = Task("tuev", "window", ("SPSW", "GPED", "PLED", "EYEM", "ARTF", "BCKG"))
_SIDES = {"train": "train", "eval": "test"}
_EVENT_PAD_S = 2.0
_INSTRUCTIONS = (
    "Ask for access at https://isip.piconepress.com/projects/nedc/html/tuh_eeg/ and give the folder that holds {}."
)


def list_tuab(root: Path) -> list[Source]:
    """Recordings of `edf/{train,eval}/{normal,abnormal}`, at any depth below."""
    patterns = [
        f"{top}{side}/{label}/**/*.edf" for top in ("", "edf/") for side in _SIDES for label in ABNORMAL.classes
    ]
    sources = []
    for path in find_recordings(root, "tuab", patterns, "edf/train/normal/01_tcp_ar/aaaaamye_s001_t000.edf, ..."):
        parts = path.relative_to(root).parts
        at = next(i for i, part in enumerate(parts) if part in _SIDES)
        side, label = parts[at], parts[at + 1]
        subject = f"tuab{path.stem.split('_')[0]}"
        sources.append(Source(path, f"tuab{path.stem}", subject, "tuh", _SIDES[side], label=(label,)))
    return sources


def list_tuev(root: Path) -> list[Source]:
    """Recordings of `edf/{train,eval}/SUBJECT` with their `.rec` files of events."""
    patterns = [f"{top}{side}/*/*.edf" for top in ("", "edf/") for side in _SIDES]
    sources = []
    for path in find_recordings(root, "tuev", patterns, "edf/train/aaaaaaar/aaaaaaar_00000001.edf with its .rec, ..."):
        side, person = path.parent.parent.name, path.parent.name
        file = SideFile.of(path.with_suffix(".rec"), path, "rec")
        classes = {str(code): name for code, name in enumerate(EVENTS.classes, 1)}
        sources.append(
            Source(
                path,
                record=f"tuev{path.stem}",
                # evaluation folders are numbered anew, their numbers are no subjects of the other side
                subject=f"tuev{person}" if side == "train" else f"tuev-eval{person}",
                site="tuh",
                split=_SIDES[side],
                extras={"marking": Marking(classes, pad_s=_EVENT_PAD_S, file=file)},
            )
        )
    return sources


TUAB = Dataset(
    "tuab",
    "eeg/tuab",
    list_tuab,
    tasks=(ABNORMAL.name,),
    licence="on request",
    citation="Lopez de Diego 2017; Obeid & Picone 2016, doi:10.3389/fnins.2016.00196",
    instructions=_INSTRUCTIONS.format("edf/train/normal"),
)
TUEV = Dataset(
    "tuev",
    "eeg/tuev",
    list_tuev,
    tasks=(EVENTS.name,),
    licence="on request",
    citation="Harati et al. 2015, doi:10.1109/SPMB.2015.7405421",
    instructions=_INSTRUCTIONS.format("edf/train"),
)
