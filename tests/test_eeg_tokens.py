"""Tokens of EEG: any montage, order, gap and length; waves come back, spectra are Welch's, layouts go by distance."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from eeg_kit import RATE_HZ, SITES, noise, places, shape
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.batching import collate, pad
from omnipatch.core.errors import InputError
from omnipatch.modalities.eeg.connectivity import STRETCH
from omnipatch.modalities.eeg.features import log_covariance
from omnipatch.modalities.eeg.grid import Grid
from omnipatch.modalities.eeg.layouts import ElectrodeLayout, TubeletLayout, place_number
from omnipatch.modalities.eeg.neighbours import nearest, neighbourhoods
from omnipatch.modalities.eeg.sites import SITES_10_20
from omnipatch.modalities.eeg.spectral import FINE_EDGES_HZ, LEVEL, band_centres, log_bands
from omnipatch.modalities.eeg.tokens import described, make_tokens, signals
from scipy.signal import welch
from scipy.spatial.distance import cdist, pdist

LAYOUTS = {"electrode": ElectrodeLayout(), "tubelet": TubeletLayout(places(), 4)}
MONTAGES = st.lists(st.sampled_from(SITES), min_size=1, max_size=40, unique=True)
CONTENTS = st.sampled_from([("wave",), ("spectrum",), ("wave", "spectrum")])
quick = settings(max_examples=25, deadline=None)


def same(a, b) -> bool:
    return all(
        torch.equal(getattr(a, name).nan_to_num(9e9), getattr(b, name).nan_to_num(9e9))
        for name in ("values", "coords", "kind", "group", "valid")
    )


@pytest.mark.parametrize("name", LAYOUTS)
@quick
@given(montage=MONTAGES, contents=CONTENTS, turned=st.randoms(use_true_random=False))
def test_the_order_of_channels_changes_nothing(name, montage, contents, turned):
    x, order = noise(len(montage)), list(range(len(montage)))
    turned.shuffle(order)
    a = make_tokens(x, places(montage), LAYOUTS[name], shape(contents))
    b = make_tokens(x[order], places([montage[i] for i in order]), LAYOUTS[name], shape(contents))
    # electrodes that meet in one slot are summed up in another order
    assert torch.equal(a.valid, b.valid)
    assert torch.equal(a.group, b.group)
    torch.testing.assert_close(a.values, b.values, equal_nan=True, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", LAYOUTS)
@quick
@given(montage=MONTAGES, gone=st.integers(0, 39), contents=CONTENTS)
def test_a_missing_channel_is_an_absent_one(name, montage, gone, contents):
    gone %= len(montage)
    x = noise(len(montage))
    x[gone] = np.nan
    silent = make_tokens(x, places(montage), LAYOUTS[name], shape(contents))
    kept = [i for i in range(len(montage)) if i != gone]
    assert not (silent.values[silent.valid] == 0).all(dim=-1).any()
    if not kept:
        assert not silent.valid.any()
        return
    absent = make_tokens(x[kept], places([montage[i] for i in kept]), LAYOUTS[name], shape(contents))
    for field in ("values", "coords", "group"):
        assert torch.equal(
            getattr(silent, field)[silent.valid].nan_to_num(9e9), getattr(absent, field)[absent.valid].nan_to_num(9e9)
        )


@quick
@given(stretches=st.integers(1, 9), name=st.sampled_from(sorted(LAYOUTS)))
def test_a_later_window_holds_the_same_tokens_earlier(stretches, name):
    x = noise(19, 1000)
    whole, later = (make_tokens(v, places(), LAYOUTS[name], shape()) for v in (x, x[:, 50 * stretches :]))
    own = whole.coords[0, :, 0] > 0.5 * stretches
    assert torch.equal(whole.values[0, own].nan_to_num(9e9), later.values[0].nan_to_num(9e9))
    torch.testing.assert_close(whole.coords[0, own, 0] - 0.5 * stretches, later.coords[0, :, 0])


@quick
@given(montage=MONTAGES, samples=st.integers(25, 300), extra=st.integers(0, 9))
def test_waves_of_electrodes_come_back(montage, samples, extra):
    x = noise(len(montage), samples)
    tokens = make_tokens(x, places(montage), ElectrodeLayout(), shape())
    (back,) = signals(pad(tokens, tokens.n_patches + extra))
    known = np.isfinite(back).sum(axis=1)
    rest = samples % 50
    assert (known == samples - (rest if rest < 25 else 0)).all()
    # each channel is one of the rows
    first = {row[0]: row for row in back}
    for channel in x:
        row = first[channel[0]]
        np.testing.assert_array_equal(row[np.isfinite(row)], channel[: np.isfinite(row).sum()])


def test_mixed_montages_stand_in_one_batch():
    rows = [
        make_tokens(noise(len(names)), places(names), ElectrodeLayout(), shape(("wave", "spectrum")))
        for names in (SITES_10_20, SITES[:70], ("Cz",))
    ]
    batch = collate(rows)
    assert batch.lengths.tolist() == [19 * 11, 70 * 11, 11]
    assert [len(signals(batch)[i]) for i in range(3)] == [19, 70, 1]


def test_tokens_of_nineteen_channels_are_few():
    tokens = make_tokens(noise(19), places(), ElectrodeLayout(), shape())
    assert (tokens.n_patches, tokens.spec.patch_shape) == (190, (1, 50))
    assert tokens.spec.axes == ("time_s", "x", "y", "z")
    torch.testing.assert_close(tokens.coords[0, :10, 0], torch.arange(10) * 0.5 + 0.25)
    torch.testing.assert_close(tokens.coords[0, :, 1:].norm(dim=-1), torch.ones(190), atol=1e-3, rtol=0)


def test_a_place_without_a_name_is_a_place():
    where = np.array([[0.6, 0.0, 0.8]])
    tokens = make_tokens(noise(1), where, ElectrodeLayout(), shape())
    torch.testing.assert_close(tokens.coords[0, 0, 1:], torch.tensor([0.6, 0.0, 0.8]))


def test_a_stretch_of_which_less_than_half_was_recorded_is_no_token():
    x = noise(1, 200)
    x[0, :20], x[0, 50:80], x[0, 100:150] = np.nan, np.nan, np.nan
    assert make_tokens(x, places(["Cz"]), ElectrodeLayout(), shape()).valid[0].tolist() == [True, False, False, True]


# ---- neighbourhoods -----------------------------------------------------------------------------------------------


@quick
@given(montage=MONTAGES, size=st.integers(1, 6), turned=st.randoms(use_true_random=False))
def test_every_electrode_is_in_one_neighbourhood(montage, size, turned):
    groups = neighbourhoods(places(montage), size)
    assert sorted(np.concatenate(groups)) == list(range(len(montage)))
    assert len(groups) == -(-len(montage) // size)
    assert max(map(len, groups)) <= size
    order = list(range(len(montage)))
    turned.shuffle(order)
    again = neighbourhoods(places([montage[i] for i in order]), size)
    assert [[order[i] for i in group] for group in again] == [group.tolist() for group in groups]


def test_neighbourhoods_are_closer_than_list_order():
    # the order of the files of eegmat
    names = "Fp1 Fp2 F3 F4 F7 F8 T7 T8 C3 C4 P7 P8 P3 P4 O1 O2 Fz Cz Pz"
    x = places(names.split())
    spread = sum(pdist(x[g]).sum() for g in neighbourhoods(x, 4))
    listed = sum(pdist(x[i : i + 4]).sum() for i in range(0, 19, 4))
    assert spread < 0.75 * listed


@quick
@given(montage=MONTAGES)
def test_every_electrode_is_in_the_nearest_slot_of_a_tubelet(montage):
    x = noise(len(montage), 50)
    tokens = make_tokens(x, places(montage), LAYOUTS["tubelet"], shape())
    assert tokens.n_patches == 5
    sites = nearest(places(montage), places())
    content = tokens.values.view(-1, 50).numpy()
    for i in np.unique(sites):
        mean = x[sites == i].mean(axis=0)
        assert np.isclose(content, mean, atol=1e-5).all(axis=1).sum() == 1
    assert np.isfinite(content).all(axis=1).sum() == len(np.unique(sites))


def test_numbers_of_places_tell_sites_apart():
    near = cdist(places(SITES), places(SITES)) + np.eye(len(SITES))
    numbers = place_number(places(SITES))
    assert len(np.unique(numbers)) >= len(SITES) - (near < 0.02).any(axis=1).sum()
    assert len(np.unique(place_number(places()))) == 19


def test_two_electrodes_at_one_place_are_refused():
    with pytest.raises(InputError, match="one place"):
        neighbourhoods(places(["Cz", "Cz"]), 2)


# ---- spectra ------------------------------------------------------------------------------------------------------


def test_bands_are_those_of_welch():
    x = noise(3)
    frequency, density = welch(x.astype(float), RATE_HZ, nperseg=200, detrend="constant")
    for band, (low, high) in enumerate(pairwise(FINE_EDGES_HZ)):
        inside = (frequency >= low) & (frequency < high)
        expected = np.log((density * frequency)[:, inside].mean(axis=1) + 1e-6)
        np.testing.assert_allclose(log_bands(x, RATE_HZ)[:, band], expected, atol=1e-3)


def test_a_rhythm_stands_in_its_band_and_a_gain_is_a_sum():
    t = np.arange(500) / RATE_HZ
    x = np.sin(2 * np.pi * 10.5 * t)[None] + 0.1 * noise(1)
    bands = log_bands(x, RATE_HZ)[0]
    assert bands.argmax() == 9
    np.testing.assert_allclose(log_bands(3 * x, RATE_HZ)[0] - bands, 2 * np.log(3), atol=1e-2)


def test_noise_of_one_over_the_frequency_is_level():
    rng, n = np.random.default_rng(0), 100_000
    frequency = np.fft.rfftfreq(n, 1 / RATE_HZ)
    pink = np.fft.irfft(np.fft.rfft(rng.normal(size=n)) * np.maximum(frequency, 0.1) ** -0.5, n)
    bands = log_bands(pink[None], RATE_HZ)[0]
    assert np.ptp(bands) < 0.3


def test_a_gap_costs_its_own_seconds():
    x = noise(2)
    x[0, 210:260] = np.nan
    x[1] = np.nan
    bands = log_bands(x, RATE_HZ)
    assert np.isfinite(bands[0]).all()
    np.testing.assert_allclose(
        bands[0], log_bands(x[:1, :200], RATE_HZ)[0] / 2 + log_bands(x[:1, 300:], RATE_HZ)[0] / 2, atol=1.0
    )
    assert np.isnan(bands[1]).all()


def test_bands_above_half_the_rate_are_missing():
    bands = log_bands(noise(1, 200), 50.0)
    assert np.isfinite(bands[0, : FINE_EDGES_HZ.index(25.0)]).all()
    assert np.isnan(bands[0, FINE_EDGES_HZ.index(25.0) :]).all()


def test_band_groups_are_places_of_their_own():
    tokens = make_tokens(noise(2), places(["Cz", "Oz"]), ElectrodeLayout(), shape(("spectrum",), groups=4))
    assert (tokens.n_patches, tokens.spec.patch_shape) == (8, (1, 8))
    octave = tokens.coords[0, :4, 4]
    assert (octave.diff() > 0).all()
    assert octave[0] == pytest.approx(np.log2(band_centres()[:8]).mean(), abs=1e-5)


def test_spectra_alone_are_no_signal():
    tokens = make_tokens(noise(2), places(["Cz", "Oz"]), ElectrodeLayout(), shape(("spectrum",)))
    with pytest.raises(InputError, match="spectra alone"):
        signals(tokens)


# ---- covariances --------------------------------------------------------------------------------------------------


def with_sites(contents=("covariance",)):
    return replace(shape(contents), sites=tuple(map(tuple, places().tolist())))


def test_rows_of_the_log_covariance_are_those_of_the_hand_features():
    x = noise(19)
    tokens = make_tokens(x, places(), ElectrodeLayout(), with_sites())
    assert (tokens.n_patches, tokens.spec.patch_shape) == (19, (1, 6 * 19))
    upper, across = np.triu_indices(19)
    triangles = log_covariance(x, RATE_HZ).reshape(6, -1)
    background = np.log(LEVEL * np.log([4, 2, 13 / 8, 20 / 13, 1.5, 4 / 3]))
    cz = SITES_10_20.index("Cz")
    row = tokens.values[0, (tokens.group[0] == place_number(places(["Cz"]))[0]).nonzero()[0, 0]].view(6, 19).numpy()
    for entry in np.flatnonzero((upper == cz) | (across == cz)):
        other = across[entry] if upper[entry] == cz else upper[entry]
        scale = 1.0 if other == cz else np.sqrt(2)
        level = background if other == cz else 0.0
        np.testing.assert_allclose((row[:, other] / STRETCH + level) * scale, triangles[:, entry], atol=1e-4)


def test_a_profile_is_a_spectrum_and_a_row_of_the_covariance():
    x = noise(19)
    made = {
        kind: make_tokens(x, places(), ElectrodeLayout(), with_sites((kind,))).values
        for kind in ("spectrum", "covariance", "profile")
    }
    torch.testing.assert_close(made["profile"], torch.cat([made["spectrum"], made["covariance"]], dim=-1))
    assert made["profile"].shape == (1, 19, 32 + 6 * 19)


@pytest.mark.parametrize("kind", ["spectrum", "covariance", "profile"])
def test_a_baseline_is_taken_off_and_an_unknown_channel_is_missing(kind):
    x, shapes = noise(19), with_sites((kind,))
    plain = make_tokens(x, places(), ElectrodeLayout(), shapes)
    content = described(kind, x, places(), shapes)
    off = content.mean(axis=1)
    off[3] = np.nan
    tokens = make_tokens(x, places(), ElectrodeLayout(), shapes, {kind: off})
    lost = tokens.group[0] == place_number(places()[3:4])[0]
    assert not tokens.valid[0, lost].any()
    assert tokens.valid[0, ~lost].all()
    assert tokens.values[0, ~lost].abs().max() < 1e-4 < plain.values.abs().max()


@pytest.mark.parametrize("content", ["covariance", "profile"])
def test_a_recording_shorter_than_a_stretch_is_summed_up_as_it_is(content):
    """Three of five seconds, as of the last trial; less than half of a stretch is no token."""
    own = replace(shape((content,)), sites=tuple(map(tuple, places().tolist())))
    x = noise(19, 300)
    tokens = make_tokens(x, places(), LAYOUTS["electrode"], own)
    assert tokens.valid.all()
    alone = make_tokens(x, places(), LAYOUTS["electrode"], replace(own, spectrum_s=3.0))
    torch.testing.assert_close(tokens.values, alone.values)
    assert not make_tokens(x[:, :200], places(), LAYOUTS["electrode"], own).valid.any()


def test_the_order_of_channels_changes_no_covariance():
    x, order = noise(19), np.random.default_rng(1).permutation(19)
    a, b = (make_tokens(x[i], places()[i], ElectrodeLayout(), with_sites()) for i in (np.arange(19), order))
    torch.testing.assert_close(a.values, b.values, atol=1e-5, rtol=1e-5)


def test_an_electrode_away_from_all_sites_has_no_covariance_and_a_missing_site_is_nan():
    names = ("Cz", "C3", "CP1", "O1")
    tokens = make_tokens(noise(4), places(names), ElectrodeLayout(), with_sites())
    assert tokens.valid.sum() == 3
    there = torch.isfinite(tokens.values[0, tokens.valid[0]].view(3, 6, 19)).all(dim=1)
    assert [[SITES_10_20[i] for i in row.nonzero().flatten()] for row in there] == [["C3", "Cz", "O1"]] * 3


# ---- the published grid -------------------------------------------------------------------------------------------


def test_the_grid_has_the_published_tokens_and_losses():
    grid = Grid(SITES_10_20, (4, 4, 30), 5.0, 7.5, RATE_HZ)
    x = noise(19, 23_750)
    tokens = grid.tokens(x, SITES_10_20)
    assert (tokens.n_patches, tokens.spec.patch_shape) == (512, (4, 4, 30))
    first = tokens.values[0, 0].view(4, 4, 30).numpy()
    np.testing.assert_array_equal(first[1], x[:4, 750:780])
    changed = x.copy()
    changed[16:] = 0
    assert same(tokens, grid.tokens(changed, SITES_10_20))


def test_a_channel_that_the_grid_misses_is_nan():
    grid = Grid(SITES_10_20, (1, 4, 30), 5.0, 5.0, RATE_HZ)
    tokens = grid.tokens(noise(18), SITES_10_20[1:])
    assert tokens.values[0, 0].view(4, 30).isnan().all(dim=1).tolist() == [True, False, False, False]


def test_a_grid_that_does_not_fit_is_one_sentence():
    with pytest.raises(InputError, match=r"does not fit a clip, got \(4, 30, 30\), expected up to 19 channels"):
        Grid(SITES_10_20, (4, 30, 30), 5.0, 7.5, RATE_HZ)
