"""Damaged NTU, pyskl, OpenPose, COCO and layout files: each is a clip or one sentence, soon and in little memory."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from mutations_kit import HUGE, change_lines, insert_foreign, memory_limit, time_limit, truncate
from omnipatch.core.errors import InputError
from omnipatch.modalities.skeleton.body import resolve_body
from omnipatch.modalities.skeleton.layout import find_layout
from omnipatch.modalities.skeleton.preprocess import PreprocessConfig, preprocess
from omnipatch.modalities.skeleton.reading import read_skeleton
from skeleton_files_kit import annotation, coco_file, openpose_frame, walker, write_ntu, write_openpose, write_pyskl

LIMIT_S = 20
EXTRA_BYTES = 1 << 30  # beyond what a test process holds already
SET = "set.pkl"  # of several clips, one of which is asked for
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


def _flip(rng, raw):
    """A few bytes changed, more often near the start."""
    data = bytearray(raw)
    reach = len(data) if rng.random() < 0.5 else min(len(data), 512)
    for at in rng.integers(0, reach, rng.integers(1, 6)):
        data[at] = rng.integers(0, 256)
    return bytes(data)


def _number(rng, raw):
    """A number in the text replaced by an awkward one; four bytes of a binary file by an extreme number."""
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?", raw))
    if numbers and raw.isascii():
        at = numbers[rng.integers(0, len(numbers) if rng.random() < 0.5 else min(len(numbers), 40))]
        return raw[: at.start()] + str(rng.choice(HUGE)).encode() + raw[at.end() :]
    at = int(rng.integers(0, max(1, min(len(raw), 1024) - 4)))
    return raw[:at] + [b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"][rng.integers(0, 3)] + raw[at + 4 :]


def _swap(rng, raw):
    one, two = sorted(int(at) for at in rng.integers(0, len(raw), 2))
    return raw[two:] + raw[one:two] + raw[:one]


def _word(rng, raw):
    """A word of the text lost, doubled or replaced by one from elsewhere in the file."""
    words = list(re.finditer(rb"[^\s,\[\]{}:]+", raw))
    if len(words) < 2:
        return _flip(rng, raw)
    one, other = (words[i] for i in rng.integers(0, len(words), 2))
    new = [b"", one[0] + b" " + one[0], other[0]][rng.integers(0, 3)]
    return raw[: one.start()] + new + raw[one.end() :]


MUTATORS = (truncate, _flip, _number, _swap, _word, change_lines, insert_foreign)


def _use(path: Path) -> str | None:
    """Read a file and ask what its joints are; what was wrong with it."""
    try:
        if path.suffix == ".yaml":
            layout = find_layout(path)
            assert resolve_body(layout.meaning, layout).joint == layout.meaning
            return None
        clip = read_skeleton(path, sfreq_hz=30, record="b" if path.name == SET else "")
        x = clip.signals
        assert x.dtype == np.float32
        assert x.shape[0] == len(clip.sensors) == len(set(clip.sensors)) > 0
        assert x.shape[1] == 3
        assert x.shape[2] > 0
        assert not np.isinf(x).any()
        assert np.isfinite(x).any()
        body = resolve_body(clip.sensors, clip.extras["layout"])
        assert len(body.parent) == len(x)
        assert not np.isinf(preprocess(clip, body, PreprocessConfig()).positions).any()
    except InputError as error:
        return str(error)
    return None


def _campaign(folder: Path, name: str, raw: bytes, seeds: range) -> dict[str, int]:
    outcomes = {"read": 0, "refused": 0}
    for seed in seeds:
        rng = np.random.default_rng([seed, sum(name.encode())])
        changed = raw
        for _ in range(rng.integers(1, 3)):
            changed = MUTATORS[rng.integers(0, len(MUTATORS))](rng, changed) if changed else changed
        # a new file each time: a set is kept in memory by its name, size and time
        path = folder / str(seed) / name
        path.parent.mkdir()
        path.write_bytes(changed)
        try:
            with time_limit(LIMIT_S), memory_limit(EXTRA_BYTES):
                problem = _use(path)
        except Exception as error:
            raise AssertionError(f"seed {seed} of {name}") from error
        outcomes["refused" if problem else "read"] += 1
        assert problem is None or ("\n" not in problem and len(problem) < 1000), f"seed {seed} of {name}: {problem}"
    return outcomes


@pytest.mark.parametrize("name", NAMES)
def test_the_limits_let_a_whole_file_through(tmp_path, files, name):
    (tmp_path / name).write_bytes(files[name])
    with time_limit(LIMIT_S), memory_limit(EXTRA_BYTES):
        assert _use(tmp_path / name) is None


@pytest.mark.parametrize("name", NAMES)
def test_a_mutated_file_is_a_clip_or_one_sentence(tmp_path, files, name, capfd):
    _campaign(tmp_path, name, files[name], range(40))
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
            problem = _use(folder)
        assert problem is None or "\n" not in problem


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_hundreds_of_mutated_files(tmp_path, files, name):
    outcomes = _campaign(tmp_path, name, files[name], range(1000, 1500))
    # the campaign means something only when it reaches both sides
    assert min(outcomes.values()) >= 15, outcomes
