"""JSON of pose detectors: persons followed from frame to frame, joints by name, time kept."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations_kit import time_limit
from omnipatch.core.errors import CorruptFileError, InputError
from omnipatch.modalities.skeleton.formats.persons import follow
from omnipatch.modalities.skeleton.reading import read_skeleton
from skeleton_files_kit import coco_file, openpose_frame, walker, write_openpose


def _write(path, content):
    path.write_text(json.dumps(content))
    return path


def _person(clip, person, joints):
    """[frame, joint, 2] in pixels with y down."""
    return clip.signals[joints * person : joints * (person + 1), :2].transpose(2, 0, 1) * [1, -1]


@pytest.mark.parametrize("layout", ["openpose-25", "openpose-18", "coco-17"])
def test_a_folder_of_frames_is_a_clip_in_which_persons_are_followed(tmp_path, layout):
    x = walker(layout, persons=2, axes=2)
    joints = x.shape[2]
    write_openpose(tmp_path / "clip", x, skip=(5,))
    clip = read_skeleton(tmp_path / "clip", sfreq_hz=25)
    assert (clip.record, clip.unit, clip.sfreq_hz, clip.extras["layout"].name) == ("video", "px", 25, layout)
    assert len(clip.sensors) == 2 * joints
    there = np.arange(12) != 5
    for person in range(2):
        np.testing.assert_allclose(_person(clip, person, joints)[there], x[person, there], atol=1e-3)
    assert np.isnan(clip.signals[..., 5]).all()
    assert np.isnan(clip.signals[:, 2]).all()


def test_joints_that_were_not_found_are_missing(tmp_path):
    x = walker("openpose-25", axes=2)
    x[0, 3, 4] = 0
    frames = [openpose_frame(x[:, frame]) for frame in range(12)]
    frames[3]["people"][0]["pose_keypoints_2d"][3 * 4 + 2] = 0
    frames[6]["people"][0]["pose_keypoints_2d"][3 * 8 + 2] = 0.2
    path = _write(tmp_path / "a.json", frames)
    clip = read_skeleton(path, sfreq_hz=30)
    assert np.argwhere(np.isnan(clip.signals[:, 0])).tolist() == [[4, 3], [8, 6]]
    # zeros are not a position even when every confidence will do
    clip = read_skeleton(path, sfreq_hz=30, least_confidence=0.0)
    assert np.argwhere(np.isnan(clip.signals[:, 0])).tolist() == [[4, 3]]


def test_poses_in_space_come_before_those_of_the_image(tmp_path):
    x = walker("openpose-25") * [1, -1, 1]
    frames = [openpose_frame(x[:, frame]) for frame in range(12)]
    for frame in frames:
        frame["people"][0]["pose_keypoints_2d"] = [1.0, 2.0, 0.9] * 25
    clip = read_skeleton(_write(tmp_path / "a.json", frames), sfreq_hz=30)
    assert clip.unit == "m"
    np.testing.assert_allclose(clip.signals.transpose(2, 0, 1), x[0] * [1, -1, -1], atol=1e-3)


def test_persons_with_numbers_are_who_the_file_says(tmp_path):
    x = walker("openpose-25", persons=2, axes=2)
    x[:, 6:] = x[::-1, 6:]  # they change places at once
    frames = [openpose_frame(x[:, frame]) for frame in range(12)]
    for frame in frames:
        for number, person in enumerate(frame["people"]):
            person["person_id"] = [number]
    clip = read_skeleton(_write(tmp_path / "a.json", frames), sfreq_hz=30)
    np.testing.assert_allclose(_person(clip, 0, 25), x[0], atol=1e-3)


def test_one_frame_is_a_clip(tmp_path):
    frame = openpose_frame(walker("openpose-25", axes=2)[:, 0])
    assert read_skeleton(_write(tmp_path / "a.json", frame), sfreq_hz=30).signals.shape == (25, 3, 1)


def test_several_clips_in_a_folder_have_to_be_named(tmp_path):
    x = walker("openpose-25", axes=2)
    write_openpose(tmp_path / "c", x, "left")
    write_openpose(tmp_path / "c", x[:, :4], "right")
    with pytest.raises(InputError, match=r"several clips.*name one, such as left"):
        read_skeleton(tmp_path / "c", sfreq_hz=30)
    with pytest.raises(InputError, match="did you mean 'right'"):
        read_skeleton(tmp_path / "c", sfreq_hz=30, record="rigth")
    clip = read_skeleton(tmp_path / "c", sfreq_hz=30, record="right")
    assert (clip.record, clip.signals.shape[2]) == ("right", 4)


@pytest.mark.parametrize("tracked", [False, True])
def test_coco_annotations(tmp_path, tracked):
    x = walker("coco-17", persons=2, axes=2)
    content = coco_file(x, visible=1)
    for number, row in enumerate(content["annotations"]):
        if tracked:
            row["track_id"] = number % 2
    content["annotations"][0]["keypoints"][3 * 16 + 2] = 0
    clip = read_skeleton(_write(tmp_path / "a.json", content), sfreq_hz=30)
    assert len(clip.sensors) == 34
    np.testing.assert_allclose(_person(clip, 0, 17), x[1], atol=1e-3)  # seen better than the other
    assert np.argwhere(np.isnan(clip.signals[:, 0])).tolist() == [[17 + 16, 0]]
    assert clip.extras["confidence"].max() == 0.5


def test_results_of_a_detector_without_images(tmp_path):
    x = walker("coco-17", axes=2)
    rows = coco_file(x, visible=0.8)["annotations"]
    clip = read_skeleton(_write(tmp_path / "a.json", rows), sfreq_hz=30)
    np.testing.assert_allclose(_person(clip, 0, 17), x[0], atol=1e-3)
    assert clip.extras["confidence"].max() == np.float32(0.8)


def test_keypoints_of_another_category_are_read_by_name(tmp_path):
    """PoseTrack has 17 keypoints too, other ones."""
    names = ["nose", "head_bottom", "head_top", "left_shoulder", "right_shoulder", "left_hip", "right_hip"]
    x = walker("coco-17", axes=2)[:, :, :7]
    clip = read_skeleton(_write(tmp_path / "a.json", coco_file(x, names)), sfreq_hz=30)
    assert clip.sensors[:4] == ("nose", "neck", "head_top", "left_shoulder")


BAD = {
    "holds no frame rate": (openpose_frame(np.ones((1, 25, 2))), {"sfreq_hz": None}),
    "layout by --modality.layout: ui-prmd-22": (openpose_frame(np.ones((1, 22, 2))), {}),
    "ragged joints": ({"people": [{"pose_keypoints_2d": [1.0, 2.0]}]}, {}),
    "not numbers": ({"people": [{"pose_keypoints_2d": ["a", "b", "c"]}]}, {}),
    "different numbers of joints": (
        [openpose_frame(np.ones((1, 25, 2))), openpose_frame(np.ones((1, 18, 2)))], {},
    ),
    "nobody is seen": ({"people": []}, {}),
    "not a frame of OpenPose": ([3], {}),
    "expected a list of people": ({"people": 3}, {}),
    "too many people": ({"people": [{}] * 200}, {}),
    "no keypoints": ({"annotations": []}, {}),
    "a list of annotations": ({"annotations": [3]}, {}),
    "belongs to no image": ({"annotations": [{"keypoints": [1.0] * 51}]}, {}),
}  # fmt: skip


@pytest.mark.parametrize("says", BAD)
def test_what_is_no_pose_is_refused(tmp_path, says):
    content, options = BAD[says]
    with pytest.raises(InputError) as error:
        read_skeleton(_write(tmp_path / "a.json", content), **{"sfreq_hz": 30, **options})
    assert says in str(error.value)
    assert "a.json" in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "9" * 5000, '{"people": [{"pose_keypoints_2d": [1e999]}]}'])
def test_what_is_no_json_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(CorruptFileError):
        read_skeleton(tmp_path / "a.json", sfreq_hz=30)


def test_a_folder_without_frames_or_with_most_missing_is_refused(tmp_path):
    (tmp_path / "c").mkdir()
    with pytest.raises(InputError, match="no frames in the folder"):
        read_skeleton(tmp_path / "c", sfreq_hz=30)
    write_openpose(tmp_path / "c", walker("openpose-25", axes=2))
    (tmp_path / "c" / "video_000000012_keypoints.json").write_text("{}")
    (tmp_path / "c" / "video_999999999_keypoints.json").write_text("{}")
    with pytest.raises(CorruptFileError, match="most frames are missing"):
        read_skeleton(tmp_path / "c", sfreq_hz=30)


@given(st.integers(1, 4), st.integers(0, 1000), st.floats(0.01, 100))
def test_following_does_not_depend_on_the_order_of_poses_nor_on_their_size(persons, seed, size):
    rng = np.random.default_rng(seed)
    x = walker("coco-17", frames=8, persons=persons, axes=2) * size
    scored = np.concatenate([x, np.ones((*x.shape[:3], 1))], axis=-1)
    frames = [scored[rng.permutation(persons), frame] for frame in range(8)]
    found = follow(frames, 30)
    assert found.shape == scored.shape
    for person in found:
        assert any(np.array_equal(person, other) for other in scored)


def test_who_comes_back_soon_is_the_same_and_later_another():
    x = walker("coco-17", frames=80, persons=1, axes=2)
    scored = np.concatenate([x, np.ones((*x.shape[:3], 1))], axis=-1)
    frames = [scored[:, frame] if not 10 <= frame < 20 else scored[:0, frame] for frame in range(80)]
    assert len(follow(frames, 30)) == 1
    frames = [scored[:, frame] if not 10 <= frame < 50 else scored[:0, frame] for frame in range(80)]
    assert len(follow(frames, 30)) == 2


def test_a_crowd_is_followed_in_time():
    x = walker("openpose-25", frames=30, persons=60, axes=2)
    x[5, :, :3] = np.nan
    x[7] = np.nan  # a pose without any joint
    frames = list(np.concatenate([x, np.ones((*x.shape[:3], 1))], axis=-1).swapaxes(0, 1))
    with time_limit(10):
        assert follow(frames, 30).shape == (12, 30, 25, 3)
