"""Multi-block masks: blocks of the wanted share and shape, whole in time, equally often everywhere. What all samplers
promise is in test_blocks_masks."""

from __future__ import annotations

import pytest
import torch
from omnipatch.core.blocks.registry import build
from omnipatch.core.errors import InputError
from omnipatch.core.rng import RowRandom
from omnipatch.core.sequence import PatchSequence, SequenceSpec
from scipy.stats import chisquare

SPEC = SequenceSpec(axes=("time_s", "row", "within_s"), axis_scales=(30.0, 1.0, 0.3), patch_shape=(1,))


def clip(rows: int, times: int = 8, tall: int = 4, wide: int = 16) -> PatchSequence:
    """The grid of EEG-VJEPA: 8 x 4 x 16 patches."""
    place = torch.cartesian_prod(torch.arange(times), torch.arange(tall), torch.arange(wide)).float()
    coords = (place * torch.tensor([30.0, 1.0, 0.3]) + torch.tensor([0.0, 0.0, 0.15])).expand(rows, -1, -1)
    return PatchSequence.build(SPEC, coords, values=torch.zeros(rows, place.shape[0], 1), window=torch.arange(rows))


def sampler(**options):
    return build("mask", {"name": "multiblock", **options})


def hidden(options, made, step=0):
    view = sampler(**options)(made, RowRandom(0, step, made.window))
    flags = torch.zeros(made.valid.shape, dtype=torch.long)
    return flags.scatter_add(1, view.targets.index, view.targets.valid.long()).bool()


@pytest.mark.parametrize(("scale", "ratio"), [(0.15, 0.675), (0.7, 0.9), (0.4, 0.6)])
def test_every_patch_is_hidden_equally_often(scale, ratio):
    made = clip(3000)
    count = hidden({"scale": scale, "ratio": ratio}, made).sum(0).double()
    assert (count / len(made) - ratio).abs().max() < 0.05
    # counts of neighbours go together: a place is looked at once, not in each of its eight patches
    assert chisquare(count.view(8, -1)[0].numpy()).pvalue > 1e-3


@pytest.mark.parametrize(("scale", "plane"), [(0.15, (4, 16)), (0.7, (4, 16)), (0.7, (14, 14)), (0.15, (14, 14))])
def test_a_block_covers_the_share_it_is_said_to_cover(scale, plane):
    """Where the sides suit the plane and where one does not fit and the other gets its rest."""
    made = clip(4000, 1, *plane)
    first = sampler(scale=scale, ratio=0.5).cells(made, RowRandom(0, 0, made.window)) == 0
    assert float(first.double().mean()) == pytest.approx(scale, rel=0.03)


def test_a_block_is_a_rectangle_of_the_wanted_aspect_for_the_whole_window():
    made = clip(500, 3, 20, 20)
    first = sampler(scale=0.1, aspect=[2.0, 2.0], ratio=0.5).cells(made, RowRandom(0, 0, made.window)) == 0
    first = first.view(500, 3, 20, 20)
    assert torch.equal(first[:, 0], first[:, 1])
    tall, wide = (first[:, 0].any(dim=d).sum(-1).double() for d in (2, 1))
    assert torch.equal(first[:, 0].sum((1, 2)).double(), tall * wide)
    assert float(tall.mean() / wide.mean()) == pytest.approx(2.0, rel=0.05)


def test_hidden_patches_are_those_of_the_blocks_and_only_the_last_block_is_cut():
    made = clip(200)
    options = {"scale": 0.15, "ratio": 0.6}
    flags = hidden(options, made)
    order = sampler(**options).cells(made, RowRandom(0, 0, made.window).fork("0").fork("cells"))
    for row, block in zip(flags, order, strict=True):
        last = block[row].max()
        assert row[block < last].all()
        assert not row[block > last].any()


def test_short_and_long_masks_differ_in_how_far_the_next_context_is():
    made = clip(300, 1)
    short, long = (hidden({"scale": scale, "ratio": 0.6}, made).view(300, 4, 16) for scale in (0.1, 0.6))

    def edges(flags):
        return float((flags != flags.roll(1, 2)).double().mean())

    assert edges(long) < 0.6 * edges(short)


def test_the_plane_may_be_named():
    made = clip(100)
    block = sampler(scale=0.3, axes=["time_s", "row"]).cells(made, RowRandom(0, 0, made.window)).view(100, 32, 16)
    assert torch.equal(block, block[..., :1].expand_as(block))
    assert len(block[0].unique()) > 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": 0.0}, "between 0 and 1"),
        ({"scale": 1.0}, "between 0 and 1"),
        ({"scale": 0.5, "aspect": [2.0, 1.0]}, "range of positive"),
        ({"scale": 0.5, "axes": ["row"]}, "two axes"),
        ({}, "needs scale"),
    ],
)
def test_bad_options_are_one_sentence(options, words):
    with pytest.raises(InputError, match=words):
        sampler(**options)


def test_an_unknown_axis_names_the_nearest():
    with pytest.raises(InputError, match=r"a multiblock mask names axis 'rows'.*did you mean 'row'"):
        hidden({"scale": 0.5, "axes": ["rows", "within_s"]}, clip(2))
