"""Annotation files: beats and rhythms of `.atr`, waves of LUDB's file a lead, and what becomes of damaged ones."""

from __future__ import annotations

import numpy as np
import pytest
from ecg_kit import Annotation, adapter, named, patient, write_dat, write_marks
from omnipatch.core.errors import CorruptFileError
from omnipatch.modalities.ecg.marks import read_waves
from omnipatch.modalities.ecg.reading import read_wfdb
from omnipatch.modalities.ecg.tasks import AAMI, BEAT_MARKS, rhythm_class


@pytest.fixture
def header(tmp_path):
    return write_dat(tmp_path, "r", named(patient(0, duration_s=8.0)))


def test_beats_are_points_and_rhythms_last_until_the_next(header):
    write_marks(header, [(10, "+", "(N\x00"), (100, "N", ""), (500, "V", ""), (750, "+", "(AFIB"), (800, "A", "")])
    assert read_wfdb(header).annotations == (
        Annotation(0.04, "(N", 2.96), Annotation(0.4, "N"), Annotation(2.0, "V"), Annotation(3.0, "(AFIB", 5.0),
        Annotation(3.2, "A"),
    )  # fmt: skip


def test_a_record_without_marks_has_none(header):
    assert read_wfdb(header).annotations == ()


WAVES = [(20, "(", ""), (30, "p", ""), (38, ")", ""), (50, "(", ""), (60, "N", ""), (70, ")", ""), (100, "(", ""),
         (130, "t", ""), (150, ")", "")]  # fmt: skip


def test_waves_are_spans_and_their_qrs_is_a_beat_without_a_class(header):
    write_marks(header, WAVES, "ii")
    assert read_wfdb(header).annotations == (
        Annotation(0.08, "P", pytest.approx(0.072), "II"), Annotation(0.2, "QRS", pytest.approx(0.08), "II"),
        Annotation(0.24, "?"), Annotation(0.4, "T", pytest.approx(0.2), "II"),
    )  # fmt: skip


def test_beats_are_those_of_lead_two_or_the_first_marked_lead_and_waves_those_of_every_lead(header):
    write_marks(header, WAVES, "avf")
    assert len(read_wfdb(header).annotations) == 4
    write_marks(header, [(at + 3, symbol, note) for at, symbol, note in WAVES[3:6]], "i")
    found = read_wfdb(header).annotations
    assert [a for a in found if a.duration_s == 0] == [Annotation(0.252, "?")]
    assert sorted((a.sensor, a.label) for a in found if a.duration_s) == [
        ("I", "QRS"), ("aVF", "P"), ("aVF", "QRS"), ("aVF", "T"),
    ]  # fmt: skip
    assert [a.label for a in read_waves(header, "aVF", 250.0, 2000)] == ["P", "QRS", "?", "T"]


def test_brackets_without_a_partner_mark_nothing(header):
    # a strip begins inside a T wave and ends inside a QRS complex; one P wave has lost its end
    marks = [(5, "t", ""), (9, ")", ""), (20, "(", ""), (30, "p", ""), (50, "(", ""), (60, "N", ""), (70, ")", ""),
             (100, "(", ""), (110, "N", "")]  # fmt: skip
    write_marks(header, marks, "ii")
    assert [a.label for a in read_wfdb(header).annotations] == ["QRS", "?", "?"]


def test_atr_comes_before_waves(header):
    write_marks(header, WAVES, "ii")
    write_marks(header, [(100, "N", "")])
    assert [a.label for a in read_wfdb(header).annotations] == ["N"]


def test_unclassed_beats_find_the_normal_beat_and_are_not_scored(header):
    marks = [(at, "N", "") for at in range(100, 1900, 200)]
    write_marks(header, [m for at, *_ in marks for m in ((at - 10, "(", ""), (at, "N", ""), (at + 10, ")", ""))], "ii")
    recording = read_wfdb(header)
    (window,) = adapter(residual=True).windows(recording)
    assert np.isfinite(window.values).all()
    (window,) = adapter().windows(recording, "beats")
    assert window.events is not None
    assert window.events.label == ("",) * 9
    (window,) = adapter().windows(recording, "rhythm")
    assert window.label == ()


@pytest.mark.parametrize(("marks", "name"), [("NLRBejn", "N"), ("AaJS", "S"), ("VEr", "V"), ("F", "F"), ("/fQ?", "")])
def test_every_beat_mark_of_physionet_has_its_aami_class(marks, name):
    assert set(marks) <= BEAT_MARKS
    assert {AAMI.get(mark, "") for mark in marks} == {name}


def test_a_wave_is_no_rhythm():
    assert [rhythm_class(mark) for mark in ("(N", "(AFIB", "(B", "(VT", "P", "QRS", "")] == [
        "sinus", "atrial fibrillation", "bigeminy", "other", "", "", "",
    ]  # fmt: skip


@pytest.mark.parametrize("extension", ["atr", "ii"])
def test_marks_outside_the_record_are_refused(header, extension):
    write_marks(header, [(100, "N", ""), (2021, "N", "")], extension)
    with pytest.raises(CorruptFileError, match=rf"r\.{extension}: marks out of order or outside.*got 100 to 2021"):
        read_wfdb(header)


def test_marks_a_little_behind_the_end_cost_themselves_alone(header):
    """As where a recording was cut, or a detector ran on."""
    write_marks(header, [(100, "N", ""), (1999, "V", ""), (2000, "N", ""), (2019, "N", "")])
    assert [a.label for a in read_wfdb(header).annotations] == ["N", "V"]


def test_beats_that_nobody_marked_are_found_where_heads_ask_for_them(header):
    recording = read_wfdb(header)
    (window,) = adapter(residual=True).windows(recording)
    assert np.isfinite(window.values).all(), "the difference to the normal beat needs beats"
    (window,) = adapter().windows(recording, "beats")
    assert window.events is not None
    assert len(window.events.at) >= 6
    assert set(window.events.label) == {""}


@pytest.mark.parametrize("content", [b"\x01", b"\x00\xec\xff\xff", b"\x64\xfc\xff"])
def test_a_damaged_mark_file_is_one_sentence(header, content):
    header.with_suffix(".atr").write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"r\.atr: cannot be read as WFDB"):
        read_wfdb(header)


def test_an_empty_mark_file(header):
    header.with_suffix(".atr").write_bytes(b"\x00\x00")
    assert read_wfdb(header).annotations == ()
