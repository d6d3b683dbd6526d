"""WFDB records as users have them (formats, units, gains, names, the challenge form); a sentence for broken ones."""

from __future__ import annotations

import numpy as np
import pytest
from ecg_kit import STANDARD_LEADS, edit, named, patient, with_leads, write_challenge, write_dat
from omnipatch.core.errors import CorruptFileError, InputError
from omnipatch.modalities.ecg.reading import read_wfdb
from scipy.io import savemat


@pytest.fixture(scope="module")
def whole():
    return patient(0, STANDARD_LEADS, duration_s=4.0, sfreq_hz=500.0)


@pytest.fixture
def two(whole):
    return with_leads(whole, [1, 6])


@pytest.mark.parametrize(
    ("fmt", "step_mv"), [("16", 1 / 200), ("212", 1 / 200), ("24", 1 / 200), ("32", 1 / 200), ("80", 1 / 50)]
)
def test_every_format_gives_the_millivolts_that_were_written(tmp_path, two, fmt, step_mv):
    read = read_wfdb(write_dat(tmp_path, "r", named(two), 500.0, fmt=fmt))
    assert (read.sensors, read.sfreq_hz, read.unit) == (("II", "V1"), 500.0, "mV")
    assert read.signals.dtype == np.float32
    np.testing.assert_allclose(read.signals, two.signals, atol=0.51 * step_mv + 1e-6)


@pytest.mark.parametrize("unit", ["mV", "uV", "V", "nV"])
def test_units_are_converted(tmp_path, two, unit):
    read = read_wfdb(write_dat(tmp_path, "r", named(two), unit=unit))
    np.testing.assert_allclose(read.signals, two.signals, atol=0.003)


@pytest.mark.parametrize("micro", ["\u00b5V", "\u03bcV"])
def test_a_micro_sign_is_a_microvolt_and_not_a_volt(tmp_path, two, micro):
    header = write_dat(tmp_path, "r", named(two), unit="uV")
    edit(header, ("/uV", f"/{micro}"))
    np.testing.assert_allclose(read_wfdb(header).signals, two.signals, atol=0.003)


def test_each_signal_has_its_own_gain_and_baseline(tmp_path, two):
    read = read_wfdb(write_dat(tmp_path, "r", named(two), gains=[1716.0, 698.0], baselines=[6, -512]))
    np.testing.assert_allclose(read.signals, two.signals, atol=0.001)


def test_several_signal_files_make_one_record(tmp_path, two):
    write_dat(tmp_path, "a", {"II": two.signals[0]})
    write_dat(tmp_path, "b", {"V1": two.signals[1]})
    first, second = ((tmp_path / f"{n}.hea").read_text().splitlines() for n in "ab")
    (tmp_path / "r.hea").write_text("\n".join([first[0].replace("a 1", "r 2"), first[1], second[1], ""]))
    np.testing.assert_allclose(read_wfdb(tmp_path / "r").signals, two.signals, atol=0.003)


def test_unknown_leads_are_left_out_and_named(tmp_path, two):
    x = two.signals[0]
    read = read_wfdb(write_dat(tmp_path, "r", {"ABP": x, "ECG1": x, "V1": x, "V4R": x}))
    assert read.sensors == ("V1",)
    assert read.extras["unknown_leads"] == ["ABP", "ECG1", "V4R"]


def test_a_pressure_beside_the_ecg_may_have_any_unit(tmp_path, two):
    header = write_dat(tmp_path, "r", {"ABP": two.signals[0], "V1": two.signals[1]})
    lines = header.read_text().splitlines()
    header.write_text("\n".join([lines[0], lines[1].replace("/mV", "/mmHg"), *lines[2:], ""]))
    assert read_wfdb(header).sensors == ("V1",)


def test_the_second_lead_of_one_name_is_not_taken_for_the_first(tmp_path, two):
    header = write_dat(tmp_path, "r", {"II": two.signals[0], "MLII": two.signals[1]})
    read = read_wfdb(header)
    assert read.sensors == ("II",)
    assert read.extras["unknown_leads"] == ["MLII"]
    np.testing.assert_allclose(read.signals[0], two.signals[0], atol=0.003)


def test_an_inverted_lead_is_turned_back(tmp_path, whole):
    avr = whole.signals[3]
    read = read_wfdb(write_dat(tmp_path, "r", {"-aVR": -avr, "ECG2": -avr}), {"ECG2": "-V1"})
    assert read.sensors == ("aVR", "V1")
    np.testing.assert_allclose(read.signals, np.stack([avr, avr]), atol=0.003)


def test_aliases_say_what_inputs_are(tmp_path, two):
    header = write_dat(tmp_path, "r", {"ECG1": two.signals[0], "ECG2": two.signals[1]})
    with pytest.raises(CorruptFileError, match=r"r\.hea: no known lead, got ECG1, ECG2.*modality\.aliases"):
        read_wfdb(header)
    assert read_wfdb(header, {"ECG1": "II", "ECG2": "V5"}).sensors == ("II", "V5")


def test_invalid_samples_are_missing_and_not_a_number(tmp_path, two):
    x = two.signals.copy()
    x[0, 100:120] = np.nan
    read = read_wfdb(write_dat(tmp_path, "r", {"II": x[0], "V1": x[1]}))
    assert np.isnan(read.signals[0, 100:120]).all()
    assert np.isfinite(read.signals).sum() == read.signals.size - 20


@pytest.mark.parametrize("name", ["100", "100.hea", "100.dat", "100.atr"])
def test_a_record_is_named_by_any_of_its_files(tmp_path, two, name):
    write_dat(tmp_path, "100", named(two))
    read = read_wfdb(tmp_path / name)
    assert (read.record, read.subject) == ("100", "100")


def test_a_file_that_only_shares_its_name_with_a_record_is_not_read_as_it(tmp_path, two):
    write_dat(tmp_path, "100", named(two))
    (tmp_path / "100.txt").write_text("about the patient")
    with pytest.raises(CorruptFileError, match=r"100\.txt: no WFDB header"):
        read_wfdb(tmp_path / "100.txt")
    header = (tmp_path / "100.hea").read_text().replace("100.dat", "100.sig")
    (tmp_path / "100.dat").rename(tmp_path / "100.sig")
    (tmp_path / "100.hea").write_text(header)
    assert read_wfdb(tmp_path / "100.sig").record == "100"


def test_a_record_whose_name_has_a_dot_is_not_the_one_without(tmp_path, two, whole):
    write_dat(tmp_path, "100", named(two))
    dotted = write_dat(tmp_path, "other", named(whole)).rename(tmp_path / "100.5.hea")
    dotted.write_text(dotted.read_text().replace("other ", "100.5 ", 1))
    assert len(read_wfdb(tmp_path / "100.5").sensors) == len(whole.sensors)


# ---- the challenge form -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mat", ["4", "5"])
@pytest.mark.parametrize("record_name", [None, "E00271.mat", "E00271.x.y", "\u00c9lan"])
@pytest.mark.parametrize("unit", ["mV", "mv"])
def test_challenge_records_open_however_their_header_names_them(tmp_path, whole, mat, record_name, unit):
    header = write_challenge(tmp_path, "E00271", named(whole), record_name=record_name, mat=mat, unit=unit)
    for path in (header, header.with_suffix(".mat")):
        read = read_wfdb(path)
        assert read.sensors == STANDARD_LEADS
        assert read.record == "E00271"
        np.testing.assert_allclose(read.signals, whole.signals, atol=0.0006)


@pytest.mark.parametrize("dx", ["#Dx: 426783006,164889003", "# Dx: 426783006, 164889003", "#dx:426783006,164889003,"])
def test_diagnoses_are_the_label(tmp_path, whole, dx):
    assert read_wfdb(write_challenge(tmp_path, "A1", named(whole), dx=dx)).label == ("426783006", "164889003")


@pytest.mark.parametrize("dx", ["#Dx:", "#Dx", "#Age: 3"])
def test_a_record_may_have_no_diagnosis(tmp_path, whole, dx):
    assert read_wfdb(write_challenge(tmp_path, "A1", named(whole), dx=dx)).label == ()


@pytest.mark.parametrize("mat", ["4", "5"])
def test_a_matlab_file_of_other_numbers_is_refused_and_not_read_as_noise(tmp_path, two, mat):
    header = write_challenge(tmp_path, "A1", named(two))
    savemat(tmp_path / "A1.mat", {"val": np.array(two.signals, np.float64)}, format=mat)
    with pytest.raises(CorruptFileError, match=r"A1\.mat"):
        read_wfdb(header)


def test_a_matlab_file_of_another_shape_is_refused(tmp_path, two):
    header = write_challenge(tmp_path, "A1", named(two), mat="5")
    savemat(tmp_path / "A1.mat", {"val": np.zeros((2000, 2), np.int16)}, format="5")
    with pytest.raises(CorruptFileError, match=r"A1\.mat: wrong shape"):
        read_wfdb(header)


def test_blank_lines_comments_and_a_byte_order_mark_before_the_header_do_no_harm(tmp_path, two):
    header = write_dat(tmp_path, "r", named(two))
    header.write_bytes(b"\xef\xbb\xbf# a comment\r\n\r\n" + header.read_bytes().replace(b"\n", b"\r\n"))
    np.testing.assert_allclose(read_wfdb(header).signals, two.signals, atol=0.003)


# ---- what is broken: one sentence ---------------------------------------------------------------------------------

_BAD_HEADERS = {
    "no signals": (("r 2 250 2000", "r 0 250 2000"), "number of signals"),
    "many signals": (("r 2 250 2000", "r 99999999999 250 2000"), "number of signals"),
    "one signal too few": (("r 2 250 2000", "r 3 250 2000"), "signal lines, got 2, expected 3"),
    "one signal too many": (("r 2 250 2000", "r 1 250 2000"), "signal lines"),
    "a trillion samples": (("r 2 250 2000", "r 2 250 1000000000000"), "shorter than its header says"),
    "no samples": (("r 2 250 2000", "r 2 250 0"), "length in samples"),
    "negative length": (("r 2 250 2000", "r 2 250 -5"), "length in samples"),
    "rate 0": (("r 2 250 2000", "r 2 0 2000"), "sampling rate"),
    "rate negative": (("r 2 250 2000", "r 2 -250 2000"), "sampling rate"),
    "rate with exponent": (("r 2 250 2000", "r 2 1e3 2000"), "sampling rate"),
    "rate in words": (("r 2 250 2000", "r 2 fast 2000"), "sampling rate"),
    "rate of a radio": (("r 2 250 2000", "r 2 44100000 2000"), "sampling rate"),
    "segments": (("r 2 250 2000", "r/3 2 250 2000"), "single-segment"),
    "format unknown": ((".dat 16 ", ".dat 17 "), "format"),
    "format in words": ((".dat 16 ", ".dat int16 "), ""),
    "samples a frame": ((".dat 16 ", ".dat 16x9999999999 "), "samples a frame"),
    "skew": ((".dat 16 ", ".dat 16:99999999999 "), "skew"),
    "offset": ((".dat 16 ", ".dat 16+99999999999 "), "shorter than its header says"),
    "file elsewhere": (("r.dat", "/etc/passwd"), "a file beside the header"),
    "file above": (("r.dat", "../r.dat"), "a file beside the header"),
    "file missing": (("r.dat", "q.dat"), "missing"),
    "unit unknown": (("/mV", "/mmHg"), "unknown unit"),
}


@pytest.mark.parametrize("case", _BAD_HEADERS)
def test_a_bad_header_is_one_sentence_that_names_file_and_field(tmp_path, two, case):
    change, words = _BAD_HEADERS[case]
    header = write_dat(tmp_path, "r", named(two))
    edit(header, change)
    with pytest.raises(CorruptFileError) as caught:
        read_wfdb(header)
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "r."))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"# only a comment\n", b"\0\0\0", b"r\n", b"\xff\xfe r 2", b"x" * (2 << 20)]
)
def test_a_header_that_is_none(tmp_path, content):
    (tmp_path / "r.hea").write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"r\.hea"):
        read_wfdb(tmp_path / "r")


@pytest.mark.parametrize("keep", [0, 1, 1000, 7999])
def test_a_truncated_signal_file_says_how_much_is_missing(tmp_path, two, keep):
    header = write_dat(tmp_path, "r", named(two))
    file = tmp_path / "r.dat"
    file.write_bytes(file.read_bytes()[:keep])
    if keep == 7999:  # wfdb itself tolerates a missing last byte; here it must not pass as a reading of 8000
        with pytest.raises(CorruptFileError):
            read_wfdb(header)
        return
    with pytest.raises(
        CorruptFileError, match=rf"r\.dat: signal file is shorter.*got {keep} bytes, expected 8000 bytes"
    ):
        read_wfdb(header)


def test_a_length_that_the_header_leaves_out_is_that_of_the_file(tmp_path, two):
    header = write_dat(tmp_path, "r", named(two))
    edit(header, ("r 2 250 2000", "r 2 250"))
    np.testing.assert_allclose(read_wfdb(header).signals, two.signals, atol=0.003)


def test_a_zero_length_record(tmp_path, two):
    header = write_dat(tmp_path, "r", named(two))
    edit(header, ("r 2 250 2000", "r 2 250"))
    (tmp_path / "r.dat").write_bytes(b"")
    with pytest.raises(CorruptFileError, match=r"r\."):
        read_wfdb(header)


def test_an_absurd_gain_gives_missing_samples_and_no_infinity(tmp_path, two):
    header = write_dat(tmp_path, "r", named(two))
    edit(header, (" 200.0(0)/mV", " 0.0000000000000000000000000000000000000000001(0)/mV"))
    assert not np.isinf(read_wfdb(header).signals).any()


def test_nothing_there(tmp_path):
    with pytest.raises(CorruptFileError, match=r"no WFDB header, expected 100\.hea"):
        read_wfdb(tmp_path / "100.dat")


def test_errors_are_bad_input_to_the_command_line():
    assert issubclass(CorruptFileError, InputError)
    assert CorruptFileError("x").exit_code == 2
