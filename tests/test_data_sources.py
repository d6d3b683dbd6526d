"""From a data block to sources: demo, named sets, manifests, and every way these can be wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from data_kit import Toy, toy_recording, write_corpus, write_toy
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch import InputError, Recording
from omnipatch.core.config import DataConfig, SplitConfig
from omnipatch.core.crop import crop
from omnipatch.core.data.label_task import label_task
from omnipatch.core.data.manifest import read_manifest
from omnipatch.core.data.sources import resolve_sources
from omnipatch.core.data.splits import make_splits
from omnipatch.core.data.store import WindowStore
from omnipatch.core.errors import OmnipatchError, SplitError
from omnipatch.core.modality import Annotation, Source, Task
from omnipatch.modalities.ecg import ECG


@pytest.fixture
def data(tmp_path, monkeypatch):
    """$OMNIPATCH_DATA with two named sets whose records share their names."""
    monkeypatch.setenv("OMNIPATCH_DATA", str(tmp_path))
    write_corpus(tmp_path / "toy" / "alpha", 6)
    write_corpus(tmp_path / "toy" / "beta", 3)
    (tmp_path / "toy" / "alpha" / "test.txt").write_text("r4 r5")
    return tmp_path


# ---- demo and named sets ---------------------------------------------------------------------------------------


def test_demo_is_the_default_and_a_function_of_its_seed():
    found = resolve_sources(Toy(), DataConfig())
    assert found.name == "demo"
    assert found.task.name == "beats"
    assert "synthetic" in found.note
    assert found.sources == resolve_sources(Toy(), DataConfig()).sources
    assert found.sources != resolve_sources(Toy(), DataConfig(demo_seed=1)).sources


def test_named_set_from_environment_or_root(data):
    found = resolve_sources(Toy(), DataConfig(name="alpha"))
    assert [source.record for source in found] == [f"r{i}" for i in range(6)]
    assert {source.record for source in found if source.split == "test"} == {"r4", "r5"}
    other = resolve_sources(Toy(), DataConfig(name="alpha", root=str(data / "toy" / "beta"), task="rhythm"))
    assert len(other) == 3
    assert other.task.name == "rhythm"


def test_limit_keeps_something_to_test_on(data):
    found = resolve_sources(Toy(), DataConfig(name="alpha", limit=3))
    assert [(source.record, source.split) for source in found] == [("r0", "train"), ("r1", "train"), ("r4", "test")]
    assert "limited to 3 of 6" in found.note


def test_additions_are_unlabelled_and_on_no_side(data, tmp_path):
    found = resolve_sources(Toy(), DataConfig(name="alpha", pretrain_with=("beta",)))
    assert [source.record for source in found][6:] == ["beta/r0", "beta/r1", "beta/r2"]
    store = WindowStore.prepare(Toy(), found, found.task, tmp_path / "cache")
    added = store.fixed_split == "pretrain"
    assert added.sum() == (store.record_code >= 6).sum() > 0
    assert not added[store.items().window].any()
    (split,) = make_splits(store, SplitConfig())
    assert split.kind == "official"
    assert np.isin(np.flatnonzero(added), split.windows(store, "pretrain")).all()


def test_test_subjects_do_not_come_back_as_additions(data, tmp_path):
    with pytest.raises(InputError, match=r"pretrained on already.*data\.pretrain_with, got alpha.*pretrain_on_test"):
        resolve_sources(Toy(), DataConfig(name="alpha", pretrain_with=("alpha",)))
    path = tmp_path / "mine.csv"
    rows = [f"toy/alpha/../alpha/r{i}.npz,p{i},{'x' if i % 2 else 'y'}" for i in range(4)]
    path.write_text("\n".join(["path,subject,label", *rows]))
    found = resolve_sources(Toy(), DataConfig(manifest=str(path), pretrain_with=("alpha", "alpha")))
    assert [source.record for source in found][4:] == ["alpha/r4", "alpha/r5"]
    assert "4 recordings of alpha left out" in found.note
    store = WindowStore.prepare(Toy(), found, found.task, tmp_path / "cache")
    (split,) = make_splits(store, SplitConfig())
    tested = {int(name[1:]) for name in split.test}
    seen = {store.records[code] for code in store.record_code[split.windows(store, "pretrain")]}
    assert not any(f"r{number}.npz" in name for number in tested for name in seen)


def test_recordings_of_one_set_that_are_published_in_another_too_are_no_additions(data, monkeypatch):
    """Under other names of people, the split could not tell."""
    sets = Toy().datasets() | {"beta": replace(Toy().datasets()["beta"], holds={"alpha": "r[02]"})}
    monkeypatch.setattr(Toy, "datasets", lambda self: sets)
    found = resolve_sources(Toy(), DataConfig(name="alpha", pretrain_with=("beta",)))
    assert [source.record for source in found][6:] == ["beta/r1"]
    assert "2 recordings of beta left out" in found.note
    with pytest.raises(InputError, match=r"alpha is a part of beta: its people are tested, field data\.pretrain_with"):
        resolve_sources(Toy(), DataConfig(name="beta", pretrain_with=("alpha",)))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (DataConfig(name="alhpa"), "no data set 'alhpa', field data.name; did you mean 'alpha'"),
        (DataConfig(name="alpha", root="/nowhere/at/all"), "no such file or folder.*omnipatch data fetch alpha"),
        (DataConfig(name="alpha", task="findings"), "no labels for task 'findings'.*beats | rhythm"),
        (DataConfig(name="demo", task="beast"), "no task 'beast'.*did you mean 'beats'"),
        (DataConfig(name="manifest"), "no manifest given; add --data.manifest"),
        (DataConfig(name="alpha", limit=0), "limit must be positive"),
        (DataConfig(name="alpha", pretrain_with=("gamma",)), "no data set 'gamma'"),
    ],
)
def test_wrong_data_blocks_are_one_sentence(data, config, words):
    with pytest.raises(InputError, match=words):
        resolve_sources(Toy(), config)


def test_no_folder_known_and_empty_folder(data, monkeypatch):
    (data / "empty").mkdir()
    with pytest.raises(InputError, match="no recording of alpha found"):
        resolve_sources(Toy(), DataConfig(name="alpha", root=str(data / "empty")))
    monkeypatch.delenv("OMNIPATCH_DATA")
    with pytest.raises(InputError, match=r"needs a folder.*--data\.root DIR, or set OMNIPATCH_DATA"):
        resolve_sources(Toy(), DataConfig(name="alpha"))


# ---- manifests ---------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        write_toy(tmp_path / "files" / f"m{number}.npz", toy_recording(rng, 20.0), label=(), subject="")
    return tmp_path


def manifest(folder, *rows, header="path,subject,label"):
    path = folder / "list.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_manifest_end_to_end(folder):
    rows = ["files/m0.npz,p0,ill,A", "files/m1.npz,p1,well|ill,A", ""]
    rows += [f"{folder}/files/m2.npz,p2,well,B", "files/m3.npz,p3,,B"]
    path = manifest(folder, *rows, header="path,subject,label,site")
    found = resolve_sources(Toy(), DataConfig(manifest=str(path)))
    assert found.name == "manifest"
    assert found.task.unit == "record"
    assert found.task.classes == ("ill", "well")
    assert "taken for" not in found.note
    assert found.task.multilabel
    store = WindowStore.prepare(Toy(), found, found.task, folder / "cache")
    assert store.subjects == ("p0", "p1", "p2", "p3")
    assert store.sites == ("A", "B")
    first = [np.flatnonzero(store.record_code == code)[0] for code in range(4)]
    np.testing.assert_array_equal(store.labels[first], [[1, 0], [1, 1], [0, 1], [np.nan, np.nan]])


@pytest.mark.parametrize(("subjects", "said"), [(("", ""), True), (("p1", "p2"), False)])
def test_a_manifest_that_names_nobody_says_so(folder, subjects, said):
    path = manifest(folder, *(f"files/m{number}.npz,{who},x" for number, who in enumerate(subjects)))
    assert ("no row of the manifest says who" in resolve_sources(Toy(), DataConfig(manifest=str(path))).note) == said


def test_manifest_labels_of_a_known_task(folder):
    path = manifest(folder, "files/m0.npz,p0,x|y", "files/m1.npz,p1,z")
    taken = resolve_sources(Toy(), DataConfig(manifest=str(path)))
    assert taken.task.name == "findings"
    assert "the labels were taken for those of task findings, whose classes they are among" in taken.note
    path = manifest(folder, "files/m0.npz,p0,", "files/m1.npz,p1,")
    assert resolve_sources(Toy(), DataConfig(manifest=str(path))).task is None
    assert resolve_sources(Toy(), DataConfig(manifest=str(path), task="beats")).task.name == "beats"


@pytest.mark.parametrize(
    ("labels", "scale", "said"),
    [
        ("012", "auto", True),
        ("012", "ordinal", False),
        ("012", "interval", False),
        ("01", "auto", False),
        ("01x", "auto", False),
    ],
)
def test_whole_numbers_taken_for_names_are_told(folder, labels, scale, said):
    path = manifest(folder, *(f"files/m{n}.npz,p{n},{label}" for n, label in enumerate(labels)))
    note = resolve_sources(ECG(), DataConfig(manifest=str(path), scale=scale)).note
    assert ("whole numbers and were taken for names of classes" in note) == said


def test_manifest_stretches_extras_and_byte_order_mark(folder):
    path = folder / "list.csv"
    header = "path,subject,label,start_s,stop_s,age,sex,text,notes"
    rows = ['files/m0.npz,p0,,2,10.5,61,F,"a, quoted",x', "files/m0.npz,p0,,10.5,,,,,"]
    path.write_text("\n".join([header, *rows]), encoding="utf-8-sig")
    first, second = read_manifest(path)
    assert (first.start_s, first.stop_s) == (2.0, 10.5)
    assert first.extras == {"age": 61.0, "sex": "F", "text": "a, quoted"}
    assert first.record != second.record
    store = WindowStore.prepare(Toy(), [first, second], None, folder / "cache")
    assert store.start_s.min() == 2.0
    assert store.start_s.max() == 18.5


class Hospital(Toy):
    """Record tasks whose classes share names."""

    def tasks(self):
        return {
            "findings": Task("findings", "record", ("x", "y", "z", "w"), multilabel=True),
            "few": Task("few", "record", ("x", "y", "z"), multilabel=True),
            "stage": Task("stage", "record", ("x", "low", "middle", "high")),
            "level": Task("level", "record", ("low", "middle", "high")),
            "wave": Task("wave", "window", ("low", "high")),
        }


@pytest.mark.parametrize(
    ("labels", "name", "classes"),
    [
        (["x", "y"], "manifest", ("x", "y")),  # one label each: not the task in which x and y may hold together
        (["x|y", "z"], "few", ("x", "y", "z")),
        (["x|y", "w"], "findings", ("x", "y", "z", "w")),
        (["x|low", "high"], "manifest", ("high", "low", "x")),  # two labels: no task of one label
        (["low", "high", ""], "level", ("low", "middle", "high")),
        (["low", "x"], "stage", ("x", "low", "middle", "high")),
        (["low", "odd"], "manifest", ("low", "odd")),
    ],
)
def test_whose_task_the_labels_of_a_manifest_are(labels, name, classes):
    sources = [Source(None, f"r{i}", label=tuple(filter(None, cell.split("|")))) for i, cell in enumerate(labels)]
    task = label_task(sources, Hospital())
    assert (task.name, task.classes) == (name, classes)
    assert task.multilabel == any("|" in cell for cell in labels)


def test_labels_that_exclude_each_other_are_learned_as_such(folder):
    """Two classes that a challenge counts among its nine findings are two classes here."""
    path = manifest(folder, "files/m0.npz,p0,AF", "files/m1.npz,p1,Normal")
    task = resolve_sources(ECG(), DataConfig(manifest=str(path))).task
    assert (task.name, task.multilabel, task.classes) == ("manifest", False, ("AF", "Normal"))


PLAIN, WITH_SPLIT = "path,subject,label", "path,subject,label,split"


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        ("path,subject", ["files/m0.npz,p"], "list.csv:1: column 'label' is missing"),
        ("path;subject;label", ["files/m0.npz;p;x"], "separate columns with commas, not ';'"),
        ("path,subject,label,spilt", ["files/m0.npz,p,x,train"], "unknown column 'spilt'; did you mean 'split'"),
        ("path,subject,label,label", ["files/m0.npz,p,x,x"], "column 'label' appears twice"),
        ("Path,Subject,Label", ["files/m0.npz,p,x"], "write 'path' instead of 'Path'"),
        ("", [], "the manifest is empty"),
        (PLAIN, [], "lists no recordings"),
        (PLAIN, ['"files/m0.npz,p,x'], "close every double quote"),
        (PLAIN, ["files\\m0.npz,p,x"], "separate folders by /"),
        ("path,subject,label,start_s", ['files/m0.npz,p,x,"0,5"'], "got 0,5.*write the decimal point as a point"),
        (PLAIN, ["files/m0.npz,p"], "list.csv:2: row and header differ.*got 2 cells, expected 3 cells"),
        (PLAIN, ["files/m0.npz,p,x,y"], "got 4 cells, expected 3 cells"),
        (PLAIN, ["files/m9.npz,p,x"], "list.csv:2: the file does not exist, field path, got files/m9.npz"),
        (PLAIN, [",p,x"], "list.csv:2: empty cell, field path"),
        (PLAIN, ["files/m9.npz,p,x", ",p,x"], "and 1 more bad rows"),
        (PLAIN, ["files/m0.npz,p,x"] * 2, r"list.csv:3: the recording is listed twice \(first in line 2\)"),
        (PLAIN, ["files/m0.npz,p,x", "files/m1.npz,,x"], "list.csv:3: the subject is empty here but.*; fill it in, or"),
        (WITH_SPLIT, ["files/m0.npz,p,x,dev"], "unknown side, field split, got dev, expected train | validation"),
        (WITH_SPLIT, ["files/m0.npz,p,x,train", "files/m1.npz,q,x,"], "list.csv:3: the side is empty here"),
        ("path,subject,label,start_s", ["files/m0.npz,p,x,soon"], "bad number, field start_s, got soon"),
        ("path,subject,label,stop_s", ["files/m0.npz,p,x,nan"], "bad number, field stop_s, got nan"),
        ("path,subject,label,start_s,stop_s", ["files/m0.npz,p,x,5,4"], "the stretch is empty, field stop_s, got 4.0"),
        ("path,subject,label,age", ["files/m0.npz,p,x,-3"], "bad number, field age"),
    ],
)  # fmt: skip
def test_bad_manifests_name_line_and_field(folder, header, rows, words):
    with pytest.raises(InputError, match=words):
        read_manifest(manifest(folder, *rows, header=header))


def test_subject_on_two_sides_of_a_manifest(folder):
    path = manifest(folder, "files/m0.npz,p,x,train", "files/m1.npz,p,x,test", header=WITH_SPLIT)
    with pytest.raises(SplitError, match=r"subject 'p' in test, train.*move all rows of a subject"):
        read_manifest(path)


@pytest.mark.parametrize("other", ["files/r.hea", "./files/../files/r", "files/r.dat"])
def test_other_spellings_of_a_recording_are_the_same_one(folder, other):
    """Under two names, it could be learned from and tested on."""
    for ending in ("", ".hea", ".dat"):
        (folder / f"files/r{ending}").write_bytes(b"")
    with pytest.raises(InputError, match=r"list.csv:3: the recording is listed twice \(first in line 2\)"):
        read_manifest(manifest(folder, "files/r,p,x", f"{other},q,x"))


def test_files_that_differ_by_their_ending_alone_are_two_recordings(folder):
    for ending in ("wav", "flac"):
        (folder / f"files/r.{ending}").write_bytes(b"")
    assert len(read_manifest(manifest(folder, "files/r.wav,p,x", "files/r.flac,q,x"))) == 2


def test_manifest_that_is_no_text(folder):
    with pytest.raises(InputError, match="no such manifest"):
        read_manifest(folder / "missing.csv")
    (folder / "binary.csv").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="cannot be read as text"):
        read_manifest(folder / "binary.csv")
    (folder / "latin.csv").write_bytes("path,subject,label\na,Müller,x\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin.csv:2: cannot be read as text.*save it as UTF-8 CSV"):
        read_manifest(folder / "latin.csv")


@settings(deadline=None, max_examples=200)
@given(
    content=st.one_of(
        st.binary(max_size=200), st.text(max_size=200).map(lambda t: ("path,subject,label\n" + t).encode())
    )
)
def test_no_manifest_raises_anything_but_a_sentence(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    with pytest.raises(OmnipatchError) as caught:
        read_manifest(path)
    assert "\n" not in str(caught.value).strip() or "got" in str(caught.value)


# ---- stretches ---------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 30), st.integers(1, 40))
def test_crop_keeps_samples_and_annotations_together(first, length):
    sfreq_hz, samples = 10.0, 40
    ramp = np.arange(samples, dtype=np.float32)[None]
    points = tuple(Annotation(i / sfreq_hz, str(i)) for i in range(samples))
    spans = (Annotation(0.55, "span", 1.5),)
    recording = Recording(ramp, ("a",), sfreq_hz, "mV", "r", annotations=points + spans)
    start, stop = first / sfreq_hz, (first + length) / sfreq_hz
    cut = crop(recording, start, stop)
    np.testing.assert_array_equal(cut.signals[0], np.arange(first, min(first + length, samples)))
    for annotation in cut.annotations:
        if annotation.label == "span":
            assert annotation.onset_s == pytest.approx(max(0.55 - start, 0))
            assert annotation.onset_s + annotation.duration_s == pytest.approx(min(2.05, stop) - start)
        else:
            assert cut.signals[0, round(annotation.onset_s * sfreq_hz)] == float(annotation.label)
    kept = [a for a in cut.annotations if a.label != "span"]
    assert len(kept) == cut.signals.shape[1]
    assert any(a.label == "span" for a in cut.annotations) == (start < 2.05 and stop > 0.55)


def test_crop_outside_the_recording():
    recording = toy_recording(np.random.default_rng(0), 5.0)
    assert crop(recording, None, None) is recording
    with pytest.raises(InputError, match=r"holds no samples.*inside 0 to 5 s"):
        crop(replace(recording), 6.0, None)
