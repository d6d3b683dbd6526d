"""Every format ends alike: a recording of the vocabulary, and tokens that do not tell which file they came from."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from omnipatch.core.errors import InputError
from omnipatch.modalities.skeleton.body import resolve_body
from omnipatch.modalities.skeleton.clip import make_clip
from omnipatch.modalities.skeleton.layout import find_layout, layout_names
from omnipatch.modalities.skeleton.modality import Skeleton, SkeletonConfig
from omnipatch.modalities.skeleton.reading import read_skeleton
from skeleton_files_kit import annotation, coco_file, openpose_frame, walker, write_ntu, write_pyskl

FRAMES = 40


def _ntu(folder):
    write_ntu(folder / "a.skeleton", walker("ntu-25", FRAMES, 2))
    return folder / "a.skeleton"


def _pyskl(folder):
    write_pyskl(folder / "a.pkl", [annotation(walker("coco-17", FRAMES, 2, 2), "a", 1)])
    return folder / "a.pkl"


def _openpose(folder):
    x = walker("openpose-25", FRAMES, 2, 2)
    (folder / "a.json").write_text(json.dumps([openpose_frame(x[:, frame]) for frame in range(FRAMES)]))
    return folder / "a.json"


def _coco(folder):
    (folder / "a.json").write_text(json.dumps(coco_file(walker("coco-17", FRAMES, 2, 2))))
    return folder / "a.json"


@pytest.mark.parametrize("write", [_ntu, _pyskl, _openpose, _coco])
@pytest.mark.parametrize("tokens", ["part", "joint"])
def test_a_file_becomes_tokens(tmp_path, write, tokens):
    skeleton = Skeleton(SkeletonConfig(tokens=tokens, file_sfreq_hz=30.0))
    recording = skeleton.read(write(tmp_path))
    assert len(resolve_body(recording.sensors, recording.extras["layout"]).joint) == len(recording.sensors)
    (window,) = skeleton.windows(recording)
    row = skeleton.patchify(window)
    assert row.valid.any()
    assert row.values[row.valid].isfinite().any(dim=-1).all()
    assert {1.0, 0.0} == set(row.coords[row.valid][:, 1].tolist())  # two persons


@pytest.mark.parametrize("name", layout_names())
def test_the_same_body_in_another_layout_stands_at_the_same_places(name):
    """What a model of one layout sees of another: joints that both have, with the same coordinates."""
    layout, ntu = find_layout(name), find_layout("ntu-25")
    body, other = resolve_body(layout.meaning, layout), resolve_body(ntu.meaning, ntu)
    shared = [joint for joint in body.joint if joint in other.joint]
    assert len(shared) >= 8
    for joint in shared:
        one, two = body.joint.index(joint), other.joint.index(joint)
        np.testing.assert_array_equal(body.place[one], other.place[two])
        assert (body.part[one], body.slot[one]) == (other.part[two], other.slot[two])


def test_a_layout_of_the_users_own_reads_a_file_and_a_change_of_it_is_seen(tmp_path):
    rows = [
        {"name": name, "meaning": meaning} for name, meaning in
        zip(find_layout("coco-17").joints, find_layout("coco-17").meaning, strict=True)
    ]  # fmt: skip
    rows[0] = {"name": "lamp", "part": "head", "place": [0, 0.8, 0.1]}
    path = tmp_path / "ours.yaml"
    path.write_text(yaml.safe_dump({"up": "-y", "unit": "px", "joints": rows}))
    file = _coco(tmp_path)
    recording = read_skeleton(file, layout=str(path), sfreq_hz=25)
    assert recording.sensors[0] == "lamp"
    skeleton = Skeleton(SkeletonConfig(tokens="joint"))
    (window,) = skeleton.windows(recording)
    assert skeleton.patchify(window).valid.any()
    path.write_text(yaml.safe_dump({"up": "-y", "unit": "px", "joints": rows[:-1]}))
    with pytest.raises(InputError, match="wrong number of joints"):
        read_skeleton(file, layout=str(path), sfreq_hz=25)


def test_positions_do_not_depend_on_the_axes_and_unit_of_a_file():
    """The same people in millimetres with z up are the same recording."""
    x = walker("ntu-25", FRAMES)
    ntu = find_layout("ntu-25")
    laboratory = np.stack([x[..., 0], -x[..., 2], x[..., 1]], axis=-1) * 1000
    one = make_clip(x, ntu, 30, "a")
    other = make_clip(laboratory, replace(ntu, up="z", unit="mm"), 30, "a")
    np.testing.assert_allclose(one.signals, other.signals, atol=1e-5)
