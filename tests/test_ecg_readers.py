"""PTB-XL, CPSC 2018, CODE-15 % and the words of LUDB: sides, people, labels, and one sentence for what is wrong."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from ecg_kit import STANDARD_LEADS, adapter, edit, named, patient, write_challenge, write_dat
from ecg_sets_kit import signals, write_code15, write_cpsc2018, write_ptbxl
from omnipatch.core.data.store import WindowStore
from omnipatch.core.errors import InputError
from omnipatch.modalities.ecg.datasets import DATASETS, list_code15, list_cpsc2018, list_ludb, list_ptbxl
from omnipatch.modalities.ecg.datasets.layout import personal
from omnipatch.modalities.ecg.findings import findings, statements
from omnipatch.modalities.ecg.record_tasks import label_sets, record_labels


def test_the_tables_count_what_their_sources_count():
    assert (len(findings()), sum(f.scored for f in findings().values())) == (133, 30)
    kinds = [kind for s in statements().values() for kind in s.kinds]
    assert [kinds.count(k) for k in ("diagnostic", "form", "rhythm")] == [44, 19, 12]
    sizes = {name: len(found.task.classes) for name, found in label_sets().items()}
    assert sizes["diagnosis"] == 26
    names = ("all", "diagnostic", "subdiagnostic", "superdiagnostic", "form", "rhythm")
    assert [sizes[f"ptbxl-{name}"] for name in names] == [71, 44, 23, 5, 19, 12]


@pytest.mark.parametrize("name", label_sets())
def test_every_class_has_a_term_and_understands_itself(name):
    found = label_sets()[name]
    assert {c for classes in found.members.values() for c in classes} == set(found.task.classes)
    for class_name in found.task.classes:
        if name.endswith("diagnostic") and name != "ptbxl-diagnostic":
            continue  # superclasses and subclasses are no statements
        assert class_name in found.classes_of([class_name])


@pytest.mark.parametrize(
    ("task", "terms", "label"),
    [
        ("diagnosis", ["713427006"], ("right bundle branch block",)),  # complete and plain count as one
        ("diagnosis", ["164934002", "67741000119109"], ("abnormal T wave",)),
        ("diagnosis", ["67741000119109"], ("",)),  # looked at, nothing that is scored
        ("diagnosis", [], ()),
        ("record-rhythm", ["Rhythm: Sinus rhythm.", "164889003"], ("atrial fibrillation", "sinus rhythm")),
        ("record-rhythm", ["10370003"], ()),
        ("ludb-conduction", ["III degree AV-block"], ("atrioventricular block", "any conduction abnormality")),
        ("ptbxl-superdiagnostic", ["NDT", "SR", "LVH"], ("STTC", "HYP")),
        ("ptbxl-form", ["SR"], ()),
        ("cpsc2018", ["164884008"], ("PVC",)),
        ("code15", ["no finding"], ("",)),
    ],
)
def test_terms_become_classes(task, terms, label):
    assert set(record_labels(task, terms)) == set(label)


def test_ptbxl_has_its_folds_patients_and_statements(tmp_path):
    root = write_ptbxl(tmp_path)
    sources = list_ptbxl(root)
    assert [s.split for s in sources] == ["train", "train", "validation", "test", "train"]
    assert sources[0].subject == sources[4].subject == "ptbxl10"
    assert [s.label for s in sources][1] == ("IMI", "AFIB")
    assert sources[0].extras == {"age": "56.0", "sex": "1", "text": "sinusrhythmus"}
    ecg = adapter()
    recording = ecg.load(sources[0])
    assert (recording.sfreq_hz, recording.sensors, recording.record) == (100.0, STANDARD_LEADS, "ptbxl1")
    assert recording.extras["text"] == "sinusrhythmus", "what ecg-report learns from"
    labels = [ecg.windows(ecg.load(s), "ptbxl-superdiagnostic")[0].label for s in sources]
    assert labels == [("NORM",), ("MI",), ("STTC", "HYP"), (), ("CD",)]


@pytest.mark.parametrize(("cell", "age"), [("56.0", "56.0"), ("300.0", "90"), (">89", "90"), ("about 40", "about 40")])
def test_ages_that_are_hidden_are_ninety(cell, age):
    assert personal({"Age": cell, "Sex": "F"}, age="Age", sex="Sex") == {"age": age, "sex": "F"}
    assert personal({"Age": "", "Sex": "F"}, age="Age", sex="Sex") == {"sex": "F"}


@pytest.mark.parametrize(("name", "write"), [("ptbxl", write_ptbxl), ("code15", write_code15)])
def test_age_and_sex_are_a_control_where_a_set_tells_them(name, write, tmp_path):
    told = DATASETS[name].covariates
    assert len(told) == 2
    (tmp_path / name).mkdir()
    assert all(set(told) <= set(source.extras) for source in DATASETS[name].list_sources(write(tmp_path / name)))


def test_ptbxl_tells_a_missing_file_from_a_folder_that_is_not_there(tmp_path):
    root = write_ptbxl(tmp_path / "ptbxl")
    (root / "records100/00000/00003_lr.hea").unlink()
    store = WindowStore.prepare(adapter(), list_ptbxl(root), "ptbxl-superdiagnostic", tmp_path / "cache")
    assert [(s.record, "no WFDB header" in s.reason) for s in store.skipped] == [("ptbxl3", True)]
    (root / "records500").mkdir()
    assert list_ptbxl(root) == []  # 500 Hz is preferred; core says that nothing was found


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("strat_fold", "fold", "columns are missing.*strat_fold"),
        ("{'IMI': 80.0, 'AFIB': 0.0}", "{'IMI': 80.0, 'XYZ': 0.0}", "line 3, scp_codes, got XYZ"),
        ("{'SBRAD': 0.0}", "__import__('os')", "line 5, scp_codes"),
        ("13.0,", "x,", "line 5, patient_id, got x, expected a whole number"),
        (",10,records100", ",11,records100", "line 5, strat_fold, got 11, expected 1 to 10"),
        ("records100/00000/00002_lr", "../../etc/passwd", "line 3, filename_lr.*below the table"),
    ],
)
def test_a_damaged_ptbxl_table_is_one_sentence(tmp_path, old, new, words):
    edit(write_ptbxl(tmp_path) / "ptbxl_database.csv", (old, new))
    with pytest.raises(InputError, match=words):
        list_ptbxl(tmp_path)


def test_other_statements_are_another_version(tmp_path):
    edit(write_ptbxl(tmp_path) / "scp_statements.csv", ("LVH,HYP,LVH", "LVH,CD,LVH"))
    with pytest.raises(InputError, match=r"statements differ from those of PTB-XL 1\.0\.3, got LVH"):
        list_ptbxl(tmp_path)


def test_cpsc2018_in_the_layout_of_its_organisers(tmp_path):
    sources = list_cpsc2018(write_cpsc2018(tmp_path))
    assert [(s.record, s.label) for s in sources] == [
        ("cpscA0001", ("RBBB",)), ("cpscA0002", ("Normal",)), ("cpscA0003", ("AF", "STD")),
    ]  # fmt: skip
    ecg = adapter()
    recording = ecg.load(sources[2])
    assert (recording.sfreq_hz, recording.sensors, recording.subject) == (500.0, STANDARD_LEADS, "cpscA0003")
    np.testing.assert_allclose(recording.signals, signals(3, sfreq_hz=500.0), atol=1e-6)
    assert ecg.windows(recording, "cpsc2018")[0].label == ("AF", "STD")
    edit(tmp_path / "TrainingSet1/REFERENCE.csv", ("A0001,5", "A0001,10"))
    with pytest.raises(InputError, match=r"line 2, label, got \[10\], expected 1 to 9"):
        list_cpsc2018(tmp_path)


def test_cpsc2018_in_the_form_of_the_physionet_challenges(tmp_path):
    write_challenge(tmp_path, "A0001", named(patient(0, STANDARD_LEADS, 3.0)), dx="#Dx: 59118001,164884008")
    ecg = adapter()
    assert ecg.windows(ecg.load(list_cpsc2018(tmp_path)[0]), "cpsc2018")[0].label == ("RBBB", "PVC")


def test_code15_reads_one_exam_of_many(tmp_path):
    pytest.importorskip("h5py")
    sources = list_code15(write_code15(tmp_path))
    assert [(s.record, s.subject, s.label) for s in sources] == [
        ("code590673", "code1000", ("RBBB", "AF")), ("code590674", "code1000", ("no finding",)),
        ("code1169160", "code1001", ("SB",)),
    ]  # fmt: skip
    ecg = adapter()
    recording = ecg.load(sources[2])
    assert recording.record == "code1169160"
    np.testing.assert_allclose(recording.signals, signals(1169160, sfreq_hz=400.0), atol=1e-6)  # padding is cut off
    store = WindowStore.prepare(ecg, sources, "code15", tmp_path / "cache")
    assert store.items().label.tolist() == [[0, 1, 0, 0, 1, 0], [0] * 6, [0, 0, 0, 1, 0, 0]]
    with pytest.raises(InputError, match="exam is not in its file once"):
        ecg.read(tmp_path / "exams_part0.hdf5" / "99")


def test_without_h5py_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"needs h5py.*omnipatch\[code15\]"):
        adapter().read(tmp_path / "exams_part0.hdf5" / "1")


def test_ludb_words_come_from_its_table_or_its_headers(tmp_path):
    says = ["<age>: 51", "<diagnoses>:", "Rhythm: Sinus bradycardia.", "Left ventricular hypertrophy."]
    for name in ("1", "2"):
        write_dat(tmp_path, name, named(patient(0, duration_s=3.0)), comments=says)
    (tmp_path / "ludb.csv").write_text(
        'ID,Sex,Age,Rhythms,Conduction\n1,M,64,Atrial fibrillation,"I degree AV block\nLeft anterior hemiblock"\n'
    )
    ecg = adapter()
    told, read = (ecg.load(source) for source in list_ludb(tmp_path))
    assert told.label == ("Atrial fibrillation", "I degree AV block", "Left anterior hemiblock")
    assert read.label == ("Rhythm: Sinus bradycardia", "Left ventricular hypertrophy")
    assert ecg.windows(read, "ludb-rhythm")[0].label == ("sinus bradycardia",)
    assert ecg.windows(told, "ludb-rhythm")[0].hand is not None


def test_a_repaired_header_is_reported(tmp_path):
    header = write_challenge(tmp_path, "E1", named(patient(0, STANDARD_LEADS, 3.0)), record_name="E1.mat")
    assert "names the record E1.mat" in adapter().quality(adapter().read(header))["header"]


@pytest.mark.parametrize("name", ["ptbxl", "cpsc2018", "code15"])
def test_an_empty_folder_is_a_wrong_layout(tmp_path, name):
    with pytest.raises(InputError, match=f"wrong layout for data set {name}, got .*, expected "):
        DATASETS[name].list_sources(tmp_path)
