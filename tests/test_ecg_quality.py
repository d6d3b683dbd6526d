"""The quality gate: each fault is named, good leads stay, bad ones become missing."""

from __future__ import annotations

import numpy as np
import pytest
from ecg_kit import SFREQ_HZ, adapter, named, patient, with_signals, write_dat
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.modalities.ecg.leads import LIMB_LEADS
from omnipatch.modalities.ecg.quality import _segments, lead_quality, usable_leads, without_bad_leads
from omnipatch.modalities.ecg.reading import read_wfdb

DURATION_S = 30


def test_a_good_recording_has_no_problem():
    for seed in range(10):
        recording = patient(seed, ("I", "II", "V1", "V6"), duration_s=DURATION_S)
        assert lead_quality(recording.signals, recording.sensors, recording.sfreq_hz) == {}


def test_problems_are_named():
    x = np.repeat(patient(1, ("II",), duration_s=DURATION_S).signals, 7, axis=0)
    x[0] = np.nan
    x[1] = 0.1
    x[2, :1500] = np.nan
    x[3] = np.clip(x[3], -0.1, 0.1)
    x[4] *= 1000
    x[5] /= 200
    problems = lead_quality(x, ("I", "II", "III", "V1", "V2", "V3", "V4"), SFREQ_HZ)
    assert problems == {
        "I": "no finite sample", "II": "flat", "III": "20 % of the samples are missing", "V1": "clipped",
        "V2": "larger than 50 mV, wrong unit?", "V3": "smaller than 0.02 mV, wrong unit?",
    }  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(samples=st.integers(1, 700), count=st.integers(1, 260), leads=st.integers(1, 3))
def test_segments_are_those_that_numpy_cuts(samples, count, leads):
    count = min(count, samples)
    x = np.random.default_rng(samples).standard_normal((leads, samples))
    parts = [part for parts in _segments(x, count) for part in np.moveaxis(parts, 1, 0)]
    cut = np.array_split(x, count, axis=1)
    assert len(parts) == count
    assert all(np.array_equal(part, expected) for part, expected in zip(parts, cut, strict=True))


def test_a_fault_counts_in_the_segment_where_it_is():
    """Of a recording with more segments than are judged together: 60 % flat at its end is flat in 60 % of the time."""
    x = np.tile(patient(4, ("II",), duration_s=DURATION_S).signals, (1, 40))[:, : round(1003.7 * SFREQ_HZ)]
    x[:, round(0.4 * x.shape[1]) :] = 0.0
    assert lead_quality(x, ("II",), SFREQ_HZ) == {"II": "flat, in 60 % of the time"}


def test_the_verdict_on_a_lead_does_not_depend_on_those_beside_it():
    rng = np.random.default_rng(0)
    x = np.repeat(patient(2, ("II",), duration_s=DURATION_S).signals, 5, axis=0)
    x[1] = 0.0
    x[2] += 3 * np.sin(2 * np.pi * 50 * np.arange(x.shape[1]) / SFREQ_HZ)
    x[3] += 5 * rng.standard_normal(x.shape[1])
    x[4, :3000] = np.nan
    sensors = ("I", "II", "III", "V1", "V2")
    alone = {}
    for i, name in enumerate(sensors):
        alone |= lead_quality(x[i : i + 1], (name,), SFREQ_HZ)
    assert lead_quality(x, sensors, SFREQ_HZ) == alone
    assert list(alone) == ["II", "III", "V1", "V2"]


def test_a_wrong_unit_in_a_header_is_noticed(tmp_path):
    x = patient(1, duration_s=DURATION_S)
    header = write_dat(tmp_path, "r", named(x))
    for unit, words in (("V", "larger than"), ("uV", "smaller than|flat")):
        (tmp_path / f"{unit}.hea").write_text(header.read_text().replace("/mV", f"/{unit}").replace("r 2", f"{unit} 2"))
        problems = adapter().quality(read_wfdb(tmp_path / unit))
        assert set(problems) == {"II", "V1"}
        assert all(any(w in p for w in words.split("|")) for p in problems.values())


def test_unknown_leads_are_reported(tmp_path):
    x = patient(1).signals[0]
    recording = read_wfdb(write_dat(tmp_path, "r", {"II": x, "ECG2": x}))
    assert adapter().quality(recording) == {"ECG2": "unknown lead"}


# ---- signs of one lead --------------------------------------------------------------------------------------------


def _time(sfreq_hz=SFREQ_HZ):
    return np.arange(round(DURATION_S * sfreq_hz)) / sfreq_hz


@pytest.mark.parametrize("sfreq_hz", [100.0, 250.0, 500.0])
def test_noise_and_hum_are_told_from_a_heart(sfreq_hz):
    x = patient(3, ("II", "V1"), DURATION_S, sfreq_hz).signals
    rng = np.random.default_rng(0)
    assert lead_quality(x, ("II", "V1"), sfreq_hz) == {}
    loud = x + np.stack([np.zeros(x.shape[1]), rng.normal(0, 5.0, x.shape[1])])
    assert lead_quality(loud, ("II", "V1"), sfreq_hz) == ({"V1": "noise"} if sfreq_hz > 100 else {})
    if sfreq_hz > 120:
        hum = x + np.stack([np.zeros(x.shape[1]), 3.0 * np.sin(2 * np.pi * 50 * _time(sfreq_hz))])
        assert lead_quality(hum, ("II", "V1"), sfreq_hz) == {"V1": "powerline"}


def test_a_lead_is_bad_when_most_of_its_time_is():
    x = np.repeat(patient(1, ("II",), DURATION_S).signals, 2, axis=0)
    x[0, : x.shape[1] // 3] = 0.0
    x[1, : 2 * x.shape[1] // 3] = 0.0
    assert lead_quality(x, ("II", "V1"), SFREQ_HZ) == {"V1": "flat, in 67 % of the time"}


def test_bad_leads_become_missing_and_never_zero():
    recording = patient(1, ("II", "V1"), DURATION_S)
    x = recording.signals.copy()
    x[1] = np.random.default_rng(0).normal(0, 5.0, x.shape[1])
    assert without_bad_leads(recording.signals, recording.sensors, SFREQ_HZ) is recording.signals
    kept = without_bad_leads(x, recording.sensors, SFREQ_HZ)
    np.testing.assert_array_equal(kept[0], x[0])
    assert np.isnan(kept[1]).all()
    assert np.isfinite(x).all()
    for window in adapter().windows(with_signals(recording, x)):
        assert np.isnan(window.values[window.sensors.index("V1")]).all()


def test_nothing_follows_from_a_bad_lead():
    """It is what the good ones say of it; where they say nothing it is missing, and so is what only follows from it."""
    recording = patient(1, ("I", "II", "III", "V1"), DURATION_S)
    x = recording.signals.copy()
    x[1], x[3] = np.random.default_rng(0).normal(0, 5.0, (2, x.shape[1]))
    found, names = usable_leads(x, recording.sensors, SFREQ_HZ)
    assert names[:4] == recording.sensors
    lead = dict(zip(names, found, strict=True))
    np.testing.assert_allclose(lead["II"], x[0] + x[2], atol=1e-5)
    np.testing.assert_allclose(lead["aVF"], x[2] + x[0] / 2, atol=1e-5)
    assert np.isnan(lead["V1"]).all()
    found, names = usable_leads(x[:2], ("I", "II"), SFREQ_HZ)
    assert names == ("I", "II")
    assert np.isnan(found[1]).all()
    every, names = usable_leads(recording.signals[:2], ("I", "II"), SFREQ_HZ)
    assert (set(names), np.isfinite(every).all()) == (set(LIMB_LEADS), True)


@pytest.mark.parametrize("change", [lambda x: x * 1000, lambda x: -x, lambda x: x[:, ::-1], lambda x: x + 3.0])
def test_the_verdict_does_not_depend_on_sign_direction_or_offset(change):
    x = patient(2, ("II",), DURATION_S).signals
    assert set(lead_quality(change(x), ("II",), SFREQ_HZ).values()) <= {"larger than 50 mV, wrong unit?"}
