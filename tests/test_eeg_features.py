"""Hand features of EEG: what they are equal to, what they do not depend on, what is missing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from omnipatch.core.errors import InputError
from omnipatch.modalities.eeg.features import (
    BAND_EDGES_HZ,
    FEATURE_SETS,
    at_sites,
    hand_features,
    log_covariance,
)  # fmt: skip
from omnipatch.modalities.eeg.spectral import FINE_EDGES_HZ, log_bands
from scipy.linalg import logm

RATE_HZ = 100.0
SITES = ("Fp1", "C3", "Cz", "O2")
TRIANGLE = len(SITES) * (len(SITES) + 1) // 2


def _windows(count=3, channels=4, samples=500, seed=0):
    return np.random.default_rng(seed).standard_normal((count, channels, samples))


def _features(x, sets=FEATURE_SETS, sensors=SITES):
    return hand_features(x, sensors, RATE_HZ, sets, SITES)


def _matrices(flat):
    """[window, band, site, site] from upper triangles."""
    upper, across = np.triu_indices(len(SITES))
    flat = flat.reshape(-1, len(BAND_EDGES_HZ) - 1, TRIANGLE) / np.where(upper == across, 1, np.sqrt(2))
    full = np.zeros((*flat.shape[:2], len(SITES), len(SITES)))
    full[..., upper, across] = full[..., across, upper] = flat
    return full


def test_sets_stand_side_by_side():
    x = _windows()
    widths = [len(SITES) * 6, len(SITES) * (len(FINE_EDGES_HZ) - 1), 6 * TRIANGLE]
    parts = [_features(x, (name,)) for name in FEATURE_SETS]
    assert [p.shape for p in parts] == [(3, width) for width in widths]
    np.testing.assert_array_equal(_features(x), np.concatenate(parts, axis=1))
    assert _features(x).dtype == np.float32
    np.testing.assert_array_equal(parts[0].reshape(3, 4, 6), log_bands(x, RATE_HZ, BAND_EDGES_HZ))


def test_windows_are_on_their_own():
    x = _windows()
    np.testing.assert_allclose(_features(x), np.stack([_features(w) for w in x]), rtol=1e-5, atol=1e-6)


def test_names_place_the_channels_not_their_order():
    x = _windows()
    order = [2, 0, 3, 1]
    shuffled = _features(x[:, order], sensors=[SITES[i] for i in order])
    np.testing.assert_allclose(shuffled, _features(x), rtol=1e-5, atol=1e-6)
    more = _features(np.concatenate([x, x[:, :1]], axis=1), sensors=(*SITES, "A2-A1"))
    np.testing.assert_array_equal(more, _features(x))


def test_the_logarithm_is_that_of_the_covariance():
    """A wide band of long white noise: log-covariance is the logarithm of the mixing, band by band."""
    mixing = np.array([[2, 0, 0, 0], [1, 1, 0, 0], [0, 0.5, 3, 0], [0.2, 0, 0, 1]])
    x = (mixing @ np.random.default_rng(1).standard_normal((4, 400_000)))[None]
    found = _matrices(log_covariance(x, RATE_HZ, shrink=1e-9))[0]
    for band, (low, high) in enumerate(pairwise(BAND_EDGES_HZ)):
        share = (high - low) / (RATE_HZ / 2)  # of the power of white noise
        np.testing.assert_allclose(found[band], logm(mixing @ mixing.T * share), atol=0.05)


def test_twice_the_amplitude_moves_the_diagonal_only():
    x = _windows()
    one, two = (_matrices(log_covariance(k * x, RATE_HZ)) for k in (1.0, 2.0))
    np.testing.assert_allclose(two - one, np.broadcast_to(np.log(4) * np.eye(4), one.shape), atol=1e-3)


def test_distances_are_those_of_the_matrices():
    flat = log_covariance(_windows(2), RATE_HZ)
    full = _matrices(flat)
    assert np.linalg.norm(flat[0] - flat[1]) == pytest.approx(np.linalg.norm(full[0] - full[1]), rel=1e-5)


def test_a_missing_site_is_missing_in_what_it_is_part_of_and_nowhere_else():
    x = _windows()
    holed = x.copy()
    holed[1, 2] = np.nan
    whole, found = _features(x), _features(holed)
    np.testing.assert_allclose(found[[0, 2]], whole[[0, 2]], rtol=1e-5, atol=1e-6)
    bands = found[1, : 4 * 6].reshape(4, 6)
    assert np.isnan(bands[2]).all()
    np.testing.assert_array_equal(bands[[0, 1, 3]], whole[1, : 4 * 6].reshape(4, 6)[[0, 1, 3]])
    logs = _matrices(found[1, -6 * TRIANGLE :])[0]
    others = [0, 1, 3]
    assert np.isnan(logs[:, 2]).all()
    assert np.isfinite(logs[np.ix_(range(6), others, others)]).all()
    fewer = _features(x[:, others], sensors=[SITES[i] for i in others])
    np.testing.assert_allclose(found[1], fewer[1], rtol=1e-5, atol=1e-6)


def test_a_gap_costs_its_segments_not_the_site():
    x = _windows()
    holed = x.copy()
    holed[0, 1, :90] = np.nan
    assert np.isfinite(_features(holed)).all()


def test_flat_and_tiny_windows_are_finite_or_missing_never_infinite():
    assert np.isfinite(_features(np.zeros((1, 4, 500)))).all()
    assert not np.isinf(_features(_windows(samples=3))).any()
    assert np.isnan(_features(np.full((1, 4, 500), np.nan))).all()
    assert _features(_windows(count=0)).shape[0] == 0


def test_copies_of_one_channel_do_not_break_it():
    x = np.repeat(_windows(channels=1), 4, axis=1)
    assert np.isfinite(log_covariance(x, RATE_HZ)).all()


def test_an_unknown_set_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'fine-bands'"):
        _features(_windows(), ("fine_bands",))


def test_sites_that_were_not_recorded_are_missing():
    x = at_sites(_windows(), SITES, ("Cz", "Pz"))
    assert np.isnan(x[:, 1]).all()
    np.testing.assert_array_equal(x[:, 0], _windows()[:, 2])
