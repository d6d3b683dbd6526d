"""Disc masks: compact on the scalp, equally often everywhere whatever the cells are, small or large, with or without
time. What all samplers promise is in test_blocks_masks."""

from __future__ import annotations

import pytest
import torch
from omnipatch.core.blocks.registry import build
from omnipatch.core.errors import InputError
from omnipatch.core.rng import RowRandom
from omnipatch.core.sequence import PatchSequence, SequenceSpec
from scipy.stats import chisquare

SPEC = SequenceSpec(axes=("time_s", "x", "y", "z"), axis_scales=(0.5, 0.3, 0.3, 0.3), patch_shape=(1,))
SCALP = {"name": "disc", "axes": ["x", "y", "z"]}


def scalp(rows: int, electrodes: int = 23, times: int = 8) -> PatchSequence:
    """Irregular electrodes on a half sphere, dense at one side."""
    made = torch.randn(electrodes, 3, generator=torch.Generator().manual_seed(3))
    made[: electrodes // 2] += torch.tensor([1.5, 0.0, 0.0])
    made[:, 2] = made[:, 2].abs()
    place = torch.nn.functional.normalize(made, dim=1).repeat_interleave(times, dim=0)
    time = 0.25 + 0.5 * torch.arange(times).repeat(electrodes)
    coords = torch.cat([time.unsqueeze(1), place], dim=1).expand(rows, -1, -1)
    group = torch.arange(electrodes).repeat_interleave(times).expand(rows, -1)
    values = torch.zeros(rows, electrodes * times, 1)
    return PatchSequence.build(SPEC, coords, values=values, group=group, window=torch.arange(rows))


def hidden(options, made, step=0):
    view = build("mask", {**SCALP, **options})(made, RowRandom(0, step, made.window))
    flags = torch.zeros(made.valid.shape, dtype=torch.long)
    return flags.scatter_add(1, view.targets.index, view.targets.valid.long()).bool()


@pytest.mark.parametrize("radius", [0.3, 0.8, 1.6])
@pytest.mark.parametrize("span", [None, 1.0])
def test_every_patch_is_hidden_equally_often(radius, span):
    made = scalp(3000)
    count = hidden({"radius": radius, "span": span, "ratio": 0.4}, made).sum(0).double()
    assert (count / len(made) - 0.4).abs().max() < 0.05
    assert chisquare(count.numpy()).pvalue > 1e-3


def test_without_a_span_an_electrode_is_hidden_for_all_of_the_window():
    made = scalp(200)
    flags = hidden({"radius": 0.8, "ratio": 0.5}, made).view(200, 23, 8).sum(-1)
    part = ((flags > 0) & (flags < 8)).sum(1)
    # only cells at the two ends of the circle are cut
    whole = ((flags == 0) | (flags == 8)).sum(1)
    assert whole.double().mean() > part.double().mean()


def test_hidden_electrodes_lie_together():
    made = scalp(300, times=1)
    place = made.coords[0, :, 1:]
    apart = torch.cdist(place, place)

    def spread(flags):
        pairs = flags.unsqueeze(2) & flags.unsqueeze(1)
        return float((pairs * apart).sum() / pairs.sum())

    small, large = (spread(hidden({"radius": r, "ratio": 0.25}, made)) for r in (0.05, 0.9))
    assert large < 0.9 * small


def test_a_disc_reaches_no_farther_than_its_radius_from_a_place():
    made = scalp(100, times=1)
    sampler = build("mask", {**SCALP, "radius": 0.7, "ratio": 0.5})
    cells = sampler.cells(made, RowRandom(0, 0, made.window))
    place = made.coords[0, :, 1:]
    near = torch.cdist(place, place) <= 0.7
    for row in cells:
        for cell in row.unique():
            assert (near[:, row == cell]).all(dim=1).any()


def test_small_and_large_discs_are_two_views_of_one_batch():
    made = scalp(400)
    short, long = (len_of_cells(made, radius) for radius in (0.4, 1.4))
    assert short > 2 * long


def len_of_cells(made, radius):
    cells = build("mask", {**SCALP, "radius": radius}).cells(made, RowRandom(0, 0, made.window))
    return sum(len(row.unique()) for row in cells)


def test_spans_cut_discs_in_time():
    made = scalp(50)
    sampler = build("mask", {**SCALP, "radius": 9.0, "span": 2.0})
    assert {len(row.unique()) for row in sampler.cells(made, RowRandom(0, 0, made.window))} == {2}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"radius": 0.0}, "must be positive"),
        ({"radius": 1.0, "span": -1.0}, "must be positive"),
        ({"radius": 1.0, "axes": []}, "at least one axis"),
        ({}, "needs radius"),
    ],
)
def test_bad_options_are_one_sentence(options, words):
    with pytest.raises(InputError, match=words):
        build("mask", {**SCALP, **options})


def test_an_unknown_axis_names_the_nearest():
    with pytest.raises(InputError, match=r"a disc mask names axis 'time'.*did you mean 'time_s'"):
        hidden({"axes": ["time"], "radius": 1.0}, scalp(2))
