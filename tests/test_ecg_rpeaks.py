"""R peaks: found in any leads, polarity, rate and length; the same alone, in a batch and with padding."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from ecg_kit import STANDARD_LEADS, patient, with_signals
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.errors import InputError
from omnipatch.core.modality import Recording
from omnipatch.modalities.ecg.reading import read_wfdb
from omnipatch.modalities.ecg.rpeaks import detect_r_peaks, detected_beats, r_peaks
from omnipatch.modalities.ecg.tasks import BEAT_MARKS
from wfdb.processing import compare_annotations

ROOT = Path(os.environ.get("OMNIPATCH_DATA", "."))


def marks(recording: Recording) -> np.ndarray:
    return np.array([a.onset_s for a in recording.annotations if a.label in BEAT_MARKS and not a.duration_s])


def errors(found_s: np.ndarray, true_s: np.ndarray, tolerance_s: float = 0.15) -> tuple[int, int]:
    """Missed and invented beats by wfdb's comparison."""
    if not len(found_s):
        return len(true_s), 0
    at_ms = [np.round(1000 * np.asarray(t)).astype(int) for t in (true_s, found_s)]
    result = compare_annotations(*at_ms, int(1000 * tolerance_s))
    return result.fn, result.fp


@pytest.fixture(scope="module")
def long() -> Recording:
    return patient(3, leads=STANDARD_LEADS, duration_s=60.0)


@pytest.mark.parametrize("sfreq_hz", [100.0, 128.0, 250.0, 360.0, 500.0, 1000.0])
def test_beats_of_every_rhythm_are_found_at_any_rate(sfreq_hz):
    missed = invented = beats = 0
    for seed in range(5):
        recording = patient(seed, duration_s=40.0, sfreq_hz=sfreq_hz)
        fn, fp = errors(r_peaks(recording.signals, sfreq_hz), marks(recording))
        missed, invented, beats = missed + fn, invented + fp, beats + len(marks(recording))
    assert missed <= 0.01 * beats
    assert invented <= 0.01 * beats


def test_marks_lie_on_the_r_wave(long):
    normal = np.array([a.onset_s for a in long.annotations if a.label == "N"])
    found = r_peaks(long.signals[[1]], long.sfreq_hz)
    distance = np.abs(found[:, None] - normal).min(axis=0)
    assert np.median(distance) < 0.006


@pytest.mark.parametrize("lead", range(12))
def test_any_single_lead_will_do(long, lead):
    fn, fp = errors(r_peaks(long.signals[[lead]], long.sfreq_hz), marks(long))
    # some beats are nearly orthogonal to some leads
    assert fn + fp <= 0.1 * len(marks(long))


def test_polarity_and_order_of_leads_do_not_matter(long):
    expected = r_peaks(long.signals, long.sfreq_hz)
    rng = np.random.default_rng(0)
    for _ in range(3):
        turned = long.signals[rng.permutation(12)] * rng.choice([-1.0, 1.0], (12, 1))
        np.testing.assert_allclose(r_peaks(turned, long.sfreq_hz), expected, atol=2e-3)


def test_lost_flat_and_noisy_leads_are_ignored(long):
    x = long.signals.copy()
    x[0] = np.nan
    x[3] = 0.7
    x[5] = np.random.default_rng(0).normal(0, 2.0, x.shape[1])
    x[7, 2000:6000] = np.inf
    assert errors(r_peaks(x, long.sfreq_hz), marks(long)) == (0, 0)


def test_a_noise_burst_in_one_lead_does_no_harm(long):
    x = long.signals[[1, 7]].copy()
    x[0, 5000:6500] += np.random.default_rng(0).normal(0, 1.5, 1500)
    fn, fp = errors(r_peaks(x, long.sfreq_hz), marks(long))
    assert fn + fp <= 1


def test_a_change_of_amplitude_is_followed(long):
    x = long.signals[[1, 7]].copy()
    x[:, 9000:] *= 0.2
    assert sum(errors(r_peaks(x, long.sfreq_hz), marks(long))) <= 1


def test_nothing_is_found_where_nothing_was_recorded(long):
    x = long.signals[[1, 7]].copy()
    x[:, 5000:10000] = np.nan
    found = r_peaks(x, long.sfreq_hz)
    assert not np.any((found > 20.0) & (found < 40.0))
    true = marks(long)
    assert sum(errors(found, true[(true < 20.0) | (true > 40.0)])) <= 1


@pytest.mark.parametrize("value", [0.0, 1.5, 1e4, np.nan, np.inf])
def test_a_flat_or_absent_recording_has_no_beats(value):
    assert len(r_peaks(np.full((2, 2500), value), 250.0)) == 0


def test_a_long_pause_stays_empty(long):
    x = long.signals[[1]].copy()
    x[:, 5000:9000] = np.random.default_rng(0).normal(0, 0.01, 4000)
    found = r_peaks(x, long.sfreq_hz)
    assert np.sum((found > 20.2) & (found < 35.8)) == 0


@pytest.mark.parametrize("height_mv", [0.15, 0.4])
def test_a_t_wave_is_not_a_beat(height_mv):
    """Regular narrow beats of 0.5 mV, each with a T wave up to nearly its height."""
    t = np.arange(0, 30, 1 / 250)
    beats = np.arange(0.6, 29.5, 0.9)
    x = sum(
        0.5 * np.exp(-0.5 * ((t - b) / 0.012) ** 2) + height_mv * np.exp(-0.5 * ((t - b - 0.27) / 0.045) ** 2)
        for b in beats
    )
    assert errors(r_peaks(x[None], 250.0), beats) == (0, 0)


@settings(max_examples=15, deadline=None)
@given(gain=st.floats(0.1, 10.0), offset_mv=st.floats(-50, 50), seed=st.integers(0, 20))
def test_gain_and_offset_do_not_matter(gain, offset_mv, seed):
    x = patient(seed, duration_s=12.0).signals
    expected = r_peaks(x, 250.0)
    np.testing.assert_allclose(r_peaks(gain * x + offset_mv, 250.0), expected, atol=2e-3)


@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(500, 4000), min_size=2, max_size=4),
    padding=st.integers(0, 1500),
    sfreq_hz=st.sampled_from([220.0, 250.0, 454.5]),
)
def test_a_batch_with_padding_equals_one_by_one(lengths, padding, sfreq_hz):
    single = [patient(i, duration_s=20.0).signals[:, :n] for i, n in enumerate(lengths)]
    batch = torch.full((len(single), 3, max(lengths) + padding), torch.nan)
    for row, x in zip(batch, single, strict=True):
        row[:2, : x.shape[1]] = torch.from_numpy(x)
    batch[:, 2] = 5.0 * torch.randn(batch[:, 2].shape, generator=torch.Generator().manual_seed(0))
    valid = torch.tensor([True, True, False]).expand(len(single), 3)
    for found, x in zip(detect_r_peaks(batch, sfreq_hz, valid), single, strict=True):
        np.testing.assert_allclose(found.numpy(), r_peaks(x, sfreq_hz), atol=1e-4)


def test_a_strip_of_two_seconds():
    missed = invented = beats = 0
    for seed in range(12):
        recording = patient(seed, leads=STANDARD_LEADS, duration_s=2.0, sfreq_hz=500.0)
        fn, fp = errors(r_peaks(recording.signals, 500.0), marks(recording))
        missed, invented, beats = missed + fn, invented + fp, beats + len(marks(recording))
    assert missed <= 1
    assert invented <= 1


def test_no_two_beats_within_the_refractory_period():
    x = np.random.default_rng(0).normal(0, 1.0, (2, 20000))
    assert np.diff(r_peaks(x, 250.0)).min() > 0.05


def test_detected_beats_are_marks_without_a_class(long):
    found = detected_beats(with_signals(long, long.signals))
    assert {a.label for a in found} == {"?"} <= BEAT_MARKS
    assert [a.onset_s for a in found] == list(r_peaks(long.signals, long.sfreq_hz))


def test_bad_input_is_a_sentence():
    with pytest.raises(InputError, match="batch, lead, sample"):
        detect_r_peaks(torch.zeros(2, 100), 250.0)
    with pytest.raises(InputError, match="too low"):
        detect_r_peaks(torch.zeros(1, 2, 100), 20.0)
    with pytest.raises(InputError, match=r"\[lead, sample\].*give signal\[None\]"):
        r_peaks(np.zeros(1000), 250.0)
    assert [len(r) for r in detect_r_peaks(torch.zeros(2, 1, 0), 250.0)] == [0, 0]


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["100", "119", "208"])
def test_mit_bih(name):
    """Floors below what was measured; the table of all records is made by benchmarks/ecg_rpeaks.py."""
    recording = read_wfdb(ROOT / "ecg" / "mitdb" / name)
    true = marks(recording)
    fn, fp = errors(r_peaks(recording.signals, recording.sfreq_hz), true)
    assert fn <= 0.007 * len(true)
    assert fp <= 0.010 * len(true)
