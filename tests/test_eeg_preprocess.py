"""Preprocessing of EEG: events stay where they are, the class stays in the data, what is missing stays missing."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from eeg_files_kit import CAP, head
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.errors import InputError
from omnipatch.core.signals import resample
from omnipatch.modalities.eeg.artefacts import bad_stretches, channel_quality
from omnipatch.modalities.eeg.filters import band_pass
from omnipatch.modalities.eeg.preprocess import PreprocessConfig, preprocess, rereference, robust_spread

NAMES = ("Fp1", "C3", "Cz", "O2")


def _head(duration_s=10.0, sfreq_hz=200.0, seed=0):
    return np.stack(list(head(NAMES, duration_s, sfreq_hz, seed).values()))


def _sine(frequency_hz, sfreq_hz=200.0, duration_s=20.0):
    return 20 * np.sin(2 * np.pi * frequency_hz * np.arange(round(duration_s * sfreq_hz)) / sfreq_hz)[None]


def _run(x, sfreq_hz=200.0, spread=None, names=None, **settings):
    return preprocess(x, sfreq_hz, PreprocessConfig(**settings), names or NAMES[: len(x)], spread)


@pytest.mark.parametrize("from_hz", [128.0, 200.0, 250.0, 256.0, 500.0, 512.0, 1000.0, 2048.0])
def test_an_impulse_stays_where_it_is(from_hz):
    """The centre of a click at 5 s is at 5 s at any rate, to a hundredth of a sample."""
    x = np.zeros((1, round(10 * from_hz)))
    x[0, round(5 * from_hz)] = 1000.0
    y = np.abs(resample(band_pass(x, from_hz, 0.5, 40.0), from_hz, 100.0))[0]
    assert y.argmax() == 500
    around = y[495:506]
    assert (around * np.arange(-5, 6)).sum() / around.sum() == pytest.approx(0, abs=0.01)


def test_resampling_agrees_with_exact_samples():
    t = np.arange(5000) / 500
    x = sum(np.sin(2 * np.pi * f * t + f) for f in (3.0, 11.0, 27.0))[None]
    exact = sum(np.sin(2 * np.pi * f * np.arange(2000) / 200 + f) for f in (3.0, 11.0, 27.0))
    got = resample(x, 500.0, 200.0)[0]
    assert np.corrcoef(got[100:-100], exact[100:-100])[0, 1] > 0.999999


@pytest.mark.parametrize(
    ("frequency_hz", "low", "high"),
    [(0.1, 0, 0.01), (2, 0.97, 1.01), (10, 0.99, 1.01), (30, 0.95, 1.01), (65, 0, 0.05)],
)
def test_the_band_passes_and_the_rest_does_not(frequency_hz, low, high):
    x = _sine(frequency_hz)
    y = band_pass(x, 200.0, 0.5, 45.0)[:, 1000:-1000]
    assert low <= np.abs(y).max() / 20 <= high


def test_the_notch_takes_mains_and_leaves_its_neighbours():
    hum, near = (band_pass(_sine(f), 200.0, 0.5, 90.0, 50.0)[:, 1000:-1000] for f in (50, 44))
    assert np.abs(hum).max() < 0.2
    assert np.abs(near).max() > 0.9 * 20


def test_a_slow_recording_keeps_what_it_has():
    assert np.isfinite(band_pass(_sine(10, 64.0), 64.0, 0.5, 45.0)).all()
    assert _run(_sine(10, 64.0), 64.0).shape == (1, 2000)


@given(st.sampled_from([100.0, 128.0, 250.0, 500.0]), st.floats(0.3, 6.0))
@settings(deadline=None, max_examples=20)
def test_any_length_and_rate_gives_its_samples(sfreq_hz, duration_s):
    x = _head(duration_s, sfreq_hz)
    y = _run(x, sfreq_hz)
    assert y.dtype == np.float32
    assert y.shape == (4, pytest.approx(x.shape[1] * 100 / sfreq_hz, abs=1))
    assert np.isfinite(y).all()


def test_a_day_of_recording_is_never_copied_in_double_precision():
    """Filters and quality hold a channel at a time; a day of 32 channels would be tens of gigabytes."""
    names = CAP[:16]
    x = np.stack(list(head(names, 20.0, 1000.0).values())).astype(np.float32)
    for work in (lambda: preprocess(x, 1000.0, PreprocessConfig(), names), lambda: channel_quality(x, names, 1000.0)):
        work()
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8 * x.size


def test_the_input_is_not_touched():
    x = _head()
    before = x.copy()
    for reference in ("none", "average", "Cz"):
        _run(x, reference=reference)
        np.testing.assert_array_equal(x, before)


def test_gaps_are_gaps_afterwards_and_do_not_spread():
    x = _head()
    holed = x.copy()
    holed[1, 400:600] = np.nan
    y, whole = _run(holed), _run(x)
    missing = np.isnan(y)
    assert missing[1, 200:300].all()
    assert missing.sum() == 100
    np.testing.assert_array_equal(y[0], whole[0])
    np.testing.assert_allclose(y[1, 400:], whole[1, 400:], atol=0.1)


def test_a_channel_that_is_missing_stays_missing():
    x = _head()
    x[2] = np.nan
    y = _run(x, reference="average")
    assert np.isnan(y[2]).all()
    assert np.isfinite(y[[0, 1, 3]]).all()


def test_the_average_reference_sums_to_nothing_and_ignores_artefacts():
    x = _head()
    x[0, 800:1000] += 5000 * np.sin(np.arange(200) / 3)
    y = _run(x, reference="average", clip=0)
    assert np.isnan(y[0, 410:490]).all()
    np.testing.assert_allclose(np.nansum(y, axis=0), 0, atol=1e-4)
    assert np.nanmax(np.abs(y[1:])) < 10


def test_a_channel_as_reference():
    x = _head()
    np.testing.assert_allclose(rereference(x, NAMES, "Cz"), x - x[2])
    np.testing.assert_allclose(rereference(x, NAMES, "none"), x)
    with pytest.raises(InputError, match=r"not recorded.*Pz.*Fp1, C3, Cz, O2"):
        rereference(x, NAMES, "Pz")


def test_bipolar_channels_keep_their_own_reference():
    x = _head()
    y = rereference(x, ("Fp1-F7", "C3", "Cz", "O2"), "average")
    np.testing.assert_array_equal(y[0], x[0])
    np.testing.assert_allclose(y[1:].sum(axis=0), 0, atol=1e-9)


def test_the_default_keeps_a_class_that_is_a_recording():
    """Rest in one file, task in another at half the size: a scale per recording erases it, the default does not."""
    rest, task = _head(seed=1), 0.5 * _head(seed=2)
    ratio = [float(np.std(_run(rest, scaling=s)) / np.std(_run(task, scaling=s))) for s in ("fixed", "recording")]
    assert ratio[0] == pytest.approx(2, rel=0.05)
    assert ratio[1] == pytest.approx(1, rel=0.05)
    assert PreprocessConfig().scaling == "fixed"
    np.testing.assert_array_equal(_run(rest), _run(rest, unit_uv=20) * 2)


def test_the_spread_of_a_baseline_is_given_or_asked_for():
    rest, task = _head(seed=1), 0.5 * _head(seed=2)
    spread = robust_spread(np.concatenate([rest, task], axis=1))
    scaled = [np.std(_run(x, scaling="baseline", spread=spread)) for x in (rest, task)]
    assert scaled[0] / scaled[1] == pytest.approx(2, rel=0.05)
    with pytest.raises(InputError, match="spread of the baseline"):
        _run(rest, scaling="baseline")


def test_the_spread_is_robust():
    rng = np.random.default_rng(0)
    x = 7 * rng.standard_normal((2, 20_000))
    x[0, :200] = 1e6
    x[1, ::3] = np.nan
    np.testing.assert_allclose(robust_spread(x), 7, rtol=0.05)
    assert (robust_spread(np.full((3, 10), np.nan)) == 1).all()


def test_values_are_clipped_only_when_asked():
    x = _head()
    assert np.nanmax(np.abs(_run(x, clip=1.0))) == 1.0
    assert np.nanmax(np.abs(_run(x, clip=0.0))) > 1.0


def test_artefacts_are_judged_per_channel_and_stretch():
    x = _head()
    x[0, 250:260] += 2000
    x[1, 600:] = 3.0
    bad = bad_stretches(x, 200.0, reject_uv=500.0, flat_uv=0.1)
    expected = np.zeros(x.shape, bool)
    expected[0, 200:400] = expected[1, 600:] = True
    np.testing.assert_array_equal(bad, expected)
    assert not bad_stretches(x, 200.0, 0.0, 0.0).any()


@given(st.integers(0, 50), st.floats(0.01, 3.0))
def test_stretches_cover_any_length(samples, stretch_s):
    bad = bad_stretches(np.zeros((2, samples)), 10.0, 0.0, 0.1, stretch_s)
    assert bad.shape == (2, samples)
    assert bad.all()


def test_a_flat_channel_becomes_missing_never_zero():
    x = _head()
    x[3] = 12.0
    assert np.isnan(_run(x)[3]).all()


def test_quality_names_the_channels_that_cannot_be_right():
    x = np.stack(list(head(CAP[:6], 10.0, 200.0).values()))
    x[1], x[2, ::4], x[3], x[4] = 5.0, np.nan, x[3] * 1e6, x[4] * 1e-6
    x[5] = np.nan
    found = channel_quality(x, CAP[:6], 200.0)
    assert found.keys() == set(CAP[1:6])
    assert found[CAP[1]] == "flat"
    assert "flat, or in another unit: typical range of 6.9e-05" in found[CAP[4]]
    assert "25 % of the samples" in found[CAP[2]]
    assert "wrong unit" in found[CAP[3]]
    assert found[CAP[5]] == "no finite sample"


def test_quality_tells_a_clipped_channel_from_one_of_few_levels():
    x = 3 * np.stack(list(head(CAP[:3], 10.0, 200.0).values()))
    x[1] = x[1].clip(-50, 50)
    x[2] = x[2].round(0)  # a recorder of one microvolt
    found = channel_quality(x, CAP[:3], 200.0)
    assert found.keys() == {CAP[1]}
    assert "clipped" in found[CAP[1]]


@pytest.mark.parametrize(
    "bad",
    [
        {"sfreq_hz": 0}, {"highpass_hz": 50.0}, {"notch_hz": 1.0}, {"reference": "nowhere"}, {"clip": -1.0},
        {"unit_uv": 0.0}, {"reject_uv": -1.0},
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_be_is_refused(bad):
    with pytest.raises(InputError, match="modality"):
        PreprocessConfig(**bad)
