"""BVH files: any order of channels, any unit, either axis up, names of several programs, and what is no BVH file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from omnipatch.core.errors import InputError
from omnipatch.modalities.skeleton.body import resolve_body
from omnipatch.modalities.skeleton.formats import bvh
from omnipatch.modalities.skeleton.formats.bvh_names import meanings
from omnipatch.modalities.skeleton.formats.options import ReadOptions
from omnipatch.modalities.skeleton.kinematics import euler_rotations, forward_kinematics
from skeleton_motion_kit import BODY, NAMES, PARENTS, bvh_text, movement, write_bvh


def truth(order: str = "ZXY") -> np.ndarray:
    """[frame, joint, 3] metres of `movement()`."""
    degrees, root = movement()
    offsets = np.tile(np.array([xyz for _, _, xyz in BODY], float), (len(degrees), 1, 1))
    offsets[:, 0] = root
    return forward_kinematics(offsets, euler_rotations(degrees, order), PARENTS) / 100


def read(path: Path, **options):
    return bvh.read(path, ReadOptions(**options))


def joint(recording, name: str) -> np.ndarray:
    """[frame, 3] of a sensor."""
    return recording.signals[recording.sensors.index(name)].T


@pytest.mark.parametrize("order", ["ZXY", "XYZ", "YZX"])
def test_places_follow_from_channels_in_any_order(tmp_path, order):
    recording = read(write_bvh(tmp_path / "a.bvh", order=order))
    expected = truth(order)
    for name, sensor in (("Hips", "pelvis"), ("LeftLeg", "left_knee"), ("RightHand", "right_wrist"), ("Head", "head")):
        np.testing.assert_allclose(joint(recording, sensor), expected[:, NAMES.index(name)], atol=1e-4)
    assert recording.unit == "m"
    assert recording.sfreq_hz == 30.0
    assert recording.record == "a"


@pytest.mark.parametrize("scale", [1.0, 0.01, 10.0, 0.45 / 2.54])
def test_the_unit_is_that_in_which_a_person_has_a_plausible_size(tmp_path, scale):
    recording = read(write_bvh(tmp_path / "a.bvh", scale=scale))
    np.testing.assert_allclose(joint(recording, "left_ankle"), truth()[:, NAMES.index("LeftFoot")], atol=2e-3)


def test_end_sites_are_joints(tmp_path):
    recording = read(write_bvh(tmp_path / "a.bvh"))
    assert "head_top" in recording.sensors
    assert "LeftToeBase_end" in recording.sensors
    tip = joint(recording, "LeftToeBase_end") - joint(recording, "left_foot")
    np.testing.assert_allclose(np.linalg.norm(tip, axis=1), 0.05, atol=1e-4)
    body = resolve_body(recording.sensors, recording.extras["layout"])
    at = recording.sensors.index("LeftToeBase_end")
    assert recording.sensors[body.parent[at]] == "left_foot"
    assert body.part[at] == body.part[recording.sensors.index("left_foot")]
    np.testing.assert_allclose(body.place[at] - body.place[body.parent[at]], [0, 0, 0.05], atol=1e-3)


def test_z_up(tmp_path):
    """The same person written with z up stands and looks the same way."""
    degrees, root = movement()
    still = 0 * degrees
    # x stays, y up becomes z, and forward becomes -y
    text = bvh_text(still, root * (1, 1, -1), turn=(0, 2, 1))
    lines = []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["OFFSET"]:
            line = f"OFFSET {words[1]} {-float(words[2])} {words[3]}"
        lines.append(line)
    (tmp_path / "z.bvh").write_text("\n".join(lines))
    recording = read(tmp_path / "z.bvh")
    assert recording.extras["layout"].up == "z"
    toes = joint(recording, "left_foot") - joint(recording, "left_ankle")
    np.testing.assert_allclose(toes, np.tile([0, -0.06, 0.14], (len(toes), 1)), atol=1e-4)
    head = joint(recording, "head") - joint(recording, "pelvis")
    np.testing.assert_allclose(head, np.tile([0, 0.66, 0], (len(head), 1)), atol=1e-4)


def test_z_up_by_the_root_s_rotation_alone(tmp_path):
    """Some programs keep a rest pose along y and turn the root: the feet are on the floor of z = 0 then."""
    degrees, root = movement()
    degrees = 0 * degrees
    degrees[:, 0, 0] = 90  # of the first axis, x
    (tmp_path / "a.bvh").write_text(bvh_text(degrees, root[:, [0, 2, 1]], order="XYZ"))
    recording = read(tmp_path / "a.bvh")
    assert recording.extras["layout"].up == "z"
    assert (joint(recording, "head") - joint(recording, "pelvis"))[:, 1].min() > 0.5


def test_someone_who_lies_is_not_a_file_with_z_up(tmp_path):
    degrees, root = movement()
    degrees = 0 * degrees
    degrees[:, 0, 0] = 90  # of the first axis, x
    (tmp_path / "a.bvh").write_text(bvh_text(degrees, root * (1, 0.1, 1) + (0, 0, 200), order="XYZ"))
    recording = read(tmp_path / "a.bvh")
    assert recording.extras["layout"].up == "y"
    assert (joint(recording, "head") - joint(recording, "pelvis"))[:, 2].min() > 0.5


@pytest.mark.parametrize(
    ("written", "rate"), [("0.0083333", 120.0), ("0.03333", 30.0), ("0.04", 25.0), ("0.0333667", 29.97)]
)
def test_a_rate_is_the_number_that_was_rounded(tmp_path, written, rate):
    recording = read(write_bvh(tmp_path / "a.bvh", frame_s=written))
    assert recording.sfreq_hz == pytest.approx(rate, rel=1e-4)
    assert read(tmp_path / "a.bvh", sfreq_hz=50.0).sfreq_hz == 50.0


def test_a_layout_of_one_s_own(tmp_path):
    path = write_bvh(tmp_path / "a.bvh")
    rows = "\n".join(f"  - {{name: {name}, part: trunk}}" for name in NAMES)
    (tmp_path / "own.yaml").write_text(f"up: y\nunit: mm\njoints:\n{rows}\n")
    recording = read(path, layout=str(tmp_path / "own.yaml"))
    assert recording.sensors == NAMES  # end sites are not in it
    np.testing.assert_allclose(joint(recording, "Head"), truth()[:, NAMES.index("Head")] / 10, atol=1e-4)
    with pytest.raises(InputError, match="a joint is not in the layout"):
        read(path, layout="coco-17")


def test_a_frame_with_a_number_missing_is_lost(tmp_path):
    lines = bvh_text(*movement()).splitlines()
    lines[-1] = lines[-1].replace(lines[-1].split()[5], "nan", 1)
    (tmp_path / "a.bvh").write_text("\n".join(lines))
    recording = read(tmp_path / "a.bvh")
    assert np.isnan(recording.signals[..., -1]).all()
    assert np.isfinite(recording.signals[..., :-1]).all()


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("HIERARCHY", "HIER", "no BVH file"),
        ("ROOT Hips", "JOINT Hips", "a joint in the wrong place"),
        ("JOINT LeftLeg", "JOINT LeftUpLeg", "two joints are called alike"),
        ("Zrotation", "Wrotation", "unknown channels"),
        ("OFFSET 9.000000", "OFFSET nine", "not a number"),
        ("OFFSET 9.000000", "OFFSET 9e99", "implausible numbers"),
        ("Frames: 6", "Frames: 7", "frames do not fit the header"),
        ("Frames: 6", "Frames: -6", "no number of frames"),
        ("Frame Time: 0.0333333", "Frame Time: 0", "no time of a frame"),
        ("Frame Time: 0.0333333", "Frame Time: 100", "implausible frame rate"),
        ("MOTION", "", "not part of a hierarchy"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, before, after, words):
    text = bvh_text(*movement())
    assert before in text
    (tmp_path / "a.bvh").write_text(text.replace(before, after, 1))
    with pytest.raises(InputError, match=words):
        read(tmp_path / "a.bvh")


def test_several_people_are_refused(tmp_path):
    text = bvh_text(*movement())
    hierarchy = text[text.index("ROOT") : text.index("MOTION")]
    (tmp_path / "a.bvh").write_text(text.replace("MOTION", f"{hierarchy}MOTION"))
    with pytest.raises(InputError, match="several people"):
        read(tmp_path / "a.bvh")


def test_a_truncated_file(tmp_path):
    text = bvh_text(*movement())
    (tmp_path / "a.bvh").write_text(text[: len(text) - 400])
    with pytest.raises(InputError, match=r"no table of numbers|do not fit"):
        read(tmp_path / "a.bvh")


class TestNames:
    def found(self, names: str, *parents: int) -> list[str]:
        return meanings(names.split("|"), parents)

    def test_mixamo(self):
        found = self.found(
            "mixamorig:Hips|mixamorig:Spine|mixamorig:Spine2|mixamorig:Neck|mixamorig:Head|mixamorig:HeadTop_End|"
            "mixamorig:LeftShoulder|mixamorig:LeftArm|mixamorig:LeftHand|mixamorig:RightUpLeg|mixamorig:RightLeg",
            -1, 0, 1, 2, 3, 4, 2, 6, 7, 0, 9,
        )  # fmt: skip
        assert found == [
            "pelvis", "spine", "chest", "neck", "head", "head_top", "left_collar", "left_shoulder", "left_wrist",
            "right_hip", "right_knee",
        ]  # fmt: skip

    def test_biped(self):
        found = self.found("Bip01|Bip01 Spine|Bip01 L Clavicle|Bip01 L UpperArm|Bip01 R Calf", -1, 0, 1, 2, 0)
        assert found == ["pelvis", "spine", "left_collar", "left_shoulder", "right_knee"]

    def test_joints_called_by_their_own_names(self):
        found = self.found("Hips|LeftCollar|LeftShoulder|LeftWrist|LeftHand|RightAnkle|RightFoot", -1, 0, 1, 2, 3, 0, 5)
        assert found == [
            "pelvis", "left_collar", "left_shoulder", "left_wrist", "left_hand", "right_ankle", "right_foot",
        ]  # fmt: skip

    def test_a_root_between_the_feet_is_not_the_pelvis(self):
        assert self.found("root|hips|thigh.L|shin.L|foot.R", -1, 0, 1, 2, 1) == [
            "", "pelvis", "left_hip", "left_knee", "right_ankle",
        ]  # fmt: skip
