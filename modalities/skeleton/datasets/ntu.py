"""NTU RGB+D and NTU RGB+D 120: daily, medical and two-person actions seen by a second Kinect from three sides.

- A folder of `.skeleton` files, whose names say everything. Clips without anybody in them are skipped when opened.
- "ntu" has the sides of the cross-subject test. Those of "ntu-xview" are cameras and of "ntu-xset" setups, which share
  people: they must be split by site on purpose, `--split.kind official --split.group site`, and the results say so.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ....core.errors import wrong_layout
from ....core.modality import Dataset, Source, Task
from .ntu_names import ACTIONS, NTUName, parse_name

# added to the instructions of tests whose sides share people
BY_SITE = " Both sides hold the same people: add --split.kind official --split.group site."
NTU_ACTION = Task("ntu-action", "record", ACTIONS)


def list_ntu(root: Path, test: str = "xsub") -> list[Source]:
    """Clips `S001C001P001R001A001.skeleton` in a folder or its folders, with the sides of a test (`NTUName.side`)."""
    found = sorted(path for pattern in ("*.skeleton", "*/*.skeleton") for path in root.glob(pattern))
    named = [(path, name) for path in found if (name := parse_name(path.stem)) is not None]
    if not named:
        raise wrong_layout(root, "ntu", "none of these files", "S001C001P001R001A001.skeleton, ...")
    return [
        Source(path, path.stem, name.subject, site_of(name, test), split=name.side(test), label=(name.label,))
        for path, name in named
    ]


def site_of(name: NTUName, test: str) -> str:
    """The camera where a test is between cameras, else the setup."""
    return f"C{name.camera:03d}" if test == "xview" else f"S{name.setup:03d}"


def _dataset(name: str, test: str) -> Dataset:
    return Dataset(
        name,
        "skeleton/ntu",
        partial(list_ntu, test=test),
        (NTU_ACTION.name,),
        licence="academic use, on request",
        citation="Shahroudy et al. 2016, doi:10.1109/CVPR.2016.115; Liu et al. 2020, doi:10.1109/TPAMI.2019.2916873",
        instructions="Ask for the skeletons at https://rose1.ntu.edu.sg/dataset/actionRecognition and give their "
        f"folder as --data.root.{'' if test == 'xsub' else BY_SITE}",
    )


NTU = _dataset("ntu", "xsub")
NTU_XVIEW = _dataset("ntu-xview", "xview")
NTU_XSET = _dataset("ntu-xset", "xset")
