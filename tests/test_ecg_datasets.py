"""Named data sets in their own layout, written small: sides, subjects, sites, and one sentence for a wrong folder."""

from __future__ import annotations

import numpy as np
import pytest
from ecg_kit import STANDARD_LEADS, adapter, named, patient, write_challenge, write_dat, write_marks
from omnipatch.core.config import DataConfig
from omnipatch.core.data.sources import resolve_sources
from omnipatch.core.errors import InputError
from omnipatch.modalities.ecg.datasets import DS1, DS2, list_cinc2021, list_ludb, list_mitdb


def _records(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    signals = named(patient(0, duration_s=3.0))
    for name in names:
        write_dat(folder, name, signals)
    return folder


def test_the_division_of_de_chazal():
    assert len(DS1) == len(DS2) == 22
    assert not set(DS1) & set(DS2)
    assert not {102, 104, 107, 217} & {*DS1, *DS2}


def test_mitdb_takes_its_sides_from_the_paper(tmp_path):
    sources = list_mitdb(_records(tmp_path / "mitdb", "101", "100", "102", "999"))
    assert [(s.record, s.subject, s.site, s.split) for s in sources] == [
        ("100", "100", "bih", "test"), ("101", "101", "bih", "train"),
    ]  # fmt: skip
    assert all(s.path is not None and s.path.is_file() for s in sources)


def test_lists_in_the_folder_come_before_the_paper(tmp_path):
    root = _records(tmp_path, "101", "100", "103")
    (root / "DS1.txt").write_text("100\n103\n")
    (root / "DS2.txt").write_text("101\n")
    assert {s.record: s.split for s in list_mitdb(root)} == {"100": "train", "101": "test", "103": "train"}
    (root / "DS2.txt").write_text("101 103\n")
    with pytest.raises(InputError, match=r"stands in DS1 and DS2, got \['103'\]"):
        list_mitdb(root)


def test_one_man_with_two_records_is_on_one_side(tmp_path):
    sources = list_mitdb(_records(tmp_path, "201", "202", "100"))
    assert {s.record: s.split for s in sources} == {"201": "train", "100": "test"}
    (tmp_path / "DS1.txt").write_text("201 202")
    (tmp_path / "DS2.txt").write_text("100")
    assert {s.record: s.subject for s in list_mitdb(tmp_path)} == {"201": "201", "202": "201", "100": "100"}


def test_ludb_is_a_patient_a_record(tmp_path):
    _records(tmp_path / "data", "1", "10")
    sources = list_ludb(tmp_path)
    assert [(s.record, s.subject, s.split) for s in sources] == [("ludb1", "ludb1", ""), ("ludb10", "ludb10", "")]
    recording = adapter().load(sources[0])
    assert (recording.record, recording.subject, recording.site) == ("ludb1", "ludb1", "ludb")


def test_cinc2021_names_its_centres_at_any_depth(tmp_path):
    signals = named(patient(0, STANDARD_LEADS, duration_s=3.0))
    for folder, name in (("ptb-xl/g1", "HR00001"), ("georgia", "E00001"), (".", "A0001")):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        write_challenge(tmp_path / folder, name, signals, record_name=f"{name}.mat")
    sources = list_cinc2021(tmp_path)
    assert {s.record: s.site for s in sources} == {"A0001": "A", "E00001": "E", "HR00001": "HR"}
    assert adapter().load(sources[0]).label == ("426783006", "164889003")


@pytest.mark.parametrize("name", ["mitdb", "ludb", "cinc2021"])
def test_a_missing_root_or_a_wrong_layout_is_one_sentence(tmp_path, monkeypatch, name):
    ecg = adapter()
    monkeypatch.delenv("OMNIPATCH_DATA", raising=False)
    with pytest.raises(InputError, match=f"{name} needs a folder.*data.root.*OMNIPATCH_DATA"):
        resolve_sources(ecg, DataConfig(name=name))
    with pytest.raises(InputError, match="no such file or folder"):
        resolve_sources(ecg, DataConfig(name=name, root=str(tmp_path / "nowhere")))
    (tmp_path / "holiday.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(
        InputError, match=rf"wrong layout for data set {name}, got no \.hea file, expected WFDB records"
    ):
        resolve_sources(ecg, DataConfig(name=name, root=str(tmp_path)))
    monkeypatch.setenv("OMNIPATCH_DATA", str(tmp_path))
    with pytest.raises(InputError, match=rf"ecg/{name}: there is no such file or folder"):
        resolve_sources(ecg, DataConfig(name=name))


def test_records_of_another_set_are_not_mitdb(tmp_path):
    with pytest.raises(InputError, match=r"no record of DS1 or DS2, expected 101\.hea"):
        list_mitdb(_records(tmp_path, "a", "b"))


def test_beats_near_the_ends_and_paced_ones_are_not_scored(tmp_path):
    recording = patient(0, duration_s=12.0)
    header = write_dat(tmp_path, "100", named(recording))
    marks = [(20, "N"), (100, "N"), (300, "L"), (500, "a"), (700, "V"), (900, "F"), (1100, "/"), (1300, "Q"),
             (1500, "j"), (1700, "~"), (1900, "E"), (2990, "N")]  # fmt: skip
    write_marks(header, [(at, mark, "") for at, mark in marks])
    ecg = adapter()
    found = {}
    for window in ecg.windows(ecg.load(list_mitdb(tmp_path)[0]), "beats"):
        for at, label in zip(window.events.at, window.events.label, strict=True):
            found[round((at + window.start_s) * 250)] = label
    assert found == {20: "", 100: "N", 300: "N", 500: "S", 700: "V", 900: "F", 1100: "", 1300: "", 1500: "N", 1900: "V",
                     2990: ""}  # fmt: skip


def test_every_beat_is_labelled_in_exactly_one_window():
    ecg = adapter()
    for seed in range(4):
        recording = patient(seed, duration_s=47.0)
        beats = sum(a.duration_s == 0 for a in recording.annotations)
        windows = ecg.windows(recording, "beats")
        assert sum(len(w.events.at) for w in windows) == beats
        assert all(np.all((w.events.at >= 0) & (w.events.at <= 10.0)) for w in windows)
