"""Motion of joint tokens: what the core finds in coordinates is what the clip did. And the recipe that uses it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_kit import omni
from omnipatch.core.blocks.registry import build
from omnipatch.core.blocks.targets import Request
from omnipatch.core.blocks.tracks import neighbours, track_codes
from omnipatch.core.blocks.views import IndexSet, View
from omnipatch.core.objective import Objective
from omnipatch.core.settings import load
from omnipatch.core.train.model_io import fresh_encoder
from omnipatch.modalities.skeleton.clip import make_clip
from omnipatch.modalities.skeleton.layout import find_layout, layout_names
from torch import nn

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
SFREQ_HZ = 30.0


def walk(layout, persons=1, frames=24, seed=0):
    """[person, frame, joint, xyz] of slow random walks, in the unit of a layout."""
    rng, joints = np.random.default_rng(seed), len(layout.joints)
    start = rng.normal(0.0, 0.4, (persons, 1, joints, 3))
    steps = rng.normal(0.0, 0.01, (persons, frames, joints, 3)).cumsum(axis=1)
    return (start + steps) * {"m": 1.0, "cm": 100.0, "mm": 1000.0, "px": 400.0}[layout.unit]


def settings(*options):
    return load("skeleton-mamp", [f"--modality.sfreq_hz={SFREQ_HZ}", *options])


def windows(modality, positions, layout):
    return modality.windows(make_clip(positions, layout, SFREQ_HZ, "clip"))


@pytest.mark.parametrize("name", layout_names())
def test_each_joint_of_each_person_is_a_track_of_its_own(name):
    layout = find_layout(name)
    modality = settings().modality
    (window,) = windows(modality, walk(layout, persons=2), layout)
    made = modality.patchify(window)
    tracks = len(window.sensors)
    assert made.n_patches == 3 * tracks
    assert int(track_codes(made).max()) + 1 == tracks
    before, after = neighbours(made)
    assert int((before < 0).sum()) == int((after < 0).sum()) == tracks


def test_motion_is_the_difference_of_frames_of_each_joint():
    layout = find_layout("ntu-25")
    modality = settings("--modality.patch_frames=4").modality
    (window,) = windows(modality, walk(layout), layout)
    made = modality.patchify(window)
    every = torch.arange(made.n_patches)[None]
    target = build("target", {"name": "motion", "normalize": "none"}, made.spec, None, nn.ModuleDict())
    got = target(Request(View(made), lambda *_: None, None, IndexSet(every, made.valid))).values
    got = modality.unpatchify(made.replace(values=got))[0]  # [joint, 3, frame], joints as in the window
    moved = np.diff(window.values, axis=2)
    np.testing.assert_allclose(got[..., :-1], moved, atol=1e-6)
    assert np.isnan(got[..., -1]).all()


def test_a_lost_joint_is_no_target_and_no_position():
    layout = find_layout("ntu-25")
    chosen = settings()
    positions = walk(layout, frames=48)
    positions[:, 10:34, 7] = np.nan
    (window,) = windows(chosen.modality, positions, layout)
    made = chosen.modality.patchify(window)
    assert 0 < int((~made.valid).sum()) < 7
    net = fresh_encoder(chosen.recipe.encoder, made.spec, 0)
    objective = Objective.from_config(chosen.recipe.objective, made.spec, net)
    made = made.replace(window=torch.zeros(1, dtype=torch.long))
    losses = [float(objective(made, 0, step).loss.detach()) for step in range(3)]
    assert np.isfinite(losses).all()


@pytest.mark.slow
def test_the_recipe_runs(tmp_path):
    small = ("--encoder.width", 48, "--encoder.depth", 1, "--evaluate.protocols", "linear")
    done = omni("run", "skeleton-mamp", "--out", tmp_path / "run", "--fast-dev-run", *small,
                "--evaluate.models", "pretrained", "--data.limit", 48)  # fmt: skip
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "run/results.json").read_text())["modality"] == "skeleton"


def header_commands(name):
    """{key: options} of the lines of a recipe's header that run it with options."""
    found = {}
    for line in (RECIPES / f"{name}.yaml").read_text().splitlines():
        if match := re.match(rf"# (\S+)\s+omnipatch run {name} (--.*)", line):
            words = shlex.split(re.split(r"\s{4,}", match[2])[0])
            found[match[1]] = [f"{key}={value}" for key, value in zip(words[::2], words[1::2], strict=True)]
    return found


@pytest.mark.parametrize(
    ("name", "key"),
    [("skeleton-mamp", "Coordinates"), ("skeleton-mamp", "Published"), ("skeleton-jepa", "Order")],
)
def test_what_a_header_offers_takes_a_step(name, key):
    chosen = load(name, [*header_commands(name)[key], "--encoder.width=48", "--encoder.depth=1", "--encoder.heads=2"])
    layout = find_layout("ui-prmd-22")
    (window,) = windows(chosen.modality, walk(layout, frames=60), layout)
    made = chosen.modality.patchify(window).replace(window=torch.zeros(1, dtype=torch.long))
    net = fresh_encoder(chosen.recipe.encoder, made.spec, 0)
    objective = Objective.from_config(chosen.recipe.objective, made.spec, net)
    objective.augment = chosen.modality.augment
    objective.prepare(lambda: [made])
    outcome = objective(made, 0, 0)
    assert outcome.loss.isfinite()
    assert (key == "Order") == ("order" in outcome.terms)
