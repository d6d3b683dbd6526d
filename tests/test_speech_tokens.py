"""Tokens of sound: rates, missing numbers and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.batching import pad
from omnipatch.core.errors import InputError
from omnipatch.modalities.speech.tokens import frames_of, make_tokens, spectra, token_spec

SPEC = token_spec(bands=40, frames=4, hop_s=0.01)


def noise(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(40, frames)).astype(np.float32)


@pytest.mark.parametrize(("token_hz", "frames"), [(50, 2), (25, 4), (12.5, 8), (6.25, 16), (100, 1)])
def test_rates_of_the_field(token_hz, frames):
    assert frames_of(token_hz, 0.01) == frames


@pytest.mark.parametrize("token_hz", [30.0, 1000.0, 0.0])
def test_a_rate_that_no_frames_give(token_hz):
    with pytest.raises(InputError, match=r"modality\.token_hz.*expected 100, 50, 25, 12\.5, 6\.25"):
        frames_of(token_hz, 0.01)


def test_a_token_is_its_stretch_of_every_band():
    x = noise(12)
    row = make_tokens(x, SPEC)
    assert row.n_patches == 3
    np.testing.assert_allclose(row.coords[0, :, 0], [0.02, 0.06, 0.10], atol=1e-6)
    np.testing.assert_array_equal(row.values[0, 1].reshape(40, 4), x[:, 4:8])


@given(st.integers(2, 60), st.floats(0, 0.6), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_way_back(frames, lost, seed):
    x = noise(frames, seed)
    x[np.random.default_rng(seed).random(x.shape) < lost] = np.nan
    row = make_tokens(x, SPEC)
    (back,) = spectra(pad(row, row.n_patches + 3))
    assert back.shape == (40, 4 * row.n_patches)
    kept = np.repeat(row.valid[0].numpy(), 4)[:frames]
    np.testing.assert_array_equal(back[:, :frames][:, kept], x[:, kept])
    assert np.isnan(back[:, frames:]).all()


def test_less_than_half_a_token_is_invalid():
    x = noise(16)
    x[:, 5:8] = np.nan
    x[:, 9:11] = np.nan
    assert make_tokens(x, SPEC).valid[0].tolist() == [True, False, True, True]
    assert make_tokens(noise(5), SPEC).valid[0].tolist() == [True, False]


def test_another_number_of_bands_is_refused():
    with pytest.raises(InputError, match="got 39, expected 40"):
        make_tokens(noise(8)[:39], SPEC)
