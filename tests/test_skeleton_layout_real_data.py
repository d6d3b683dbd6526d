"""Layouts and real skeletons agree: bones are as long as in the vocabulary, and left is left."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from omnipatch.modalities.skeleton.clip import make_clip, zeros_are_lost
from omnipatch.modalities.skeleton.layout import find_layout

FOLDER = Path(os.environ.get("OMNIPATCH_DATA", ".")) / "skeleton"
# file, array, its unit in that of the layout, layout
SETS = [
    ("ui_prmd_kinect.npz", "positions", 0.02, "ui-prmd-22"),
    ("msr_action3d.npz", "positions_m", 1 / 5000, "msr-20"),
]


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "array", "scale", "name"), SETS)
def test_bones_and_sides_of_a_layout_are_those_of_real_people(file, array, scale, name):
    with np.load(FOLDER / file) as data:
        positions = data[array][:40_000:20] * scale
    layout = find_layout(name)
    clip = make_clip(zeros_are_lost(positions[None]), layout, 30, name)
    x = dict(zip(clip.sensors, clip.signals, strict=True))
    for joint, parent in enumerate(layout.parents):
        if parent < 0 or layout.meaning[joint] in ("neck", "head", "left_collar", "right_collar"):
            continue  # what sensors make of the neck differs
        bone = x[layout.meaning[joint]] - x[layout.meaning[parent]]
        expected = np.subtract(layout.places[joint], layout.places[parent])
        length = np.nanmedian(np.linalg.norm(bone, axis=0))
        assert 0.4 < length / np.linalg.norm(expected) < 2.5, layout.meaning[joint]
    # up x forward = left, in right-handed axes; feet point forward
    forward = sum(x[f"{side}_foot"] - x[f"{side}_ankle"] for side in ("left", "right"))
    left = np.cross([0, 1, 0], forward, axisb=0)
    across = (x["left_hip"] - x["right_hip"]).T
    agree = np.einsum("fa,fa->f", left, across) > 0
    assert agree[np.isfinite(across).all(axis=1)].mean() > 0.9
    height = np.nanmedian(x["head"][1] - np.fmin(x["left_foot"][1], x["right_foot"][1]))
    assert 1.1 < height < 1.9
