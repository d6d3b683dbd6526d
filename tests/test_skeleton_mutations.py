"""Damaged NTU, pyskl, OpenPose, COCO and layout files: each is a clip or one sentence, soon and in little memory."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from mutations_kit import memory_limit, time_limit
from skeleton_files_kit import annotation, coco_file, openpose_frame, walker, write_ntu, write_openpose, write_pyskl
from skeleton_mutations_kit import EXTRA_BYTES, LIMIT_S, MUTATORS, SET, campaign, use

OWN = {"name": "ours", "joints": [{"name": "pelvis"}, {"name": "tail", "parent": "pelvis", "place": [0, 0.1, -0.1]}]}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """{name: bytes} of small valid files."""
    folder = tmp_path_factory.mktemp("valid")
    image = walker("openpose-25", frames=4, persons=2, axes=2)
    write_ntu(folder / "a.skeleton", walker("ntu-25", frames=4, persons=2))
    clips = [annotation(walker("coco-17", 4, 2, 2), name, 1, np.ones((2, 4, 17))) for name in ("a", "b")]
    write_pyskl(folder / "one.pkl", clips[:1])
    write_pyskl(folder / SET, clips, {"train": ["a"], "val": ["b"]}, protocol=5)
    (folder / "frames.json").write_text(json.dumps([openpose_frame(image[:, frame]) for frame in range(4)]))
    (folder / "coco.json").write_text(json.dumps(coco_file(walker("coco-17", 4, 2, 2)), indent=1))
    (folder / "layout.yaml").write_text(yaml.safe_dump(OWN))
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


NAMES = ("a.skeleton", "coco.json", "frames.json", "layout.yaml", "one.pkl", SET)


@pytest.mark.parametrize("name", NAMES)
def test_the_limits_let_a_whole_file_through(tmp_path, files, name):
    (tmp_path / name).write_bytes(files[name])
    with time_limit(LIMIT_S), memory_limit(EXTRA_BYTES):
        assert use(tmp_path / name) is None


@pytest.mark.parametrize("name", NAMES)
def test_a_mutated_file_is_a_clip_or_one_sentence(tmp_path, files, name, capfd):
    campaign(tmp_path, name, files[name], range(40))
    assert capfd.readouterr() == ("", "")


def test_a_folder_with_mutated_frames_is_a_clip_or_one_sentence(tmp_path):
    """One frame damaged, sometimes its name."""
    write_openpose(tmp_path / "whole", walker("openpose-25", frames=3, axes=2))
    frames = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        hit = str(rng.choice(sorted(frames)))
        for name, raw in frames.items():
            changed = MUTATORS[rng.integers(0, len(MUTATORS))](rng, raw) if name == hit else raw
            new = name.replace("0", str(rng.integers(0, 99)), 1) if name == hit and rng.random() < 0.3 else name
            (folder / new).write_bytes(changed)
        with time_limit(LIMIT_S):
            problem = use(folder)
        assert problem is None or "\n" not in problem


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_hundreds_of_mutated_files(tmp_path, files, name):
    outcomes = campaign(tmp_path, name, files[name], range(1000, 1500))
    # the campaign means something only when it reaches both sides
    assert min(outcomes.values()) >= 15, outcomes
