"""Readers of public EEG data sets, on small folders in their layouts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from eeg_files_kit import SFREQ_HZ, head, write_edf, write_gdf
from omnipatch.core.data.fingerprint import store_key
from omnipatch.core.errors import CorruptFileError, InputError
from omnipatch.core.modality import Annotation, Recording
from omnipatch.modalities.eeg import EEG, EEGConfig
from omnipatch.modalities.eeg.datasets import (
    DATASETS,
    TASKS,
    list_bci_iv_2a,
    list_bids,
    list_eegbci,
    list_eegmat,
    list_sleep_edf,
    list_tuab,
    list_tuev,
)  # fmt: skip
from omnipatch.modalities.eeg.electrodes import read_electrodes
from omnipatch.modalities.eeg.marking import apply_marking, around_sleep
from omnipatch.modalities.eeg.reading import read_eeg
from scipy.io import savemat

_2A_NAMES = [
    "EEG-Fz", *(f"EEG-{i}" for i in range(6)), "EEG-C3", "EEG-6", "EEG-Cz", "EEG-7", "EEG-C4",
    *(f"EEG-{i}" for i in range(8, 15)), "EEG-Pz", "EEG-15", "EEG-16", "EOG-left",
]  # fmt: skip


def _make(path, names=("Fp1", "C3", "Cz", "O2"), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_edf(path, head(names), **options)


def _load(source):
    return apply_marking(read_eeg(source.path), source)


def _marks(source):
    return [(a.onset_s, a.duration_s, a.label) for a in _load(source).annotations]


def test_eegmat_takes_state_and_counting_from_the_name(tmp_path):
    for name in ("Subject00_1", "Subject00_2", "Subject01_1"):
        _make(tmp_path / f"{name}.edf")
    sources = list_eegmat(tmp_path)
    assert [(s.record, s.subject, s.label) for s in sources] == [
        ("Subject00_1", "Subject00", ("rest", "bad")),
        ("Subject00_2", "Subject00", ("task", "bad")),
        ("Subject01_1", "Subject01", ("rest", "good")),
    ]


@pytest.mark.parametrize("top", ["", "edf/"])
@pytest.mark.parametrize("deep", ["", "000/00000021/s004_2013_08_15/"])
def test_tuab_takes_side_and_label_from_the_folder(tmp_path, top, deep):
    for side, label, name in (
        ("train", "normal", "aaaaamye_s001_t000"), ("train", "abnormal", "aaaaamye_s003_t000"),
        ("eval", "abnormal", "aaaaaxyz_s001_t001"),
    ):  # fmt: skip
        _make(tmp_path / f"{top}{side}/{label}/01_tcp_ar/{deep}{name}.edf")
    found = {(s.record, s.subject, s.split, s.label) for s in list_tuab(tmp_path)}
    assert found == {
        ("tuabaaaaamye_s001_t000", "tuabaaaaamye", "train", ("normal",)),
        ("tuabaaaaamye_s003_t000", "tuabaaaaamye", "train", ("abnormal",)),
        ("tuabaaaaaxyz_s001_t001", "tuabaaaaaxyz", "test", ("abnormal",)),
    }


def test_tuev_events_are_of_the_whole_head_and_padded(tmp_path):
    path = _make(tmp_path / "edf/train/aaaaaaar/aaaaaaar_00000001.edf")
    path.with_suffix(".rec").write_text("0,2.2,3.2,1\n5,2.2,3.2,1\n7,0.5,1.0,6\n")
    evaluation = _make(tmp_path / "edf/eval/000/bckg_000_a_.edf")
    evaluation.with_suffix(".rec").write_text("")
    first, second = sorted(list_tuev(tmp_path), key=lambda s: s.split, reverse=True)
    assert (first.subject, first.split, second.subject, second.split) == (
        "tuevaaaaaaar",
        "train",
        "tuev-eval000",
        "test",
    )
    assert _marks(first) == [(0.0, 3.0, "BCKG"), (pytest.approx(0.2), pytest.approx(3.8), "SPSW")]
    assert _marks(second) == []


@pytest.mark.parametrize("row", ["1,2,3", "1,x,3,4", "1,3,2,4", "1,nan,3,4"])
def test_a_damaged_file_of_events_is_one_sentence(tmp_path, row):
    path = _make(tmp_path / "train/a/a_1.edf")
    path.with_suffix(".rec").write_text(f"0,1,2,6\n{row}\n")
    with pytest.raises(CorruptFileError, match=r"a_1\.rec: bad row, field line 2"):
        _load(list_tuev(tmp_path)[0])


def test_a_missing_file_of_events_is_one_sentence(tmp_path):
    _make(tmp_path / "train/a/a_1.edf")
    with pytest.raises(InputError, match=r"a_1\.rec: file beside a recording cannot be read"):
        list_tuev(tmp_path)


def test_sleep_edf_pairs_nights_with_hypnograms(tmp_path):
    stages = [(0.0, 1.0, "Sleep stage W"), (1.0, 1.0, "Sleep stage 4"), (2.0, 1.0, "Sleep stage R"),
              (3.0, 1.0, "Sleep stage ?")]  # fmt: skip
    for night in ("SC4001", "SC4002", "ST7011"):
        folder = tmp_path / ("sleep-cassette" if night[1] == "C" else "sleep-telemetry")
        folder.mkdir(exist_ok=True)
        write_edf(folder / f"{night}E0-PSG.edf", head(("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal")))
        write_edf(folder / f"{night}EC-Hypnogram.edf", head(("EEG Fpz-Cz",)), marks=stages)
    sources = list_sleep_edf(tmp_path)
    assert [(s.record, s.subject, s.site) for s in sources] == [
        ("SC4001E", "SC400", "cassette"), ("SC4002E", "SC400", "cassette"), ("ST7011E", "ST701", "telemetry"),
    ]  # fmt: skip
    recording = _load(sources[0])
    assert recording.sensors == ("Fpz-Cz", "Pz-Oz")
    assert [a.label for a in recording.annotations] == ["W", "N3", "REM", "Sleep stage ?"]
    assert [a.label for a in EEG(EEGConfig(wake_s=0.0)).load(sources[0]).annotations] == ["N3", "REM"]
    (tmp_path / "sleep-cassette/SC4001EC-Hypnogram.edf").unlink()
    with pytest.raises(InputError, match=r"one hypnogram, got 0 files, expected SC4001E\?-Hypnogram"):
        list_sleep_edf(tmp_path)


def test_eegbci_names_classes_by_run(tmp_path):
    marks = [(0.0, 1.0, "T0"), (1.0, 1.0, "T1"), (2.0, 1.0, "T2")]
    for name in ("S001R01", "S001R02", "S001R03", "S001R04", "S001R05", "S001R06", "S001R12", "S001R14", "S088R03"):
        _make(tmp_path / name[:4] / f"{name}.edf", marks=marks)
    sources = {s.record: s for s in list_eegbci(tmp_path)}
    assert "S088R03" not in sources
    assert [sources[name].label for name in ("S001R01", "S001R02")] == [("eyes open",), ("eyes closed",)]
    meant = {
        "S001R03": ("left fist", "right fist"),
        "S001R04": ("imagined left fist", "imagined right fist"),
        "S001R05": ("both fists", "both feet"),
        "S001R06": ("imagined both fists", "imagined both feet"),
        "S001R12": ("imagined left fist", "imagined right fist"),
        "S001R14": ("imagined both fists", "imagined both feet"),
    }
    for name, (one, two) in meant.items():
        assert [mark[2] for mark in _marks(sources[name])] == ["T0", one, two]
    assert {s.subject for s in sources.values()} == {"S001"}


def test_bci_iv_2a_reads_cues_and_true_labels(tmp_path):
    x = head(_2A_NAMES, duration_s=12.0)
    at = [round(s * SFREQ_HZ) for s in (1, 6)]
    write_gdf(tmp_path / "A01T.gdf", x, events=[(at[0], 769), (at[1], 772)])
    write_gdf(tmp_path / "A01E.gdf", x, events=[(at[0], 783), (at[1], 783)])
    write_gdf(tmp_path / "A02E.gdf", x, events=[(at[0], 783)])
    savemat(tmp_path / "A01E.mat", {"classlabel": np.array([[2], [3]])})
    sources = {s.record: s for s in list_bci_iv_2a(tmp_path)}
    assert [(s.subject, s.site) for s in sources.values()][:2] == [("A01", "session 2"), ("A01", "session 1")]
    assert _marks(sources["A01T"]) == [(1.0, 4.0, "left hand"), (6.0, 4.0, "tongue")]
    assert _marks(sources["A01E"]) == [(1.0, 4.0, "right hand"), (6.0, 4.0, "feet")]
    assert [mark[2] for mark in _marks(sources["A02E"])] == ["783"]
    assert _load(sources["A01T"]).sensors[:9] == ("Fz", "FC3", "FC1", "FCz", "FC2", "FC4", "C5", "C3", "C1")
    assert len(_load(sources["A01T"]).sensors) == 22
    savemat(tmp_path / "A01E.mat", {"classlabel": np.array([[2]])})
    with pytest.raises(InputError, match="differ in number, got 1, expected 2 trials"):
        _load(sources["A01E"])
    savemat(tmp_path / "A01E.mat", {"other": np.array([[2]])})
    with pytest.raises(CorruptFileError, match=r"A01E\.mat: no classlabel"):
        _load(sources["A01E"])


def _bids(root):
    for subject, session in (("sub-01", ""), ("sub-02", "ses-a/")):
        tag = f"{subject}_{session[:-1] + '_' if session else ''}task-rest"
        path = _make(root / subject / f"{session}eeg" / f"{tag}_eeg.edf")
        path.with_name(f"{tag}_events.tsv").write_text(
            "onset\tduration\ttrial_type\tvalue\n0.5\t1.0\tgo\t1\n2.0\tn/a\tn/a\t7\nn/a\t1\tgo\t1\n3\t0\tn/a\tn/a\n"
        )
        path.with_name(f"{tag}_channels.tsv").write_text(
            "name\ttype\tstatus\nFp1\tEEG\tgood\nC3\tEEG\tbad\nECG\tECG\tbad\n"
        )
    (root / "participants.tsv").write_text(
        "participant_id\tage\tsex\tgroup\nsub-01\t30\tF\tpatient\nsub-02\tn/a\tM\tn/a\n"
    )


def test_bids_gives_subjects_groups_events_and_bad_channels(tmp_path):
    _bids(tmp_path)
    one, two = list_bids(tmp_path)
    assert (one.record, one.subject, one.label) == ("sub-01_task-rest", "sub-01", ("patient",))
    assert (two.record, two.subject, two.label) == ("sub-02_ses-a_task-rest", "sub-02", ())
    assert (one.extras["age"], one.extras["sex"]) == ("30", "F")
    assert "age" not in two.extras
    recording = _load(one)
    assert _marks(one) == [(0.5, 1.0, "go"), (2.0, 0.0, "7")]
    assert recording.extras["bad_channels"] == ("C3",)
    assert np.isnan(recording.signals[1]).all()
    assert np.isfinite(recording.signals[[0, 2, 3]]).all()


def test_bids_tables_are_inherited_from_above(tmp_path):
    """The nearest table whose name is a part of the recording's; of several in a folder the most exact one."""

    def events(name, label):
        (tmp_path / name).write_text(f"onset\tduration\ttrial_type\n1\t1\t{label}\n")

    _make(tmp_path / "sub-01/ses-a/eeg/sub-01_ses-a_task-rest_run-1_eeg.edf", ("Fp1", "C3", "E1", "Cz"))
    events("task-rest_events.tsv", "of all")
    events("task-other_events.tsv", "of another task")
    (tmp_path / "channels.tsv").write_text("name\ttype\tstatus\nC3\tEEG\tbad\n")
    (tmp_path / "sub-01/ses-a/sub-01_ses-a_space-x_electrodes.tsv").write_text("name\tx\ty\tz\nE1\t0\t0\t1\n")
    (tmp_path / "sub-01/sub-01_space-x_coordsystem.json").write_text('{"EEGCoordinateSystem": "CapTrak"}')
    (source,) = list_bids(tmp_path)
    recording = EEG().load(source)
    assert "input E1" in recording.sensors
    assert source.extras["marking"].axes.name == "../../sub-01_space-x_coordsystem.json"
    assert (recording.extras["bad_channels"], _marks(source)) == (("C3",), [(1.0, 1.0, "of all")])
    for name in ("sub-01_events.tsv", "sub-01_task-rest_events.tsv", "sub-01_task-rest_run-2_events.tsv"):
        events(f"sub-01/{name}", name)
    assert _marks(list_bids(tmp_path)[0])[0][2] == "sub-01_task-rest_events.tsv"
    events("sub-01/ses-a/eeg/sub-01_ses-a_task-rest_run-1_events.tsv", "own")
    assert _marks(list_bids(tmp_path)[0])[0][2] == "own"


def test_bids_tables_say_what_is_no_eeg(tmp_path):
    _bids(tmp_path)
    table = tmp_path / "sub-01/eeg/sub-01_task-rest_channels.tsv"
    table.write_text("name\ttype\nFp1\tEOG\nC3\tEEG\nCz\tn/a\n")
    recording = _load(list_bids(tmp_path)[0])
    assert recording.sensors == ("C3", "Cz", "O2")
    assert recording.extras["other_channels"] == {"Fp1": "eog"}
    table.write_text("name\ttype\n" + "".join(f"{name}\tMISC\n" for name in ("Fp1", "C3", "Cz", "O2")))
    with pytest.raises(CorruptFileError, match="no EEG channel by its table of channels"):
        _load(list_bids(tmp_path)[0])


def test_bids_tables_of_channels_hold_by_the_names_of_the_file(tmp_path):
    """What is bad stays bad under an alias, and as a numbered input that is no ear."""
    _make(tmp_path / "sub-01/eeg/sub-01_task-rest_eeg.bdf", ("A1", "A2", "A3", "A4", "A5"))
    (tmp_path / "channels.tsv").write_text("name\ttype\tstatus\nA1\tEEG\tbad\nA2\tEOG\tgood\nA3\tEEG\tbad\n")
    recording = EEG(EEGConfig(aliases=("A3=Pz",))).load(list_bids(tmp_path)[0])
    assert recording.sensors == ("input A1", "Pz", "input A4", "input A5")
    assert recording.extras["bad_channels"] == ("Pz", "input A1")
    assert np.isnan(recording.signals).all(axis=1).tolist() == [True, True, False, False]


@pytest.mark.parametrize(("system", "written"), [("CapTrak", (0.0, 0.7, 0.7)), ("EEGLAB", (0.7, 0.0, 0.7))])
def test_bids_electrodes_give_places_to_channels_without_a_known_name(tmp_path, system, written):
    """A point in the middle of the forehead's side of the head, as two conventions write it."""
    folder = tmp_path / "sub-01/eeg"
    _make(folder / "sub-01_task-a_eeg.edf", ("E1", "E2", "E3", "Cz"))
    rows = [("E1", *written), ("E2", 0, 0, 1), ("E3", "n/a", "n/a", "n/a"), ("Cz", 0, 0, 1)]
    table = folder / "sub-01_space-x_electrodes.tsv"
    table.write_text("name\tx\ty\tz\n" + "".join("\t".join(map(str, row)) + "\n" for row in rows))
    (folder / "sub-01_space-x_coordsystem.json").write_text(json.dumps({"EEGCoordinateSystem": system}))
    source = list_bids(tmp_path)[0]
    recording = EEG().load(source)
    assert recording.sensors == ("input E1", "input E2", "Cz")
    assert "E3" in recording.extras["unknown_channels"]
    x, y, z = recording.extras["positions"]["input E1"]
    assert abs(x) < 1e-9
    assert y > 0.5
    assert z > 0.5
    assert recording.extras["positions"]["input E2"] == pytest.approx((0, 0, 1))
    assert EEG().windows(recording), "they have a place, so they make tokens"
    key = store_key(EEG(), [source], None)
    table.write_text(table.read_text() + "E4\t1\t0\t0\n")
    assert store_key(EEG(), list_bids(tmp_path), None) != key, "an edited table is another source"


@pytest.mark.parametrize(
    ("table", "system", "said"),
    [
        ("name\tx\ty\nE1\t0\t1\n", "{}", "columns are missing"),
        ("name\tx\ty\tz\nE1\t0\tup\t1\n", "{}", "line 2, got 0, up, 1, expected three numbers"),
        ("name\tx\ty\tz\nE1\t0\tinf\t1\n", "{}", "three numbers"),
        ("name\tx\ty\tz\nE1\t0\t0\t1\n", "{", "cannot be read as JSON"),
    ],
)
def test_damaged_tables_of_electrodes_are_one_sentence(tmp_path, table, system, said):
    paths = tmp_path / "electrodes.tsv", tmp_path / "coordsystem.json"
    for path, text in zip(paths, (table, system), strict=True):
        path.write_text(text)
    with pytest.raises(CorruptFileError, match=said):
        read_electrodes(*paths)


def test_the_day_around_a_night_is_left_out():
    spans = [(0, 400, "W"), (400, 30, "N1"), (430, 30, "W"), (460, 60, "N2"), (520, 480, "W")]
    annotations = tuple(Annotation(float(at), label, float(length)) for at, length, label in spans)
    night = Recording(np.arange(1000, dtype=np.float32)[None], ("Cz",), 1.0, "uV", "a", annotations=annotations)
    cut = around_sleep(night, ("N1", "N2"), 60.0)
    assert cut.signals[0, [0, -1]].tolist() == [340, 579]
    assert [(a.onset_s, a.duration_s, a.label) for a in cut.annotations] == [
        (0, 60, "W"), (60, 30, "N1"), (90, 30, "W"), (120, 60, "N2"), (180, 60, "W"),
    ]  # fmt: skip
    assert around_sleep(night, ("N1", "N2"), 1e6).signals.shape == night.signals.shape
    assert around_sleep(night, ("REM",), 60.0) is night


def test_bids_refuses_a_person_nobody_took_part_as(tmp_path):
    _bids(tmp_path)
    (tmp_path / "participants.tsv").write_text("participant_id\nsub-01\n")
    with pytest.raises(InputError, match=r"participants\.tsv, got sub-02, expected one of .*sub-01, .*add a row"):
        list_bids(tmp_path)
    (tmp_path / "participants.tsv").write_text("name\nsub-01\n")
    with pytest.raises(CorruptFileError, match=r"columns are missing, got name, expected participant_id"):
        list_bids(tmp_path)


def test_an_edited_file_of_labels_is_another_source(tmp_path):
    path = _make(tmp_path / "train/a/a_1.edf")
    before, after = [], []
    for code, found in ((1, before), (2, after)):
        path.with_suffix(".rec").write_text(f"0,1,2,{code}\n")
        found.append(repr(list_tuev(tmp_path)[0].extras["marking"]))
    assert before != after
    assert str(tmp_path) not in before[0]


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_a_wrong_folder_says_what_was_expected(tmp_path, name):
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(InputError, match=f"wrong layout for data set {name}, got .*, expected .*"):
        DATASETS[name].list_sources(tmp_path)
    with pytest.raises(InputError, match=f"no folder for data set {name}"):
        DATASETS[name].list_sources(tmp_path / "nowhere")


def test_names_are_told_once():
    named = [name for d in DATASETS.values() for name in d.tasks if not name.startswith("rest-")]
    assert sorted(named) == sorted(TASKS)
    assert all(d.folder.startswith("eeg/") and d.licence and d.citation and d.instructions for d in DATASETS.values())
