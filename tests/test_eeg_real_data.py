"""The real EEG files: every one opens, and what is in them is what their descriptions count."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from eeg_files_kit import CAP
from omnipatch.core.errors import InputError
from omnipatch.modalities.eeg.artefacts import channel_quality
from omnipatch.modalities.eeg.datasets import list_eegmat
from omnipatch.modalities.eeg.marking import apply_marking
from omnipatch.modalities.eeg.preprocess import PreprocessConfig, preprocess
from omnipatch.modalities.eeg.reading import read_eeg

pytestmark = pytest.mark.real_data

ROOT = Path(os.environ.get("OMNIPATCH_DATA", ".")) / "eeg"
NATIVE = ROOT / "native"


@pytest.mark.parametrize(
    ("name", "sfreq_hz", "channels", "samples", "first"),
    [
        ("eegmat_Subject00_2.edf", 500.0, 20, 31000, "Fp1"),
        ("test.vhdr", 1000.0, 26, 7900, "Fp1"),
        ("test.edf", 512.0, 136, 3072, "input A1"),
        ("test.bdf", 2048.0, 66, 2048, "Fp1"),
    ],
)
def test_native_files_open_in_microvolt(name, sfreq_hz, channels, samples, first):
    recording = read_eeg(NATIVE / name)
    assert recording.signals.shape == (channels, samples)
    assert (recording.sfreq_hz, recording.unit, recording.sensors[0]) == (sfreq_hz, "uV", first)
    # tens of microvolt: in another unit it would be a thousand times more or less
    assert 1 < np.median(np.std(recording.signals, axis=1)) < 300


def test_parts_of_a_brainvision_recording_point_at_its_head():
    for part in ("test.eeg", "test.vmrk"):
        with pytest.raises(InputError, match=r"give the \.vhdr file"):
            read_eeg(NATIVE / part)


def test_native_files_name_what_else_they_hold():
    assert read_eeg(NATIVE / "eegmat_Subject00_2.edf").extras["other_channels"] == {"ECG ECG": "ecg"}
    assert read_eeg(NATIVE / "test.vhdr").extras["other_channels"].keys() == {"CP5", "CP6", "HL", "HR", "Vb", "ReRef"}
    bdf = read_eeg(NATIVE / "test.bdf").extras
    assert bdf["unknown_channels"].keys() == {"EXG1", "EXG5", "EXG8"}
    assert {"REOG", "LEOG", "IEOG"} <= bdf["other_channels"].keys()


def test_native_annotations_are_those_of_the_file():
    marks = read_eeg(NATIVE / "test.edf").annotations
    assert [a.label for a in marks] == ["start", "type A", "type A", "type B", "type A"]
    assert len(read_eeg(NATIVE / "test.vhdr").annotations) == 13


@pytest.fixture(scope="module")
def eegmat():
    return list_eegmat(ROOT / "eegmat-200hz")


def test_eegmat_counts_what_its_description_counts(eegmat):
    assert len(eegmat) == 56
    assert len({s.subject for s in eegmat}) == 28
    assert sum("good" in s.label for s in eegmat) == 2 * 19
    windows = {"rest": 0, "task": 0}
    for source in eegmat:
        recording = apply_marking(read_eeg(source.path), source)
        assert recording.sensors[:4] == ("Fp1", "Fp2", "F3", "F4")
        assert set(recording.sensors) == {*CAP, "A2-A1"}
        assert recording.sfreq_hz == 200.0
        assert not channel_quality(recording.signals, recording.sensors, 200.0)
        windows[source.label[0]] += recording.signals.shape[1] // 1000
    assert windows == {"rest": 1007, "task": 336}


def test_preprocessing_rejects_next_to_nothing_of_cleaned_data(eegmat):
    recording = read_eeg(eegmat[0].path)
    x = preprocess(recording.signals, recording.sfreq_hz, PreprocessConfig(), recording.sensors)
    assert x.shape == (20, 18200)
    assert np.isfinite(x).mean() > 0.99
    assert 0.3 < np.nanstd(x) < 5


def test_the_resampled_copy_agrees_with_the_original():
    """Alignment: 500 Hz brought to 200 Hz by us is the 200 Hz file, to a fraction of a sample."""
    from omnipatch.core.signals import resample

    original, copy = read_eeg(NATIVE / "eegmat_Subject00_2.edf"), read_eeg(ROOT / "eegmat-200hz/Subject00_2.edf")
    ours = resample(original.signals.astype(float), 500.0, 200.0)
    assert np.corrcoef(ours[0], copy.signals[0])[0, 1] > 0.9999
