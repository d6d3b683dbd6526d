"""Damaged BVH files, raw UI-PRMD pairs, tables and archives: a clip or one sentence, soon and in little memory."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from mutations_kit import memory_limit, time_limit
from skeleton_files_kit import walker
from skeleton_motion_kit import write_bvh
from skeleton_mutations_kit import EXTRA_BYTES, LIMIT_S, campaign, use

JOINTS = ("pelvis", "left_knee", "right_knee", "head")
ANGLES = "m01_s02_e03_angles.txt"  # the partner of the damaged file


def _tables(folder: Path) -> None:
    x = walker("coco-17", frames=5)[0, :, :4]
    rows = [
        f"{f},{name},{x[f, j, 0]:.3f},{x[f, j, 1]:.3f},{x[f, j, 2]:.3f},0.9"
        for f in range(5)
        for j, name in enumerate(JOINTS)
    ]
    (folder / "long.csv").write_text("\n".join(["frame,joint,x,y,z,confidence", *rows]))
    header = ["time_s", *(f"{name}_{axis}" for name in JOINTS for axis in "xyz")]
    rows = [",".join([f"{f / 30:.4f}", *(f"{v:.3f}" for v in x[f].ravel())]) for f in range(5)]
    (folder / "wide.csv").write_text("\n".join([",".join(header), *rows]))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """{name: bytes} of small valid files."""
    folder = tmp_path_factory.mktemp("valid")
    rng = np.random.default_rng(0)
    write_bvh(folder / "a.bvh")
    _tables(folder)
    pair = {"positions": rng.normal(0, 20, (4, 66)), "angles": rng.uniform(-90, 90, (4, 66))}
    for kind, values in pair.items():
        text = "\n".join(",".join(f"{v:.3f}" for v in row) for row in values)
        (folder / f"m01_s02_e03_{kind}.txt").write_text(text)
        (folder / f"m02_s02_e03_{kind}.txt.gz").write_bytes(gzip.compress(text.encode()))
    x = walker("kinect-20", frames=4, persons=2).astype(np.float32)
    kept = {"positions": x, "confidence": np.ones(x.shape[:3], np.float32), "sfreq_hz": 30.0}
    np.savez(folder / "a.npz", **kept, layout="kinect-20")
    chain = np.array(["pelvis", *(f"link{i}" for i in range(1, 20))])
    np.savez_compressed(folder / "packed.npz", **kept, joint_names=chain, parents=np.arange(20) - 1)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


NAMES = (
    "a.bvh", "a.npz", "long.csv", "m01_s02_e03_positions.txt", "m02_s02_e03_positions.txt.gz", "packed.npz", "wide.csv",
)  # fmt: skip


def _partners(folder: Path, files: dict[str, bytes], name: str, seeds: range) -> None:
    """The undamaged file beside each damaged one, where it takes two."""
    if "positions" in name:
        for seed in seeds:
            path = folder / str(seed) / name.replace("positions", "angles")
            path.parent.mkdir()
            path.write_bytes(files[path.name])


def _run(folder: Path, files: dict[str, bytes], name: str, seeds: range) -> dict[str, int]:
    _partners(folder, files, name, seeds)
    return campaign(folder, name, files[name], seeds)


@pytest.mark.parametrize("name", NAMES)
def test_the_limits_let_a_whole_file_through(tmp_path, files, name):
    for each in (name, name.replace("positions", "angles")):
        (tmp_path / each).write_bytes(files[each])
    with time_limit(LIMIT_S), memory_limit(EXTRA_BYTES):
        assert use(tmp_path / name) is None


@pytest.mark.parametrize("name", NAMES)
def test_a_mutated_file_is_a_clip_or_one_sentence(tmp_path, files, name, capfd):
    _run(tmp_path, files, name, range(40))
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_hundreds_of_mutated_files(tmp_path, files, name):
    outcomes = _run(tmp_path, files, name, range(1000, 1500))
    # the campaign means something only when it reaches both sides; checksums of gzip notice nearly any change
    assert outcomes["refused"] >= 15, outcomes
    assert outcomes["read"] >= {".gz": 0, ".npz": 1}.get(Path(name).suffix, 15), outcomes
