"""Preprocessing by measured numbers: what is removed, what stays, what is missing stays missing."""

from __future__ import annotations

import numpy as np
import pytest
from ecg_kit import adapter, patient, with_signals
from omnipatch.core.errors import InputError
from omnipatch.core.signals import fill_gaps, resample
from omnipatch.modalities.ecg.filters import band_pass, preprocess, segment_range
from scipy.signal import resample as resample_fourier

DURATION_S = 30


def _preprocess(x, sfreq_hz, **settings):
    return preprocess(x, sfreq_hz, 120.0, 0.5, 40.0, **settings)


def _gain_db(frequency_hz, low_hz=0.5, high_hz=40.0, powerline_hz=None, sfreq_hz=360.0):
    """Level of a sine behind the filter, away from the ends."""
    x = np.sin(2 * np.pi * frequency_hz * np.arange(round(DURATION_S * sfreq_hz)) / sfreq_hz)
    inside = slice(round(5 * sfreq_hz), -round(5 * sfreq_hz))
    y = band_pass(x[None], sfreq_hz, low_hz, high_hz, powerline_hz)[0]
    return 20 * np.log10(y[inside].std() / x[inside].std())


@pytest.mark.parametrize(("frequency_hz", "at_most_db"), [(0.05, -60), (0.1, -50), (0.2, -30), (0.3, -18)])
def test_baseline_wander_is_removed(frequency_hz, at_most_db):
    assert _gain_db(frequency_hz) < at_most_db


@pytest.mark.parametrize("frequency_hz", [2.0, 5.0, 10.0, 20.0])
def test_the_heart_is_kept(frequency_hz):
    assert abs(_gain_db(frequency_hz)) < 0.6


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_a_notch_removes_the_mains_from_a_wide_band_and_little_else(mains_hz):
    assert _gain_db(mains_hz, high_hz=100.0, powerline_hz=mains_hz) < -60
    assert _gain_db(mains_hz - 5, high_hz=100.0, powerline_hz=mains_hz) > -2
    assert _gain_db(mains_hz, high_hz=100.0) > -2


def test_the_default_band_weakens_the_mains():
    assert _gain_db(50.0) < -10
    assert _gain_db(60.0) < -15


def test_a_slow_recording_keeps_the_band_it_has():
    x = np.sin(2 * np.pi * 5 * np.arange(300) / 60.0)
    y = band_pass(x[None], 60.0, 0.5, 40.0, 50.0)
    assert np.isfinite(y).all()
    assert y[0, 60:-60].std() == pytest.approx(x[60:-60].std(), rel=0.05)


def test_filters_do_not_move_a_beat():
    at_s = np.arange(0.5, 29.5, 1.0)
    time = np.arange(DURATION_S * 360) / 360.0
    x = np.exp(-0.5 * ((time[:, None] - at_s) / 0.015) ** 2).sum(axis=1) + 0.3 * np.sin(time / 3)
    y = _preprocess(x[None], 360.0)[0]
    found = [np.argmax(y[round(120 * (at - 0.4)) : round(120 * (at + 0.4))]) / 120 + at - 0.4 for at in at_s]
    np.testing.assert_allclose(found, at_s, atol=1e-6)


@pytest.mark.parametrize("sfreq_hz", [100, 128, 200, 250, 257, 360, 500, 1000])
def test_the_rate_of_the_recorder_does_not_matter(sfreq_hz):
    fine = patient(0, duration_s=DURATION_S, sfreq_hz=1000.0)
    reference = _preprocess(fine.signals, 1000.0)
    coarse = resample_fourier(fine.signals.astype(float), DURATION_S * sfreq_hz, axis=1)
    same = _preprocess(coarse, float(sfreq_hz))
    assert same.shape == reference.shape
    inside = slice(120, -120)
    assert np.abs(same - reference)[:, inside].max() < 0.04  # beat heights
    assert np.corrcoef(same[0, inside], reference[0, inside])[0, 1] > 0.999


def test_resampling_folds_nothing_back():
    x = np.sin(2 * np.pi * 100 * np.arange(3600) / 360.0)
    assert np.abs(resample(x[None], 360.0, 120.0)[0, 60:-60]).max() < 0.02


def test_resampling_to_the_same_rate_changes_nothing():
    x = np.ones((1, 10))
    assert resample(x, 360.0, 360.0) is x


def test_an_absurd_rate_is_refused():
    with pytest.raises(InputError, match="sampling rate too high"):
        resample(np.ones((1, 100)), 1e7, 1.0)


# ---- scale --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gain", [1e-2, 0.1, 10.0, 1e3])
def test_leads_come_in_beat_heights_whatever_their_gain(gain):
    x = patient(1, duration_s=DURATION_S).signals
    np.testing.assert_allclose(_preprocess(x * gain, 250.0), _preprocess(x, 250.0), atol=2e-3)


def test_an_offset_does_not_matter():
    x = patient(1, duration_s=DURATION_S).signals
    np.testing.assert_allclose(_preprocess(x + 500.0, 250.0), _preprocess(x, 250.0), atol=2e-3)


@pytest.mark.parametrize("spike_mv", [50.0, -50.0, 5000.0])
def test_one_spike_spoils_a_second_and_not_the_lead(spike_mv):
    x = patient(1, duration_s=DURATION_S).signals
    spiked = x.copy()
    spiked[0, 15 * 250] += spike_mv
    change = np.abs(_preprocess(spiked, 250.0) - _preprocess(x, 250.0))
    far = np.abs(np.arange(change.shape[1]) / 120 - 15.0) > (1.0 if abs(spike_mv) < 100 else 4.0)
    assert change[0, far].max() < 0.05
    assert change[1].max() == 0.0
    # normalised by its standard deviation the lead would have shrunk several times
    assert np.std(spiked[0]) > 2 * np.std(x[0])


def test_values_are_bounded():
    x = patient(1, duration_s=DURATION_S).signals.copy()
    x[0, 1000:1100] = 1e6
    assert np.nanmax(np.abs(_preprocess(x, 250.0))) <= 4.0


def test_the_range_of_segments_is_the_height_of_a_beat():
    x = np.zeros((1, 1000))
    x[0, 50::100] = 1.5
    x[0, 333] = 80.0
    assert segment_range(x, 100.0)[0] == pytest.approx(1.5)


# ---- missing ------------------------------------------------------------------------------------------------------


def test_gaps_are_bridged_for_the_filter_and_missing_again_behind_it():
    x = patient(1, duration_s=DURATION_S).signals.copy()
    x[0, 1000:1250] = np.nan
    y = _preprocess(x, 250.0)
    missing = np.isnan(y)
    assert abs(int(missing[0].sum()) - 120) <= 1
    assert missing[0, 485:595].all()
    assert not missing[1].any()


def test_filling_leaves_the_input_alone():
    x = np.array([[1.0, np.nan, 3.0], [np.nan] * 3])
    before = x.copy()
    filled, gaps = fill_gaps(x)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(filled, [[1, 2, 3], [0, 0, 0]])
    assert gaps.sum() == 4


def _spoil(kind: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = patient(1, duration_s=DURATION_S).signals.copy()
    if kind == "nan":
        x[0] = np.nan
    elif kind == "inf":
        x[0] = np.inf
    elif kind == "zero":
        x[0] = 0.0
    elif kind == "constant":
        x[0] = -2.7
    elif kind == "below a microvolt":
        x[0] = 1e-5 * rng.normal(size=x.shape[1])
    return x


@pytest.mark.parametrize("kind", ["nan", "inf", "zero", "constant", "below a microvolt"])
@pytest.mark.parametrize("tokens", ["joint", "lead"])
def test_a_dead_lead_is_invalid_never_zero_and_reported(kind, tokens):
    recording = with_signals(patient(1, duration_s=DURATION_S), _spoil(kind))
    ecg = adapter(tokens=tokens, leads=("II", "V1"))
    assert list(ecg.quality(recording)) == ["II"]
    for window in ecg.windows(recording):
        assert np.isnan(window.values[0]).all()
        assert np.isfinite(window.values[1]).all()
        patches = ecg.patchify(window)
        values = patches.values.reshape(patches.flat_value_shape())
        if tokens == "joint":
            assert patches.valid.all()
            assert values[:, :, 0].isnan().all()
            assert values[:, :, 1].isfinite().all()
        else:
            assert not patches.valid[patches.group == 1].any()
            assert patches.valid[patches.group == 6].all()


def test_nothing_but_dead_leads_is_no_valid_patch():
    recording = with_signals(patient(1), np.zeros_like(patient(1).signals))
    for tokens in ("joint", "lead"):
        ecg = adapter(tokens=tokens)
        assert not ecg.patchify(ecg.windows(recording)[0]).valid.any()
