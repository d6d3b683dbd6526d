"""Layouts as data: the built-in ones are those of the public formats, and a user's own is checked before it is used."""

from __future__ import annotations

import copy
import pickle
from contextlib import suppress

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from omnipatch.core.errors import InputError
from omnipatch.modalities.skeleton.layout import find_layout, layout_from, layout_names, layouts_of
from omnipatch.modalities.skeleton.vocabulary import PARTS, SLOTS, VOCABULARY, known_joint, sensor_name, split_sensor

EXPECTED = (
    "coco-17", "kinect-20", "mediapipe-33", "msr-20", "ntu-25", "openpose-18", "openpose-25", "ui-prmd-22", "vicon-39",
)  # fmt: skip
# where well-known joints stand in the public orders
PUBLIC_INDEX = {
    "ntu-25": {"pelvis": 0, "neck": 2, "head": 3, "left_hand": 7, "right_shoulder": 8, "left_hip": 12, "right_foot": 19,
               "chest": 20, "left_hand_tip": 21, "left_thumb": 22, "right_thumb": 24},
    "kinect-20": {"pelvis": 0, "chest": 2, "head": 3, "left_shoulder": 4, "right_hand": 11, "left_hip": 12,
                  "right_foot": 19},
    "msr-20": {"chest": 2, "spine": 3, "pelvis": 6, "right_elbow": 8, "left_hand": 11, "right_foot": 18, "head": 19},
    "coco-17": {"nose": 0, "right_eye": 2, "left_shoulder": 5, "right_wrist": 10, "left_hip": 11, "right_ankle": 16},
    "openpose-18": {"nose": 0, "chest": 1, "right_wrist": 4, "left_wrist": 7, "right_hip": 8, "left_hip": 11,
                    "right_eye": 14, "left_ear": 17},
    "openpose-25": {"chest": 1, "pelvis": 8, "right_hip": 9, "left_ankle": 14, "right_eye": 15, "left_foot": 19,
                    "left_heel": 21, "right_foot": 22, "right_heel": 24},
    "mediapipe-33": {"left_eye": 2, "right_eye": 5, "right_mouth": 10, "left_shoulder": 11, "right_wrist": 16,
                     "left_hand": 19, "right_hip": 24, "left_heel": 29, "right_foot": 32},
    "ui-prmd-22": {"pelvis": 0, "head_top": 5, "left_collar": 6, "left_wrist": 9, "right_elbow": 12, "left_knee": 15,
                   "right_ankle": 20, "right_foot": 21},
    "vicon-39": {"neck": 4, "chest": 6, "left_shoulder": 9, "right_hand": 22, "left_asis": 23, "right_psis": 26,
                 "left_knee": 28, "left_foot": 32, "right_foot": 38},
}  # fmt: skip
OWN = {
    "name": "ours", "up": "z", "unit": "cm",
    "joints": [
        {"name": "Hips", "meaning": "pelvis"},
        {"name": "LeftUpLeg", "meaning": "left_hip", "parent": "Hips"},
        {"name": "RightUpLeg", "meaning": "right_hip", "parent": "Hips"},
        {"name": "brace_l", "parent": "LeftUpLeg", "mirror": "brace_r"},
        {"name": "brace_r", "parent": "RightUpLeg", "place": [-0.12, -0.3, 0.05]},
    ],
}  # fmt: skip


def test_the_built_in_layouts():
    assert layout_names() == EXPECTED
    assert layouts_of(25) == ("ntu-25", "openpose-25")


@pytest.mark.parametrize("name", EXPECTED)
def test_a_built_in_layout_is_a_plausible_body(name):
    layout = find_layout(name)
    count = len(layout.joints)
    assert name.endswith(f"-{count}")
    assert len(set(layout.joints)) == len(set(layout.meaning)) == count
    assert set(layout.meaning) <= set(VOCABULARY)
    assert [layout.mirror[i] for i in layout.mirror] == list(range(count))
    assert layout.parents.count(-1) == 1
    places = np.array(layout.places)
    both = [i for i in range(count) if layout.meaning[i] != "right_scapula"]  # Plug-in Gait marks one side only
    np.testing.assert_allclose(places[list(layout.mirror)][both], (places * [-1, 1, 1])[both], atol=1e-9)
    bones = [np.linalg.norm(places[i] - places[p]) for i, p in enumerate(layout.parents) if p >= 0]
    assert min(bones) > 0.01
    assert max(bones) < 0.6
    for i, p in enumerate(layout.parents):  # a mirrored bone is a bone
        if p >= 0:
            assert layout.parents[layout.mirror[i]] == layout.mirror[p]


@pytest.mark.parametrize("name", EXPECTED)
def test_joints_stand_where_the_public_order_has_them(name):
    meaning = find_layout(name).meaning
    assert {joint: meaning.index(joint) for joint in PUBLIC_INDEX[name]} == PUBLIC_INDEX[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_no_two_joints_of_a_layout_share_a_slot(name):
    joints = [VOCABULARY[joint] for joint in find_layout(name).meaning]
    slots = [(joint.part, joint.slot) for joint in joints if joint.slot >= 0]
    assert len(slots) == len(set(slots))
    assert {part for part, _ in slots} >= set(PARTS) - {"trunk"}


def test_the_vocabulary_is_one_tree_with_two_equal_sides():
    for joint in VOCABULARY.values():
        other = VOCABULARY[joint.mirror]
        assert other.mirror == joint.name
        assert other.place == (-joint.place[0], *joint.place[1:])
        assert joint.part in PARTS
        assert -1 <= joint.slot < SLOTS == 7
        steps, at = 0, joint
        while at.parent:
            at, steps = VOCABULARY[at.parent], steps + 1
            assert steps < 10
        assert at.name == "pelvis"
        assert (joint.place[0] > 0) == joint.name.startswith("left_")


@pytest.mark.parametrize(
    ("written", "joint"),
    [
        ("left_knee", "left_knee"), ("LeftKnee", "left_knee"), ("knee_left", "left_knee"), ("LKnee", "left_knee"),
        ("l-knee", "left_knee"), ("LKNE", "left_knee"), ("ShoulderCenter", "chest"), ("mid hip", "pelvis"),
        ("ROOT", "pelvis"), ("HandTipRight", "right_hand_tip"), ("T10", "spine"), ("left right knee", None),
        ("", None), ("knee", None), ("elbowish", None),
    ],
)  # fmt: skip
def test_a_joint_is_known_however_it_is_written(written, joint):
    assert known_joint(written) == joint


@given(st.sampled_from(sorted(VOCABULARY)), st.integers(0, 30))
def test_persons_are_a_suffix(joint, person):
    assert split_sensor(sensor_name(joint, person)) == (joint, person)
    assert known_joint(joint) == joint


def test_a_name_with_a_strange_suffix_is_a_joint_of_the_first_person():
    assert split_sensor("odd#name") == ("odd#name", 0)
    assert split_sensor("knee#1") == ("knee#1", 0)


def test_a_layout_of_the_users_own(tmp_path):
    path = tmp_path / "ours.yaml"
    path.write_text(yaml.safe_dump(OWN))
    layout = find_layout(path)
    assert layout.meaning == ("pelvis", "left_hip", "right_hip", "brace_l", "brace_r")
    assert layout.parents == (-1, 0, 0, 1, 2)
    assert layout.mirror == (0, 2, 1, 4, 3)  # said by one side only
    assert layout.parts[3:] == ("left_leg", "right_leg")  # those of what they hang on
    assert layout.places[3] == layout.places[1]
    assert layout.places[4] == (-0.12, -0.3, 0.05)
    assert (layout.name, layout.up, layout.unit, layout.handed, layout.root) == ("ours", "z", "cm", "right", 0)
    assert pickle.loads(pickle.dumps(layout)) == layout
    assert hash(layout) == hash(find_layout(str(path)))


def _changed(change):
    content = copy.deepcopy(OWN)
    change(content)
    return content


BAD = {
    "parents run in a circle": lambda c: c["joints"][0].update(parent="brace_l"),
    "unknown parent": lambda c: c["joints"][1].update(parent="Hip"),
    "did you mean 'Hips'": lambda c: c["joints"][1].update(parent="Hip"),
    "unknown mirror": lambda c: c["joints"][3].update(mirror="brace"),
    "mirror is not symmetric": lambda c: c["joints"][3].update(mirror="RightUpLeg"),
    "called alike": lambda c: c["joints"][1].update(name="Hips"),
    "field meaning": lambda c: c["joints"][2].update(meaning="left_hip"),
    "did you mean 'left_knee'": lambda c: c["joints"][1].update(meaning="left_kne"),
    "unknown up": lambda c: c.update(up="w"),
    "unknown unit": lambda c: c.update(unit="inch"),
    "unknown handed": lambda c: c.update(handed="both"),
    "unknown key, field the layout": lambda c: c.update(joint=[]),
    "unknown key, field joint 2": lambda c: c["joints"][1].update(parents="Hips"),
    "needs a list of joints": lambda c: c.update(joints=[]),
    "wrong form, field joint 1": lambda c: c.update(joints=["Hips"]),
    "too many joints": lambda c: c.update(joints=c["joints"] * 300),
    "name is not text": lambda c: c["joints"][0].update(name=3),
    "needs a name": lambda c: c["joints"][0].update(name=""),
    "numbers persons": lambda c: c["joints"][0].update(name="Hips#2"),
    "needs a body part": lambda c: c["joints"].append({"name": "ball"}),
    "unknown body part": lambda c: c["joints"][3].update(part="tail"),
    "no place in a body": lambda c: c["joints"][3].update(place=[0.0, float("nan"), 0.0]),
    "[left, up, forward]": lambda c: c["joints"][3].update(place=[0, 1]),
}


@pytest.mark.parametrize("says", BAD)
def test_a_bad_layout_is_refused_in_one_sentence(says):
    with pytest.raises(InputError) as error:
        layout_from(_changed(BAD[says]), "ours.yaml")
    assert says in str(error.value)
    assert str(error.value).startswith("ours.yaml")
    assert "\n" not in str(error.value)


def test_a_layout_that_does_not_exist_names_the_nearest():
    with pytest.raises(InputError, match=r"did you mean 'openpose-25'"):
        find_layout("open-pose-25")
    with pytest.raises(InputError, match="cannot be read"):
        find_layout("missing.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "joints: [", "!!python/object/apply:os.system ['echo']", "a: &a [1]\njoints: [*a, *a]", "\x00", "- 1", "3", "",
        "x: 2001-13-99", "#" * (1 << 19),
    ],
)  # fmt: skip
def test_a_file_that_is_no_layout_is_refused(tmp_path, text):
    path = tmp_path / "bad.yml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        find_layout(path)
    assert "\n" not in str(error.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from(["name", "up", "unit", "handed", "joints"]), JSON, st.integers(0, 4))
def test_whatever_stands_in_a_layout_it_is_read_or_refused(key, value, row):
    for content in (_changed(lambda c: c.update({key: value})), value):
        with suppress(InputError):
            layout_from(content, "f")
    for field in ("name", "meaning", "parent", "mirror", "part", "place"):
        try:
            layout = layout_from(_changed(lambda c, field=field: c["joints"][row].update({field: value})), "f")
        except InputError:
            continue
        assert [layout.mirror[i] for i in layout.mirror] == list(range(len(layout.joints)))
