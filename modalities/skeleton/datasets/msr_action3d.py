"""MSR-Action3D: 20 actions of somebody who plays, by ten people, three times each, with a first Kinect at 15 Hz.

- Read from an archive of all 567 clips (`msr_action3d.npz`). Many papers use 557; none is left out here. One clip
  holds nobody in any frame, and is skipped with that reason when it is opened.
- Sides are those of the usual cross-subject test: people with odd numbers train, those with even numbers are tested.
- Joints at zero were lost, 4.7 % of them. A place of confidence 0 is none that was lost: pelvis, spine, chest and feet
  have it in 97 % of frames, because the tracker infers them, and jitter no more than others. So places count from half
  a confidence on, as inferred joints of NTU do; without all that are below 0.3 a linear floor falls from .69 to .65.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ....core.errors import CorruptFileError
from ....core.modality import Dataset, Recording, Source, Task
from ..clip import make_clip
from ..layout import find_layout
from .archives import archive_file, checked_codes, clip_of, read_archive, refuse_twice

ACTION = Task(
    "action", "record",
    (
        "high_arm_wave", "horizontal_arm_wave", "hammer", "hand_catch", "forward_punch", "high_throw", "draw_x",
        "draw_tick", "draw_circle", "hand_clap", "two_hand_wave", "side_boxing", "bend", "forward_kick", "side_kick",
        "jogging", "tennis_swing", "tennis_serve", "golf_swing", "pick_up_and_throw",
    ),
    hand_learner="extra trees",
)  # fmt: skip
SFREQ_HZ = 15.0
_FILE = "msr_action3d.npz"
_LAYOUT = "msr-20"
_STEPS_A_METRE = 5000.0


def list_msr_action3d(root: Path) -> list[Source]:
    """A source a clip, of the archive `root` or the one in that folder."""
    path = archive_file(root, _FILE)
    arrays = _arrays(path)
    actions = checked_codes(arrays, "action", len(ACTION.classes), path)
    subjects = checked_codes(arrays, "subject", 99, path)
    sources = [
        Source(
            path, f"a{action:02d}_s{subject:02d}_e{episode:02d}", f"s{subject:02d}", "msr-action3d",
            split="train" if subject % 2 else "test", label=(ACTION.classes[action - 1],),
            extras={"data_set": MSR_ACTION3D.name, "clip": clip},
        )
        for clip, (action, subject, episode) in enumerate(
            zip(actions, subjects, arrays["episode"].tolist(), strict=True)
        )
    ]  # fmt: skip
    refuse_twice([source.record for source in sources], path)
    return sources


def open_msr_action3d(source: Source, least_confidence: float) -> Recording:
    """One clip. Raises CorruptFileError for one in which nobody is seen."""
    assert source.path is not None
    arrays = _arrays(source.path)
    _, frames = clip_of(arrays, source)
    metres = arrays["positions_m"][frames] / _STEPS_A_METRE
    there = (metres != 0.0).any(axis=-1)
    confidence = np.where(there, 0.5 + 0.5 * arrays["confidence"][frames] / 255, 0.0)
    metres[~there] = np.nan
    return make_clip(
        metres[None], find_layout(_LAYOUT), SFREQ_HZ, source.record, confidence=confidence[None],
        least_confidence=least_confidence, label=source.label, subject=source.subject,
        source=f"{source.path}: {source.record}",
    )  # fmt: skip


def _arrays(path: Path):
    arrays = read_archive(path, "positions_m", ("action", "subject", "episode"), ("confidence",))
    confidence = arrays["confidence"]
    if confidence.dtype != np.uint8 or confidence.shape != arrays["positions_m"].shape[:2]:
        raise CorruptFileError(
            "confidence does not fit the positions", source=path, field="confidence",
            got=f"{confidence.dtype} of shape {confidence.shape}",
        )  # fmt: skip
    return arrays


MSR_ACTION3D = Dataset(
    "msr-action3d",
    f"skeleton/{_FILE}",
    list_msr_action3d,
    (ACTION.name,),
    licence="none stated, for research",
    citation="Li, Zhang & Liu 2010, doi:10.1109/CVPRW.2010.5543273",
    instructions="Get the real-world coordinates of https://sites.google.com/view/wanqingli/data-sets/msr-action3d, "
    "and save all clips in one archive msr_action3d.npz: positions_m [frame, 20, 3] in steps of 0.2 mm, confidence "
    "[frame, 20] from 0 to 255, start, length, action, subject, episode.",
)
