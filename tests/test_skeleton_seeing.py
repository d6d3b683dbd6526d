"""Skeletons seen: names of places, figures in colour, streams by name."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon
from omnipatch.modalities.skeleton import Skeleton, SkeletonConfig
from omnipatch.modalities.skeleton.vocabulary import PARTS
from skeleton_tokens_kit import JOINTS, batch_of, moving, recording

TWO = (*JOINTS, *(f"{joint}#2" for joint in JOINTS))


def seen(tokens, sensors=TWO):
    skeleton = Skeleton(SkeletonConfig(tokens=tokens))
    batch = batch_of(skeleton, [recording(moving(sensors), sensors)])
    return skeleton.seeing(), batch, batch.coords[0, ::6].numpy()


def test_joints_and_parts_of_every_person_have_their_names():
    for tokens, names in (("joint", TWO), ("part", (*PARTS, *(f"{part}#2" for part in PARTS)))):
        seeing, _, where = seen(tokens)
        assert tuple(seeing.place_names(where)) == names


def test_a_group_of_joints_has_the_name_of_its_part():
    seeing, batch, _ = seen("joint", JOINTS)
    for part, name in enumerate(PARTS):
        middle = batch.coords[0, batch.group[0] == part].mean(dim=0, keepdim=True).numpy()
        assert seeing.place_names(middle) == [name]


@pytest.mark.parametrize("tokens", ["joint", "part"])
def test_figures_are_drawn_in_colour_beside_each_other(tokens):
    seeing, _, where = seen(tokens)
    axes = Figure().add_subplot()
    values = np.linspace(-1, 1, len(where))
    assert seeing.draw_places(axes, where, values, 1.0, matplotlib.colormaps["RdBu"])
    shapes = [p for p in axes.patches if isinstance(p, Circle if tokens == "joint" else Polygon)]
    assert len(shapes) >= len(where)
    assert len({p.get_facecolor() for p in shapes}) == len(where)
    assert axes.get_xlim()[1] - axes.get_xlim()[0] > 2.0


def test_streams_are_parts_that_can_be_hidden():
    seeing, batch, _ = seen("joint")
    hidden = seeing.without_parts(batch)
    assert list(hidden) == ["joint", "bone", "motion"]
    values = batch.values.view(1, -1, 3, 3, 8)
    for number, name in enumerate(hidden):
        changed = (hidden[name].values.view_as(values) != values) & values.isfinite()
        assert bool(changed[:, :, number].any())
        assert not bool(changed[:, :, [i for i in range(3) if i != number]].any())


def test_numbers_of_a_token_lie_in_time():
    seconds, unit = Skeleton(SkeletonConfig(patch_frames=3)).seeing().value_axis(0)
    assert unit == "seconds"
    np.testing.assert_allclose(seconds, np.array([0.5, 1.5, 2.5]) / 30)
