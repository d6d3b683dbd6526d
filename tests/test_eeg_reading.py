"""EEG files of every format come back in microvolt, under one name a channel, and quietly."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from eeg_files_kit import (
    CAP,
    SFREQ_HZ,
    WRITERS,
    head,
    raw_array,
    write,
    write_brainvision,
    write_edf,
    write_fif,
    write_gdf,
)
from omnipatch.core.errors import CorruptFileError, InputError
from omnipatch.core.modality import Annotation, Source
from omnipatch.modalities.eeg import EEG, reading
from omnipatch.modalities.eeg.montage import place
from omnipatch.modalities.eeg.reading import read_eeg, subject_of
from omnipatch.modalities.eeg.tasks import REST_TASK, labelled_spans

FORMATS = sorted(WRITERS)


def _path(folder: Path, suffix: str) -> Path:
    return folder / f"r_raw{suffix}" if suffix == ".fif" else folder / f"r{suffix}"


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_microvolt(tmp_path, suffix):
    x = head()
    recording = read_eeg(write(_path(tmp_path, suffix), x))
    assert recording.sensors == ("Fp1", "C3", "Cz", "O2")
    assert (recording.unit, recording.sfreq_hz) == ("uV", SFREQ_HZ)
    assert recording.signals.dtype == np.float32
    np.testing.assert_allclose(recording.signals, np.stack(list(x.values())), atol=0.01)
    assert recording.record == _path(tmp_path, suffix).stem


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_stretch_is_that_part_of_the_whole(tmp_path, suffix):
    path = write(_path(tmp_path, suffix), head(duration_s=8.0))
    whole, part = read_eeg(path), read_eeg(path, start_s=2.5, stop_s=4.0)
    np.testing.assert_array_equal(part.signals, whole.signals[:, 320:512])
    with pytest.raises(InputError, match="stretch"):
        read_eeg(path, start_s=9.0)


def test_a_source_reads_its_stretch_alone(tmp_path, monkeypatch):
    """A manifest may cut hundreds of stretches out of a recording of a day."""
    path = write_edf(tmp_path / "day.edf", head(CAP[:2], 60.0), marks=[(31.0, 1.0, "seizure")])
    whole = EEG().load(Source(path, "day"))
    asked = []
    samples = reading._samples
    monkeypatch.setattr(reading, "_samples", lambda raw, picks, *at: asked.append(at) or samples(raw, picks, *at))
    part = EEG().load(Source(path, "part", start_s=30.0, stop_s=34.0))
    assert asked == [(30 * 128, 34 * 128)]
    np.testing.assert_array_equal(part.signals, whole.signals[:, 30 * 128 : 34 * 128])
    assert [(a.onset_s, a.label) for a in part.annotations] == [(1.0, "seizure")]
    made = EEG().load(Source(None, "demo", seed=1, start_s=2.0, stop_s=7.0))
    assert made.signals.shape[1] == 5 * 200


def test_only_the_stretch_is_read(tmp_path, monkeypatch):
    import mne

    asked = []
    get_data = mne.io.BaseRaw.get_data

    def watched(raw, picks, start, stop, **options):
        asked.append(stop - start)
        return get_data(raw, picks, start, stop, **options)

    monkeypatch.setattr(mne.io.BaseRaw, "get_data", watched)
    monkeypatch.setattr("omnipatch.modalities.eeg.reading._PIECE", 1024)
    path = write_edf(tmp_path / "r.edf", head(duration_s=20.0))
    part = read_eeg(path, start_s=4.0, stop_s=8.0).signals
    assert sum(asked) == 4 * SFREQ_HZ
    assert max(asked) <= 1024 / 4
    np.testing.assert_array_equal(part, read_eeg(path).signals[:, 512:1024])


@pytest.mark.parametrize("unit", ["uV", "mV", "V", "nV"])
@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
def test_the_unit_of_the_file_does_not_matter(tmp_path, suffix, unit):
    x = head()
    recording = read_eeg(write_edf(tmp_path / f"r{suffix}", x, unit=unit))
    np.testing.assert_allclose(recording.signals, np.stack(list(x.values())), atol=0.05)


@pytest.mark.parametrize(
    ("written", "factor"),
    [
        (b"UV", 1), (b"uv", 1), (b"\xb5V", 1), (b"\xc2\xb5V", 1), (b"\xce\xbcV", 1), (b"\x83\xcaV", 1), (b"uVolt", 1),
        (b"microV", 1), (b"MV", 1e3), (b"mv", 1e3), (b"v", 1e6), (b"Volts", 1e6), (b"NV", 1e-3), (b"nv\0", 1e-3),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
def test_a_unit_is_the_same_in_every_spelling(tmp_path, suffix, written, factor):
    path = write_edf(tmp_path / f"r{suffix}", head())
    expected = read_eeg(path).signals * factor
    path.write_bytes(path.read_bytes().replace(b"uV".ljust(8), written.ljust(8)))
    np.testing.assert_allclose(read_eeg(path).signals, expected, rtol=1e-5)


def test_units_belong_to_their_channels(tmp_path):
    """Signals that are not read stand between those that are."""
    x = head(("ECG", "Cz", "EMG", "Fz"))
    path = write_edf(tmp_path / "r.edf", x)
    expected = read_eeg(path).signals
    raw = bytearray(path.read_bytes())
    at = raw.index(b"uV".ljust(8))
    raw[at : at + 32] = b"degC    UV      %       mv      "
    path.write_bytes(raw)
    np.testing.assert_allclose(read_eeg(path).signals, expected * [[1], [1e3]], rtol=1e-5)


@pytest.mark.parametrize(("unit", "said"), [("degC", "degC"), ("mmHg", "mmHg"), ("kV", "kV"), ("", "no unit")])
def test_what_is_no_voltage_is_refused(tmp_path, unit, said):
    with pytest.raises(CorruptFileError, match=rf"unknown unit.*Fp1.*got {said}, expected uV, mV"):
        read_eeg(write_edf(tmp_path / "r.edf", head(), unit=unit))


@pytest.mark.parametrize("suffix", [".edf", ".bdf", ".set", ".fif"])
def test_annotations_keep_their_place(tmp_path, suffix):
    marks = [(0.5, 0.0, "blink"), (1.0, 2.0, "seizure")]
    path = _path(tmp_path, suffix)
    WRITERS[suffix](path, head(), marks=marks)
    found = {(a.label, round(a.onset_s, 2), round(a.duration_s, 2)) for a in read_eeg(path).annotations}
    assert found == {("blink", 0.5, 0.0), ("seizure", 1.0, 2.0)}
    part = read_eeg(path, start_s=2.0).annotations
    assert part == (Annotation(0.0, "seizure", pytest.approx(1.0, abs=0.01)),)


def test_marks_of_brainvision_and_events_of_gdf(tmp_path):
    marks = read_eeg(write_brainvision(tmp_path / "r.vhdr", head(), marks=[(0.5, 0.25, "spike")])).annotations
    assert [(a.onset_s, a.duration_s, a.label) for a in marks] == [(0.5, 0.25, "Comment/spike")]
    recording = read_eeg(write_brainvision(tmp_path / "r.vhdr", head(), marks=[(0.5, 2.0, "rest")]))
    (span,) = labelled_spans(recording, REST_TASK)
    assert (span.onset_s, span.duration_s, span.label) == (0.5, 2.0, "rest")
    events = read_eeg(write_gdf(tmp_path / "r.gdf", head(), events=[(64, 769), (256, 770)])).annotations
    assert [(a.onset_s, a.label) for a in events] == [(0.5, "769"), (2.0, "770")]


def test_marks_of_an_interrupted_edf_stay_with_their_samples(tmp_path):
    """Records of one second at 0, 1, 12 and 13 s: ten seconds are missing, with one of the marks."""
    marks = [(0.5, 0.0, "a"), (1.5, 11.0, "long"), (5.0, 1.0, "lost"), (7.0, 0.0, "lost"), (12.5, 1.0, "b")]
    path = write_edf(tmp_path / "r.edf", head(), marks=marks)
    raw = path.read_bytes().replace(b"EDF+C", b"EDF+D")
    raw = raw.replace(b"+2\x14\x14\0", b"+12\x14\x14")
    raw = raw.replace(b"+3\x14\x14\0+5\x151\x14lost", b"+13\x14\x14\0+5\x151\x14los")
    path.write_bytes(raw)
    found = [(a.onset_s, a.duration_s, a.label) for a in read_eeg(path).annotations]
    assert found == [(0.5, 0.0, "a"), (1.5, 1.0, "long"), (2.5, 1.0, "b")]


def test_onsets_of_a_cropped_fif_count_from_its_first_sample(tmp_path):
    raw = raw_array(head(), marks=[(2.5, 0.5, "spindle")])
    raw.set_meas_date(1_600_000_000).crop(2.0).save(tmp_path / "r_raw.fif", verbose="ERROR")
    (mark,) = read_eeg(tmp_path / "r_raw.fif").annotations
    assert (mark.onset_s, mark.duration_s) == pytest.approx((0.5, 0.5))


def test_triggers_of_a_bdf_become_annotations(tmp_path):
    status = np.zeros(512)
    status[100:110], status[300:] = 5, 7
    recording = read_eeg(write_edf(tmp_path / "r.bdf", head() | {"Status": status}))
    assert recording.sensors == ("Fp1", "C3", "Cz", "O2")
    assert recording.annotations == (Annotation(100 / SFREQ_HZ, "5"), Annotation(300 / SFREQ_HZ, "7"))


def test_bad_channels_and_bad_stretches_are_missing(tmp_path):
    path = write_fif(tmp_path / "r_raw.fif", head(), bads=["Cz"], marks=[(1.0, 0.5, "BAD_blink")])
    recording = read_eeg(path)
    assert recording.extras["bad_channels"] == ("Cz",)
    assert np.isnan(recording.signals[2]).all()
    np.testing.assert_array_equal(np.isnan(recording.signals[0]), np.isin(np.arange(512), np.arange(128, 192)))


def test_other_channels_are_left_out_and_named(tmp_path):
    x = head(("EEG FP1-REF", "EEG T3-REF", "EEG EKG1-REF", "EOG left", "EEG 26-REF", "FP1"))
    recording = read_eeg(write_edf(tmp_path / "r.edf", x))
    assert recording.sensors == ("Fp1", "T7")
    assert recording.extras["reference"] == "REF"
    assert recording.extras["other_channels"] == {"EEG EKG1-REF": "ecg", "EOG left": "eog"}
    assert set(recording.extras["unknown_channels"]) == {"EEG 26-REF", "FP1"}
    assert "stands twice" in recording.extras["unknown_channels"]["FP1"]


def test_a_fast_channel_does_not_change_the_electrodes(tmp_path):
    x = head() | {"ECG": np.zeros(4 * 512)}
    rates = dict.fromkeys(head(), SFREQ_HZ) | {"ECG": 512.0}
    with_ecg = read_eeg(write_edf(tmp_path / "a.edf", x, rates))
    without = read_eeg(write_edf(tmp_path / "b.edf", head()))
    assert with_ecg.sfreq_hz == SFREQ_HZ
    np.testing.assert_array_equal(with_ecg.signals, without.signals)


def test_electrodes_of_another_rate_are_left_out_with_a_note(tmp_path):
    x = head() | {"Pz": np.zeros(4 * 64)}
    recording = read_eeg(write_edf(tmp_path / "r.edf", x, dict.fromkeys(head(), SFREQ_HZ) | {"Pz": 64.0}))
    assert "Pz" not in recording.sensors
    assert any("another sampling rate: Pz" in note for note in recording.extras["notes"])


def test_belts_and_sensors_do_not_decide_the_rate(tmp_path):
    """A night in a sleep laboratory: three electrodes, and more signals of odd names and another rate."""
    belts = {name: np.zeros(4 * 32) for name in ("Flow", "Effort", "DIF1", "Light")}
    rates = dict.fromkeys(head(), SFREQ_HZ) | dict.fromkeys(belts, 32.0)
    path = write_edf(tmp_path / "r.edf", belts | head(), rates)
    assert (read_eeg(path).sfreq_hz, read_eeg(path).sensors) == (SFREQ_HZ, tuple(head()))
    lead = write_edf(tmp_path / "n.edf", belts | head(("Pulse 1", "Pulse 2")), rates | {"Pulse 1": 128, "Pulse 2": 128})
    assert read_eeg(lead, {"Pulse 1": "Fz", "Pulse 2": "Cz"}).sensors == ("Fz", "Cz"), "an alias says that it is EEG"


def test_aliases_name_a_recorders_inputs(tmp_path):
    path = write_edf(tmp_path / "r.edf", head(("E1", "E2")))
    with pytest.raises(InputError, match=r"r\.edf: unknown EEG channel, got E1, expected a site.*modality\.aliases"):
        read_eeg(path)
    assert read_eeg(path, {"E1": "Fz", "E2": "Fp1-F7"}).sensors == ("Fz", "Fp1-F7")


def test_numbered_inputs_are_no_ears(tmp_path):
    path = write_edf(tmp_path / "r.edf", head(("A1", "A2", "A3", "A4", "C3")))
    bare = read_eeg(path)
    assert bare.sensors == ("input A1", "input A2", "input A3", "input A4", "input C3")
    assert bare.extras["positions"] == {}
    assert any("modality.montage" in note for note in bare.extras["notes"])
    assert all(place(name) is None for name in bare.sensors)
    placed = read_eeg(path, montage="biosemi128")
    assert set(placed.extras["positions"]) == set(placed.sensors)
    np.testing.assert_allclose(placed.extras["positions"]["input A1"], (0, 0, 1), atol=0.05)  # A1 is the vertex
    with pytest.raises(InputError, match=r"unknown montage.*biosemi128"):
        read_eeg(path, montage="biosemi129")


def test_inputs_of_a_biosemi_cap_that_is_listed_by_site_are_its_sites(tmp_path):
    names = [f"{bank}{i}" for bank in "AB" for i in range(1, 33)]
    path = write_edf(tmp_path / "r.bdf", head((*names, "EXG1")))
    with pytest.raises(InputError, match=r'have no places, got A1, .*"A1=Cz", or name the cap: modality\.montage'):
        EEG().windows(read_eeg(path))
    recording = read_eeg(path, {"B5": "FT10"}, montage="biosemi64")
    found = dict(zip(names, recording.sensors, strict=True))
    # BioSemi's own list for 64 electrodes, and one that the user has put elsewhere
    assert [found[name] for name in ("A1", "A32", "B1", "B32", "B5")] == ["Fp1", "CPz", "Fpz", "O2", "FT10"]
    assert "EXG1" in recording.extras["unknown_channels"]


def test_a_cap_of_numbers_is_not_read_as_its_reference_alone(tmp_path):
    """An exported EGI net: E1 to E32 without places, and Cz."""
    path = write_edf(tmp_path / "r.edf", head((*(f"E{i}" for i in range(1, 33)), "Cz")))
    with pytest.raises(InputError, match=r"numbers without a place, got 32 such as E1, and Cz.*modality\.montage"):
        read_eeg(path)
    assert len(read_eeg(path, montage="GSN-HydroCel-32").sensors) == 33
    assert read_eeg(path, {f"E{i}": f"P{i}" for i in range(1, 9)}).sensors[-1] == "Cz", "some of it may be meant"


def test_digitised_electrodes_need_no_name(tmp_path):
    names = [*CAP, "probe"]
    places = {name: tuple(0.09 * np.array(place(name))) for name in CAP} | {"probe": (0.0, 0.0, 0.09)}
    recording = read_eeg(write_fif(tmp_path / "r_raw.fif", head(names), places=places))
    assert recording.sensors[-1] == "input probe"
    assert set(recording.extras["positions"]) == {"input probe"}
    assert recording.extras["positions"]["input probe"][2] > 0.95


def test_nothing_is_printed(tmp_path, capfd, recwarn):
    path = write_edf(tmp_path / "r.edf", head())
    raw = bytearray(path.read_bytes())
    raw[168:176] = b"99.99.99"  # no date
    path.write_bytes(raw[:-100])  # and the last record is cut
    recording = read_eeg(path)
    assert recording.extras["notes"]
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
def test_half_a_file_is_refused(tmp_path, suffix):
    path = write_edf(tmp_path / f"r{suffix}", head(duration_s=40.0))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptFileError, match=r"the file ends early, got 19 s, expected 40 s; copy the file again"):
        read_eeg(path)
    path.write_bytes(whole[:236] + b"-1      " + whole[244 : len(whole) // 2])  # the recorder counted none
    assert read_eeg(path).signals.shape[1] == 19 * SFREQ_HZ


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("r.eeg", r"give the \.vhdr file"),
        ("r.fdt", r"give the \.set file"),
        ("r.txt", r"\.edf, \.bdf"),
        ("r", "no ending"),
        ("r.edf", "no such file"),
    ],
)
def test_the_wrong_file_is_one_sentence(tmp_path, name, sentence):
    if name != "r.edf":
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=sentence):
        read_eeg(tmp_path / name)


@pytest.mark.parametrize("name", ["r-epo.fif", "r.set"])
def test_a_file_of_epochs_says_that_the_whole_recording_is_needed(tmp_path, name):
    import mne

    epochs = mne.make_fixed_length_epochs(raw_array(head()), 1.0, preload=True, verbose="ERROR")
    if name.endswith(".set"):
        epochs.export(tmp_path / name, verbose="ERROR")
    else:
        epochs.save(tmp_path / name, verbose="ERROR")
    with pytest.raises(CorruptFileError, match=r"give the whole recording, not epochs"):
        read_eeg(tmp_path / name)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 4096])
def test_no_recording_is_one_sentence(tmp_path, suffix, content):
    path = _path(tmp_path, suffix)
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=path.name):
        read_eeg(path)


def test_a_subject_is_what_the_path_says():
    assert subject_of(Path("set/sub-07/eeg/sub-07_task-rest_eeg.edf")) == "sub-07"
    assert subject_of(Path("set/r.edf")) == ""
    assert subject_of(Path("/data/sub-study/bids/sub-07/eeg/sub-07_task-rest_eeg.edf")) == "sub-07"


def test_without_mne_the_error_says_what_to_install(tmp_path, monkeypatch):
    path = write_edf(tmp_path / "r.edf", head())
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(InputError, match=r"pip install 'omnipatch\[eeg\]'"):
        read_eeg(path)
