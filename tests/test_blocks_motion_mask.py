"""Motion-aware masks: the published odds, exact counts, and what has no motion."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from blocks_kit import batch, insert_invalid
from omnipatch.core.blocks.motion_mask import patch_motion
from omnipatch.core.blocks.registry import build
from omnipatch.core.errors import InputError
from omnipatch.core.rng import RowRandom
from omnipatch.core.sequence import PatchSequence, SequenceSpec
from scipy.stats import chisquare

JOINTS = SequenceSpec(axes=("time_s", "x"), patch_shape=(3, 4), axis_scales=(4 / 30, 1.0), sfreq_hz=30.0)


def moving(speeds, rows=1, times=1):
    """Rows of places that move at constant speeds (a number a frame on each axis), one patch a place and step."""
    t, place = torch.meshgrid(torch.arange(times), torch.arange(len(speeds)), indexing="ij")
    t, place = t.flatten(), place.flatten()
    frames = t[:, None] * 4 + torch.arange(4)
    values = (torch.tensor(speeds)[place, None, None] * frames[:, None, :]).expand(-1, 3, -1).flatten(1)
    coords = torch.stack([t * 4 / 30, place.float()], dim=1)
    return PatchSequence.build(
        JOINTS, coords.expand(rows, -1, -1), values=values.expand(rows, -1, -1), window=torch.arange(rows)
    )


def hidden(made, step=0, **options):
    view = build("mask", {"name": "motion", **options})(made, RowRandom(0, step, made.window))
    flags = torch.zeros(len(made), made.n_patches, dtype=torch.long)
    return flags.scatter_add(1, view.targets.index, view.targets.valid.long()).bool()


def inclusion(weights, count):
    """Probability of each item to be among `count` drawn one by one with odds `weights`, by enumeration."""
    found = [0.0] * len(weights)
    for drawn in itertools.permutations(range(len(weights)), count):
        left, p = sum(weights), 1.0
        for i in drawn:
            p *= weights[i] / left
            left -= weights[i]
        for i in drawn:
            found[i] += p
    return found


@pytest.mark.parametrize("tau", [0.3, 0.8])
@pytest.mark.parametrize("count", [1, 3])
def test_odds_are_the_softmax_of_relative_motion(tau, count):
    speeds, rows = [0.0, 0.5, 1.0, 2.0], 20_000
    made = moving(speeds, rows)
    expected = inclusion([math.exp(v / (tau * max(speeds))) for v in speeds], count)
    flags = hidden(made, ratio=count / 4, tau=tau)
    assert (flags.sum(1) == count).all()
    seen = flags.double().mean(0)
    torch.testing.assert_close(seen, torch.tensor(expected, dtype=torch.float64), atol=0.012, rtol=0)


def test_nine_tenths_are_hidden_exactly_and_the_resting_place_is_seen_most():
    made = moving([0.0, 1.0, 1.0, 1.0, 2.0], rows=400, times=30)
    flags = hidden(made, ratio=0.9, tau=0.75, against="before")
    assert (flags.sum(1) == 135).all()
    shown = 1.0 - flags.double().mean(0).view(30, 5).mean(0)
    assert shown[0] > 1.5 * shown[1]
    assert shown[1:4].min() > 1.5 * shown[4]


def test_a_large_temperature_and_a_still_row_are_uniform():
    for made, tau in ((moving([0.0, 1.0, 3.0, 9.0], rows=3000), 1e4), (moving([0.0] * 4, rows=3000), 0.1)):
        assert chisquare(hidden(made, ratio=0.5, tau=tau).double().sum(0).numpy()).pvalue > 1e-3


def test_odds_do_not_depend_on_the_unit():
    a, b = moving([0.0, 0.5, 1.0, 2.0], rows=50, times=5), moving([0.0, 500.0, 1000.0, 2000.0], rows=50, times=5)
    assert torch.equal(hidden(a, ratio=0.6), hidden(b, ratio=0.6))


def test_motion_against_the_patch_before_is_the_loop():
    made = batch(2, 6, seed=3)
    values = made.values.clone()
    values[0, 2, :9] = torch.nan
    made = made.replace(values=values)
    motion = patch_motion(made, "before")
    for row in range(2):
        slow = []
        for i in range(6):
            now, then = (1, 0) if i == 0 else (i, i - 1)  # the first has the motion of the second
            pairs = [(a - b).abs() for a, b in zip(values[row, now], values[row, then], strict=True)]
            known = [p for p in pairs if torch.isfinite(p)]
            slow.append(sum(known) / len(known))
        torch.testing.assert_close(motion[row], torch.stack(slow))


def test_motion_inside_a_patch_is_the_loop():
    made = batch(1, 3)
    x = made.values.view(3, 2, 8)
    slow = [sum(abs(p[s, t] - p[s, t - 1]) for s in range(2) for t in range(1, 8)) / 14 for p in x]
    torch.testing.assert_close(patch_motion(made)[0], torch.stack(slow))


@pytest.mark.parametrize("against", ["itself", "before"])
def test_unknown_motion_counts_as_the_mean_and_nothing_becomes_nan(against):
    made = batch(2, 5)
    values = made.values.clone()
    values[0, 2] = torch.nan
    values[1] = torch.nan
    motion = patch_motion(made.replace(values=values), against)
    assert torch.isfinite(motion).all()
    known = [0, 1, 3, 4] if against == "itself" else [0, 1, 4]  # the one after the lost one has nothing to compare
    torch.testing.assert_close(motion[0, 2], motion[0, known].mean())
    assert (motion[1] == 0).all()


@pytest.mark.parametrize("against", ["itself", "before"])
def test_padding_and_the_order_of_patches_change_no_motion(against):
    made = moving([0.0, 1.0, 3.0], rows=2, times=4)
    plain = patch_motion(made, against)
    wide, now = insert_invalid(made, [0, 5, 12])
    torch.testing.assert_close(patch_motion(wide, against)[:, now], plain)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    turned = made.patches(order.expand(2, -1))
    torch.testing.assert_close(patch_motion(turned, against), plain[:, order])


def test_a_place_that_was_lost_is_not_compared_across_the_gap():
    made = moving([1.0], times=5)
    valid = made.valid.clone()
    valid[0, 2] = False
    values = made.values.clone()
    values[0, 3:] += 100.0
    motion = patch_motion(made.replace(valid=valid, values=values), "before")
    torch.testing.assert_close(motion[0, [0, 1, 3, 4]], torch.full((4,), 4.0))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tau": 0.0}, "tau must be positive"),
        ({"against": "after"}, "itself or before"),
        ({"ratio": 1.5}, "between 0 and 1"),
        ({"tua": 0.5}, "did you mean 'tau'"),
    ],
)
def test_bad_options_are_one_sentence(options, words):
    with pytest.raises(InputError, match=words):
        build("mask", {"name": "motion", **options})


def test_ids_have_no_motion():
    spec = SequenceSpec(axes=("time_s", "lead"), patch_shape=(), vocabulary=(5,))
    made = PatchSequence.build(spec, torch.zeros(1, 3, 2), ids=torch.zeros(1, 3, 1, dtype=torch.long))
    with pytest.raises(InputError, match="patches of values"):
        patch_motion(made)
