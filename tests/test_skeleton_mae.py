"""SkeletonMAE as a recipe: the body's graph reaches encoder and decoder, lost joints and second persons included."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from omnipatch.core.batching import collate
from omnipatch.core.blocks.edges import seen_places
from omnipatch.core.blocks.registry import build
from omnipatch.core.objective import Objective
from omnipatch.core.rng import RowRandom
from omnipatch.core.scope import Scope
from omnipatch.core.settings import Settings, load
from omnipatch.modalities.skeleton.demo import make_recording

EDGES = {
    "heads": {"bonds": {"name": "predictor"}},
    "targets": {"links": {"name": "links"}},
    "terms": {
        "links": {"site": "target", "source": "context", "head": "bonds", "target": "links", "loss": "links",
                  "weight": 0.1},
    },
}  # fmt: skip


@cache
def _recipe() -> Settings:
    return load("skeleton-mae", ["--modality.window_s", "1.6"])


@cache
def clips():
    """Five demo clips, the last with somebody else in the picture, as the recipe's tokens."""
    modality = _recipe().modality
    rows = []
    for number in range(5):
        recording = make_recording(np.random.default_rng(number), accompanied=number == 4)
        rows.append(modality.patchify(modality.windows(recording)[0]))
    made = collate(rows)
    return made.replace(window=torch.arange(len(made)))


def objective(**changes) -> Objective:
    torch.manual_seed(0)
    recipe = _recipe().recipe
    encoder = build("encoder", {**recipe.encoder, "width": 32}, clips().spec)
    made = Objective.from_config({**recipe.objective, **changes}, clips().spec, encoder)
    made.total_steps = 40
    return made


def predicted(built: Objective, made) -> torch.Tensor:
    with torch.no_grad():
        return Scope(built, made, RowRandom(0, 0, made.window)).predict("context", ("decoder",), "target").values


def test_joints_are_hidden_all_the_time_and_in_part_of_their_limbs():
    made, built = clips(), objective()
    view = built.views["context"](made, RowRandom(0, 0, made.window), None)
    for row in range(len(made)):
        hidden = view.targets.index[row][view.targets.valid[row]]
        places = made.coords[row, :, 1:]
        half = 0
        for place in places[made.valid[row]].unique(dim=0):
            of_joint = ((places == place).all(dim=1) & made.valid[row]).nonzero().flatten()
            half += 0 < int(torch.isin(of_joint, hidden).sum()) < len(of_joint)
        assert half <= 1  # the last joint of the share may be cut
        assert len(hidden) == pytest.approx(0.5 * int(made.lengths[row]), abs=1)


def test_hidden_joints_have_no_say_in_what_is_predicted_of_them():
    made, built = clips(), objective().eval()
    view = built.views["context"](made, RowRandom(0, 0, made.window), None)
    hidden = seen_places(view.targets, made.n_patches)
    elsewhere = made.replace(values=made.values.masked_fill(hidden.unsqueeze(-1), 5.0))
    valid = view.targets.valid
    torch.testing.assert_close(predicted(built, elsewhere)[valid], predicted(built, made)[valid], atol=0, rtol=0)


def test_a_joint_hears_its_neighbours_in_body_and_time_only():
    """Through `depth` layers a value travels as many bones and time steps."""
    made, built = clips().rows([0]), objective().eval()
    values = made.values.clone().requires_grad_()
    tokens = built.encoder(made.replace(values=values)).tokens
    tokens[0, 0, 0].backward()
    heard = (values.grad[0].abs().sum(dim=1) > 0).nonzero().flatten().tolist()
    near = {0}
    for _ in range(built.encoder.depth):
        near |= {int(a) for a, b in made.edges.T.tolist() if b in near and made.valid[0, a]}
    assert set(heard) == near
    assert len(near) < int(made.lengths[0])


@pytest.mark.parametrize(("changes", "steps", "left"), [({}, 25, 0.7), (EDGES, 8, 0.95)], ids=["joints", "edges too"])
def test_training_finds_structure(changes, steps, left):
    made, built = clips(), objective(**_merged(changes))
    optimizer = torch.optim.AdamW(built.parameters(), 3e-3)
    losses = []
    for step in range(steps):
        outcome = built(made, 0, step)
        optimizer.zero_grad()
        outcome.loss.backward()
        optimizer.step()
        losses.append(float(outcome.loss.detach()))
    assert np.mean(losses[-3:]) < left * losses[0]
    assert set(outcome.terms) == {"reconstruction", *changes.get("terms", {})}


def _merged(changes):
    base = _recipe().recipe.objective
    return {key: {**base.get(key, {}), **value} for key, value in changes.items()}
