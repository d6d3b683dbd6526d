"""Motion as a target, and what targets are standardised over, against loops."""

from __future__ import annotations

import math

import pytest
import torch
from blocks_kit import SPEC, batch, encoder, insert_invalid
from omnipatch.core.blocks.registry import build
from omnipatch.core.blocks.targets import Request
from omnipatch.core.blocks.tracks import neighbours, track_codes
from omnipatch.core.blocks.views import IndexSet, View
from omnipatch.core.errors import InputError
from omnipatch.core.sequence import PatchSequence, SequenceSpec
from torch import nn

SMALL = SequenceSpec(axes=("time_s", "lead"), patch_shape=(2, 3), axis_scales=(0.1, 1.0), sfreq_hz=30.0)


def target(options, made, index=None):
    """All patches of a batch (or those of `index`) as a provider sees them: [row, k, out]."""
    index = torch.arange(made.n_patches).expand(len(made), -1) if index is None else index
    chosen = IndexSet(index, torch.ones_like(index, dtype=torch.bool))
    provider = build("target", options, made.spec, encoder(made.spec), nn.ModuleDict())
    return provider(Request(View(made), lambda *_: None, None, chosen))


def tracks(times=4, leads=2):
    """One row of random tracks, standing in a shuffled order; also the signal [lead, sensor, time]."""
    generator = torch.Generator().manual_seed(5)
    signal = torch.randn(leads, 2, 3 * times, generator=generator)
    values = signal.unfold(2, 3, 3).permute(2, 0, 1, 3).reshape(1, times * leads, 6)
    t, lead = torch.meshgrid(torch.arange(times), torch.arange(leads), indexing="ij")
    coords = torch.stack([t.flatten() * 0.1 + 7.3, lead.flatten().float()], dim=1).unsqueeze(0)
    order = torch.randperm(times * leads, generator=generator)
    made = PatchSequence.build(SMALL, coords, values=values, window=torch.arange(1))
    return made.patches(order.unsqueeze(0)), signal, [(int(i) // leads, int(i) % leads) for i in order]


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("end", ["missing", "zero"])
def test_motion_reaches_into_the_next_patch_of_the_place(stride, end):
    made, signal, places = tracks()
    got = target({"name": "motion", "stride": stride, "normalize": "none", "end": end}, made).values[0]
    length = signal.shape[2]
    for k, (step, lead) in enumerate(places):
        for sensor in range(2):
            for frame in range(3):
                at, value = 3 * step + frame, got[k].view(2, 3)[sensor, frame]
                if at + stride < length:
                    assert value == signal[lead, sensor, at + stride] - signal[lead, sensor, at]
                else:
                    assert value == 0 if end == "zero" else value.isnan()


def test_motion_is_standardised_over_a_patch_with_the_unbiased_variance():
    made, signal, places = tracks()
    got = target({"name": "motion"}, made).values[0]
    for k, (step, lead) in enumerate(places):
        moves = [
            float(signal[lead, s, t + 1] - signal[lead, s, t])
            for s in range(2)
            for t in range(3 * step, 3 * step + 3)
            if t + 1 < signal.shape[2]
        ]
        mean = sum(moves) / len(moves)
        var = sum((m - mean) ** 2 for m in moves) / (len(moves) - 1)
        slow = torch.tensor([(m - mean) / math.sqrt(var + 1e-6) for m in moves])
        torch.testing.assert_close(got[k][~got[k].isnan()], slow, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["motion", "raw"])
def test_over_the_window_each_sensor_of_a_place_has_mean_zero_and_variance_one(name):
    made, _, places = tracks(times=6)
    got = target({"name": name, "normalize": "window", "eps": 0.0}, made).values[0].view(-1, 2, 3)
    for lead in range(2):
        own = torch.stack([got[k] for k, (_, at) in enumerate(places) if at == lead])
        for sensor in range(2):
            known = own[:, sensor][~own[:, sensor].isnan()]
            assert abs(float(known.mean())) < 1e-5
            assert abs(float(known.var(unbiased=False)) - 1) < 1e-4


def test_over_the_window_a_patch_keeps_its_level():
    made, signal, places = tracks(times=6)
    got = target({"name": "raw", "normalize": "window", "eps": 1e-2}, made).values[0].view(-1, 2, 3)
    for k, (step, lead) in enumerate(places):
        for sensor in range(2):
            x = signal[lead, sensor]
            slow = (x[3 * step : 3 * step + 3] - x.mean()) / (x.var(unbiased=False) + 1e-2).sqrt()
            torch.testing.assert_close(got[k, sensor], slow, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [{"name": "motion"}, {"name": "motion", "normalize": "window"}, {"name": "raw", "normalize": "window"}],
)
def test_invalid_patches_change_no_target(options):
    made, _, _ = tracks()
    wide, now = insert_invalid(made, [0, 3, 8])
    plain, padded = target(options, made).values, target(options, wide)
    torch.testing.assert_close(padded.values[:, now], plain, equal_nan=True)
    assert padded.valid[0].sum() == made.n_patches


def test_a_patch_before_a_gap_has_no_last_motion():
    made, _, places = tracks(times=3, leads=1)
    lost = torch.tensor([[step == 1 for step, _ in places]])
    made = made.replace(valid=~lost)
    got = target({"name": "motion", "normalize": "none"}, made).values[0].view(-1, 2, 3)
    first = [step for step, _ in places].index(0)
    assert got[first, :, 2].isnan().all()
    assert got[first, :, :2].isfinite().all()


def test_missing_numbers_are_missing_in_both_motions_they_belong_to():
    made, _, places = tracks(times=2, leads=1)
    k = [step for step, _ in places].index(0)
    values = made.values.clone()
    values[0, k, 1] = torch.nan  # sensor 0, frame 1
    got = target({"name": "motion"}, made.replace(values=values)).values[0, k].view(2, 3)
    assert got[0].isnan().tolist() == [True, True, False]
    assert got[1].isfinite().all()


def test_the_patch_normalisation_of_raw_is_over_all_its_numbers():
    made = batch(1, 1)
    x = made.values[0, 0]
    slow = (x - x.mean()) / (x.var(unbiased=False) + 1e-2).sqrt()
    torch.testing.assert_close(target({"name": "raw", "normalize": "patch"}, made).values[0, 0], slow)


@pytest.mark.parametrize(("old", "new"), [(True, "sensor"), (False, "none")])
def test_yes_and_no_still_mean_what_they_meant(old, new):
    made = batch(2, 3)
    a, b = (target({"name": "raw", "normalize": how}, made).values for how in (old, new))
    assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "motion", "stride": 9}, "between 1 and the 8 numbers"),
        ({"name": "motion", "stride": 0}, "between 1 and the 8 numbers"),
        ({"name": "motion", "normalize": "segment"}, "one of sensor, patch, window, none"),
        ({"name": "motion", "end": "repeat"}, "missing or zero"),
        ({"name": "raw", "normalize": "clip"}, "one of sensor, patch, window, none"),
    ],
)
def test_bad_options_are_one_sentence(options, words):
    with pytest.raises(InputError, match=words):
        build("target", options, SPEC, encoder(), nn.ModuleDict())


def test_ids_have_no_motion():
    spec = SequenceSpec(axes=("time_s",), patch_shape=(), vocabulary=(5,))
    with pytest.raises(InputError, match="patches of values"):
        build("target", {"name": "motion"}, spec, None, nn.ModuleDict())


# ---- tracks -------------------------------------------------------------------------------------------------------


def test_neighbours_are_those_of_the_same_place_one_step_away():
    made, _, places = tracks(times=5, leads=3)
    before, after = neighbours(made)
    for k, (step, lead) in enumerate(places):
        for found, wanted in ((before, (step - 1, lead)), (after, (step + 1, lead))):
            assert int(found[0, k]) == (places.index(wanted) if wanted in places else -1)


def test_tracks_differ_by_place_and_by_kind():
    made, _, places = tracks()
    codes = track_codes(made)[0]
    assert len(codes.unique()) == 2
    assert all((codes[i] == codes[j]) == (a[1] == b[1]) for i, a in enumerate(places) for j, b in enumerate(places))
    spec = SequenceSpec(axes=("time_s",), patch_shape=(1,), kinds=("a", "b"))
    kinds = torch.tensor([[0, 1, 0, 1]])
    two = PatchSequence.build(
        spec, torch.tensor([[[0.0], [0.0], [1.0], [1.0]]]), values=torch.zeros(1, 4, 1), kind=kinds
    )
    assert neighbours(two)[1].tolist() == [[2, 3, -1, -1]]


@pytest.mark.parametrize("patches", [0, 1])
def test_too_few_patches_have_no_neighbours(patches):
    made = batch(2, 1).patches(torch.zeros(2, patches, dtype=torch.long))
    assert all((found == -1).all() and found.shape == (2, patches) for found in neighbours(made))
