"""UI-PRMD, Kinect part: ten rehabilitation exercises by ten people, ten repetitions done well and ten with a fault.

- Read from an archive of all 2000 repetitions (`ui_prmd_kinect.npz`), in which forward kinematics has been applied;
  `formats/ui_prmd_raw.py` reads the files of the authors.
- Folds are of two whole people, (1, 2), (3, 4) and so on, so that every row of every table has the same ones.
- "Non-optimal" repetitions are imitated by healthy people. Quality is judged given the exercise that was asked for.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ....core.errors import CorruptFileError
from ....core.modality import Dataset, Recording, Source
from ..clip import make_clip
from ..layout import find_layout
from ..tasks import EXERCISE, EXERCISES, QUALITIES, QUALITY
from .archives import archive_file, checked_codes, clip_of, read_archive, refuse_twice

_FILE = "ui_prmd_kinect.npz"
_LAYOUT = "ui-prmd-22"
_SUBJECTS, _FOLDS = 10, 5


def list_ui_prmd(root: Path) -> list[Source]:
    """A source a repetition, of the archive `root` or the one in that folder."""
    path = archive_file(root, _FILE)
    arrays = _arrays(path)
    exercises = checked_codes(arrays, "exercise", len(EXERCISES), path)
    subjects = checked_codes(arrays, "subject", _SUBJECTS, path)
    correct = (arrays["correct"] != 0).tolist()
    sources = []
    for clip, (exercise, subject, episode) in enumerate(
        zip(exercises, subjects, arrays["episode"].tolist(), strict=True)
    ):
        record = f"m{exercise:02d}_s{subject:02d}_e{episode:02d}{'' if correct[clip] else '_inc'}"
        sources.append(
            Source(
                path, record, f"s{subject:02d}", "ui-prmd",
                label=(EXERCISES[exercise - 1], QUALITIES[0 if correct[clip] else 1]),
                extras={"data_set": UI_PRMD.name, "clip": clip},
                fold=(subject - 1) * _FOLDS // _SUBJECTS,
            )
        )  # fmt: skip
    refuse_twice([source.record for source in sources], path)
    return sources


def open_ui_prmd(source: Source, least_confidence: float) -> Recording:
    """One repetition. The archive holds no confidences, so `least_confidence` is without effect."""
    assert source.path is not None
    arrays = _arrays(source.path)
    _, frames = clip_of(arrays, source)
    centimetres = arrays["positions"][frames].astype(np.float64) * float(arrays["position_scale_cm"])
    return make_clip(
        centimetres[None], find_layout(_LAYOUT), float(arrays["fps"]), source.record, label=source.label,
        subject=source.subject, source=f"{source.path}: {source.record}",
    )  # fmt: skip


def _arrays(path: Path):
    names = ("position_scale_cm", "fps", "joint_names")
    arrays = read_archive(path, "positions", ("exercise", "subject", "episode", "correct"), names)
    if arrays["joint_names"].ravel().tolist() != list(find_layout(_LAYOUT).joints):
        raise CorruptFileError(
            "other joints than those of UI-PRMD", source=path, field="joint_names",
            got=", ".join(map(str, arrays["joint_names"].ravel()[:5].tolist())), expected="waist, spine, chest, ...",
        )  # fmt: skip
    for name in ("position_scale_cm", "fps"):
        if arrays[name].shape != () or arrays[name].dtype.kind not in "iuf" or not 0 < float(arrays[name]) < 1e6:
            raise CorruptFileError("not a plausible number", source=path, field=name, got=arrays[name].tolist())
    return arrays


UI_PRMD = Dataset(
    "ui-prmd",
    f"skeleton/{_FILE}",
    list_ui_prmd,
    (QUALITY.name, EXERCISE.name),
    licence="ODC PDDL 1.0",
    citation="Vakanski et al. 2018, doi:10.3390/data3010002",
    instructions="Get the files of https://webpages.uidaho.edu/ui-prmd (open), and save all repetitions in one archive "
    "ui_prmd_kinect.npz: positions [frame, 22, 3] in steps of position_scale_cm, start, length, exercise, subject, "
    "episode, correct, fps, joint_names. Single files are read as they are.",
    folds=_FOLDS,
)
