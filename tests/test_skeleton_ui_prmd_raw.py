"""Raw files of UI-PRMD: a pair of texts is one movement, of known places, and feet do not skate."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from omnipatch.core.errors import InputError
from omnipatch.modalities.skeleton.formats import ui_prmd_raw
from omnipatch.modalities.skeleton.formats.options import ReadOptions
from omnipatch.modalities.skeleton.formats.text import read_numbers, read_text
from omnipatch.modalities.skeleton.kinematics import euler_rotations, forward_kinematics
from omnipatch.modalities.skeleton.layout import find_layout

FRAMES, LAYOUT = 4, find_layout("ui-prmd-22")


def write(folder: Path, stem: str = "m03_s07_e01", inc: str = "", pack: bool = False, seed: int = 0) -> np.ndarray:
    """A pair of files; returns the offsets and angles [2, frame, joint, 3] in them."""
    rng = np.random.default_rng(seed)
    x = np.stack([rng.normal(0, 20, (FRAMES, 22, 3)), rng.uniform(-90, 90, (FRAMES, 22, 3))])
    for kind, values in zip(("positions", "angles"), x, strict=True):
        text = "\n".join(",".join(f"{v:.6f}" for v in row.ravel()) for row in values) + "\n"
        name = f"{stem}_{kind}{inc}.txt"
        if pack:
            (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (folder / name).write_text(text)
    return x


def read(path: Path):
    return ui_prmd_raw.read(path, ReadOptions())


@pytest.mark.parametrize("pack", [False, True])
def test_either_file_opens_the_pair(tmp_path, pack):
    write(tmp_path, pack=pack)
    end = ".txt.gz" if pack else ".txt"
    one, two = (read(tmp_path / f"m03_s07_e01_{kind}{end}") for kind in ("positions", "angles"))
    np.testing.assert_array_equal(one.signals, two.signals)
    assert one.signals.shape == (22, 3, FRAMES)
    assert one.sensors == LAYOUT.meaning
    assert one.sfreq_hz == 30.0
    assert one.record == "m03_s07_e01_positions"


def test_each_parent_s_accumulated_rotation_moves_its_children(tmp_path):
    """Written out for one chain: waist, left hip, left knee."""
    offsets, degrees = write(tmp_path)
    recording = read(tmp_path / "m03_s07_e01_positions.txt")
    hip, knee = LAYOUT.meaning.index("left_hip"), LAYOUT.meaning.index("left_knee")

    def turn(frame: int, joint: int) -> np.ndarray:
        return euler_rotations(degrees[frame, joint, [2, 0, 1]], "ZXY")

    for frame in range(FRAMES):
        at_hip = offsets[frame, 0] + turn(frame, 0) @ offsets[frame, hip]
        at_knee = at_hip + turn(frame, 0) @ turn(frame, hip) @ offsets[frame, knee]
        np.testing.assert_allclose(recording.signals[knee, :, frame], at_knee / 100, atol=1e-5)


def test_the_name_tells_exercise_subject_and_quality(tmp_path):
    write(tmp_path, "m07_s10_e02", "_inc")
    write(tmp_path, "mine")
    faulty = read(tmp_path / "m07_s10_e02_angles_inc.txt")
    assert (faulty.label, faulty.subject) == (("shoulder_abduction", "incorrect"), "s10")
    unknown = read(tmp_path / "mine_positions.txt")
    assert (unknown.label, unknown.subject) == ((), "")


def test_a_frame_with_a_number_missing_is_lost(tmp_path):
    write(tmp_path)
    path = tmp_path / "m03_s07_e01_angles.txt"
    lines = path.read_text().splitlines()
    lines[1] = "nan," + lines[1].partition(",")[2]
    path.write_text("\n".join(lines))
    x = read(path).signals
    assert np.isnan(x).all(axis=(0, 1)).tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace(",", ";"), "no table of numbers"),
        (lambda text: "\n".join(text.splitlines()[:-1]), "differ in length"),
        (lambda text: "\n".join(line.rpartition(",")[0] for line in text.splitlines()), "wrong number of columns"),
        (lambda text: text + "1,2,3\n", "no table of numbers"),
        (lambda text: "", "no frames"),
    ],
)
def test_what_is_wrong(tmp_path, change, words):
    write(tmp_path)
    path = tmp_path / "m03_s07_e01_angles.txt"
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=words):
        read(tmp_path / "m03_s07_e01_positions.txt")


def test_a_file_without_its_partner(tmp_path):
    write(tmp_path)
    (tmp_path / "m03_s07_e01_angles.txt").unlink()
    with pytest.raises(InputError, match="one of the two files is missing"):
        read(tmp_path / "m03_s07_e01_positions.txt")
    assert ui_prmd_raw.is_ui_prmd(Path("a_positions_inc.txt.gz"))
    assert not ui_prmd_raw.is_ui_prmd(Path("a_places.txt"))


# ---- real files --------------------------------------------------------------------------------------------------


def sample(name: str) -> Path:
    path = Path(os.environ["OMNIPATCH_DATA"]) / "skeleton" / "raw_sample" / name
    if not path.is_file():
        pytest.skip("no raw files of UI-PRMD")
    return path


def ankles_cm(x: np.ndarray) -> float:
    """Standard deviation over [frame, joint, 3] centimetres of both ankles, mean over axes."""
    at = [LAYOUT.meaning.index(f"{side}_ankle") for side in ("left", "right")]
    return float(x[:, at].std(axis=0).mean())


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["m01", "m07"])
@pytest.mark.parametrize("inc", ["", "_inc"])
def test_real_files_are_the_clip_of_the_archive_within_its_rounding(name, inc):
    path = sample(f"kinect_{name}_s02_e03_positions{inc}.txt.gz")
    recording = read(path)
    held = np.load(path.parent.parent / "ui_prmd_kinect.npz")
    wanted = {"exercise": int(name[1:]), "subject": 2, "episode": 3, "correct": int(not inc)}
    (clip,) = np.flatnonzero(np.all([held[key] == value for key, value in wanted.items()], axis=0))
    first, length = int(held["start"][clip]), int(held["length"][clip])
    expected = held["positions"][first : first + length] * float(held["position_scale_cm"]) / 100
    found = recording.signals.transpose(2, 0, 1)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1.05e-4)  # half a step of 0.2 mm
    assert recording.label[1] == ("incorrect" if inc else "correct")


@pytest.mark.real_data
@pytest.mark.parametrize("inc", ["", "_inc"])
def test_feet_stand_in_a_real_squat_with_this_order_of_rotations_and_skate_with_any_other(inc):
    path = sample(f"kinect_m01_s02_e03_positions{inc}.txt.gz")
    offsets, degrees = (
        read_numbers(read_text(path.with_name(path.name.replace("positions", kind))).splitlines(), path, ",")
        .reshape(-1, 22, 3)
        for kind in ("positions", "angles")
    )  # fmt: skip
    drift = {}
    for order in ("ZXY", "ZYX", "XYZ", "XZY", "YXZ", "YZX"):
        turns = euler_rotations(degrees[..., ["XYZ".index(axis) for axis in order]], order)
        drift[order] = ankles_cm(forward_kinematics(offsets, turns, LAYOUT.parents))
    own = ankles_cm(100 * read(path).signals.transpose(2, 0, 1))
    assert own == pytest.approx(drift.pop("ZXY"), rel=1e-3)
    assert own < 5.0
    assert min(drift.values()) > 2 * own, drift
