"""Every verb as a user calls it, on one shared run of the toy modality."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from cli_kit import omni, write_recipe
from data_kit import Toy, write_corpus, write_toy
from omnipatch.core.report.words import TWO_STEPS

pytestmark = pytest.mark.usefixtures("toy_registered_throughout")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the recipe and one finished run."""
    folder = tmp_path_factory.mktemp("home")
    write_recipe(folder)
    done = omni("run", folder / "toy-jepa.yaml", "--out", folder / "run")
    assert done.code == 0, done.err
    assert done.out.strip().endswith("report.html")
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Six recordings of six subjects, in the layout of the named data set `alpha`, and a manifest of them."""
    folder = tmp_path_factory.mktemp("corpus")
    sources = write_corpus(folder / "alpha")
    rows = [f"alpha/{source.path.name},p{i},{'xy'[i % 2]}" for i, source in enumerate(sources)]
    (folder / "mine.csv").write_text("\n".join(["path,subject,label", *rows]) + "\n")
    return folder


def test_run_says_the_table_the_answer_and_where_the_report_is(home):
    done = omni("run", home / "toy-jepa.yaml", "--out", home / "said")
    assert "pretrained" in done.out
    assert "macro F1" in done.out
    assert "Pretraining" in done.out
    assert str(home / "said" / "report.html") in done.out
    assert "windows of 12 subjects" in done.err


@pytest.mark.parametrize(("verb", "takes"), [("run", True), ("evaluate", True), ("embed", False), ("compare", False)])
def test_help_says_whether_keys_of_a_recipe_are_options(verb, takes):
    assert ("--section.key VALUE" in omni(verb, "--help").out) == takes


def test_quiet_leaves_results_only(home):
    done = omni("evaluate", home / "toy-jepa.yaml", "--from", home / "run", "--out", home / "quiet", "-q",
                "--evaluate.protocols", "knn")  # fmt: skip
    assert done.code == 0
    assert done.err == ""
    assert "report.html" in done.out


def test_pretrain_leaves_a_model_and_no_results(home):
    done = omni("pretrain", home / "toy-jepa.yaml", "--out", home / "pre")
    assert done.code == 0, done.err
    assert done.out.strip() == str(home / "pre/report.html")
    assert (home / "pre/model/weights.safetensors").exists()
    assert not (home / "pre/results.json").exists()


def test_finetune_has_only_its_own_rows(home, corpus):
    done = omni("finetune", home / "toy-jepa.yaml", "--from", home / "run", "--out", home / "ft",
                "--data.manifest", corpus / "mine.csv")  # fmt: skip
    assert done.code == 0, done.err
    rows = json.loads((home / "ft/results.json").read_text())["rows"]
    assert {(row["model"], row["protocol"]) for row in rows} >= {("pretrained", "finetune"), ("scratch", "finetune")}
    assert {row["protocol"] for row in rows if row["model"] == "pretrained"} == {"finetune"}


@pytest.mark.parametrize("how", ["root", "environment", "manifest"])
def test_evaluate_on_other_data(home, corpus, how, monkeypatch):
    (corpus / "toy").mkdir(exist_ok=True)
    data = {
        "root": ["--data.name", "alpha", "--data.root", corpus / "alpha"],
        "environment": ["--data.name", "alpha"],
        "manifest": ["--data.manifest", corpus / "mine.csv"],
    }[how]
    if how == "environment":
        monkeypatch.setenv("OMNIPATCH_DATA", str(corpus / "base"))
        (corpus / "base/toy").mkdir(parents=True)
        (corpus / "base/toy/alpha").symlink_to(corpus / "alpha")
    out = home / f"evaluated-{how}"
    done = omni("evaluate", home / "toy-jepa.yaml", "--from", home / "run", "--out", out, *data,
                "--evaluate.protocols", "linear")  # fmt: skip
    assert done.code == 0, done.err
    results = json.loads((out / "results.json").read_text())
    assert results["dataset"] == ("manifest" if how == "manifest" else "alpha")
    assert results["seconds"]["pretrain"] == 0
    assert not (out / "model").exists()
    assert (out / "report.html").exists()


def test_evaluating_the_run_again_gives_its_numbers(home):
    done = omni("evaluate", home / "toy-jepa.yaml", "--from", home / "run", "--out", home / "again")
    assert done.code == 0, done.err
    first, again = (json.loads((home / name / "results.json").read_text())["rows"] for name in ("run", "again"))
    assert first == again


def test_evaluating_on_subjects_of_the_pretraining_is_stamped(home):
    done = omni("evaluate", home / "toy-jepa.yaml", "--from", home / "run", "--out", home / "leaky",
                "--split.seed", 5, "--evaluate.models", "pretrained", "--evaluate.protocols", "knn")  # fmt: skip
    assert done.code == 0, done.err
    assert "was pretrained on the signals of" in (home / "leaky/report.html").read_text()
    assert "was pretrained on the signals of" not in (home / "run/report.html").read_text()


def test_embed_writes_a_vector_a_window(home, corpus):
    files = sorted((corpus / "alpha").glob("*.npz"))
    done = omni("embed", "--from", home / "run", *files, "--out", home / "vectors.npz")
    assert done.code == 0, done.err
    with np.load(home / "vectors.npz") as found:
        assert found["embedding"].shape[1] == 16
        assert len({len(found[name]) for name in found.files}) == 1
        assert set(found["path"]) == {str(f) for f in files}
        assert np.isfinite(found["embedding"]).all()


def test_embed_leaves_out_windows_without_any_signal(home, corpus, tmp_path):
    """Their vectors would be zeros, which a classifier takes for something."""
    good = sorted((corpus / "alpha").glob("*.npz"))[-1]
    for name, to_s in (("part", 4.0), ("none", None)):
        loose = Toy().read(good)
        loose.signals[:, : int(to_s * loose.sfreq_hz) if to_s else None] = np.nan
        write_toy(tmp_path / f"{name}.npz", loose)
    files = [tmp_path / "part.npz", tmp_path / "none.npz"]
    done = omni("embed", "--from", home / "run", good, *files, "--out", tmp_path / "v.npz")
    assert done.code == 1
    assert "part.npz: left out, without any usable signal: 1 of 6 windows" in done.out
    assert "none.npz: no usable signal in any window" in done.err
    with np.load(tmp_path / "v.npz") as found:
        of = {name: found["path"] == str(name) for name in (good, *files)}
        assert of[good].sum() == of[files[0]].sum() + 1
        assert not of[files[1]].any()
        assert found["start_s"][of[files[0]]].tolist() == found["start_s"][of[good]].tolist()[1:]
        assert (np.abs(found["embedding"]).max(axis=1) > 0).all()


def test_embed_goes_on_after_a_bad_file(home, corpus, tmp_path):
    bad, good = tmp_path / "bad.npz", next((corpus / "alpha").glob("*.npz"))
    bad.write_bytes(b"not a recording")
    done = omni("embed", "--from", home / "run", bad, good, "--out", tmp_path / "v.npz")
    assert done.code == 1
    assert "skipped" in done.err
    assert "bad.npz" in done.err
    with np.load(tmp_path / "v.npz") as found:
        assert set(found["path"]) == {str(good)}
    assert omni("embed", "--from", home / "run", bad, "--out", tmp_path / "w.npz").code == 2
    assert "the file exists" in omni("embed", "--from", home / "run", good, "--out", tmp_path / "v.npz").complaint


def test_report_is_drawn_again_from_the_folder_alone(home):
    before = (home / "run/report.html").read_text()
    (home / "run/report.html").unlink()
    done = omni("report", home / "run")
    assert done.code == 0
    assert (home / "run/report.html").read_text() == before


def test_export_makes_a_model_others_can_start_from(home, tmp_path):
    done = omni("export", home / "run", "--out", tmp_path / "shared")
    assert done.code == 0, done.err
    assert sorted(p.name for p in (tmp_path / "shared").iterdir()) == [
        "README.md", "config.json", "preprocessing.json", "weights.safetensors",
    ]  # fmt: skip
    done = omni("evaluate", home / "toy-jepa.yaml", "--from", tmp_path / "shared", "--out", tmp_path / "e",
                "--evaluate.protocols", "knn")  # fmt: skip
    assert done.code == 0, done.err
    assert "it is not known which subjects" in (tmp_path / "e/report.html").read_text()
    assert "the folder exists" in omni("export", home / "run", "--out", tmp_path / "shared").complaint
    assert omni("export", home / "run", "--out", tmp_path / "shared", "--overwrite").code == 0
    assert "replaces exported models only" in omni("export", home / "run", "--out", home, "--overwrite").complaint


def test_resume_continues_to_more_steps_and_overwrite_starts_again(home):
    folder = home / "resumed"
    assert omni("pretrain", home / "toy-jepa.yaml", "--out", folder).code == 0
    assert "not empty" in omni("pretrain", home / "toy-jepa.yaml", "--out", folder).complaint
    done = omni("pretrain", home / "toy-jepa.yaml", "--out", folder, "--resume", "--trainer.max_steps", 6)
    assert done.code == 0, done.err
    steps = [line.split(",")[0] for line in (folder / "metrics.csv").read_text().splitlines()[1:]]
    assert steps == ["1", "2", "3", "4", "5", "6"]
    assert omni("pretrain", home / "toy-jepa.yaml", "--out", folder, "--overwrite").code == 0
    assert len((folder / "metrics.csv").read_text().splitlines()) == 5


def test_resume_without_out_finds_the_newest_run_of_the_recipe(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "there is no run of toy-jepa" in omni("pretrain", home / "toy-jepa.yaml", "--resume").complaint
    assert omni("pretrain", home / "toy-jepa.yaml").code == 0
    done = omni("pretrain", home / "toy-jepa.yaml", "--resume", "--trainer.max_steps", 5)
    assert done.code == 0, done.err
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_resume_refuses_another_configuration(home):
    complaint = omni("run", home / "toy-jepa.yaml", "--out", home / "run", "--resume", "--seed", 7).complaint
    assert "field seed, got 7, expected 0" in complaint


def test_config_yaml_of_a_run_gives_the_same_numbers(home):
    done = omni("run", home / "run/config.yaml", "--out", home / "repeated")
    assert done.code == 0, done.err
    first, again = (json.loads((home / name / "results.json").read_text()) for name in ("run", "repeated"))
    for key in ("recipe", "rows", "summary", "split"):
        assert first[key] == again[key]


def test_print_config_is_a_recipe_and_writes_nothing(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = omni("run", home / "toy-jepa.yaml", "--print-config", "--encoder.width", 32)
    assert "window_s: 4.0" in done.out  # defaults of the modality are part of it
    (tmp_path / "printed.yaml").write_text(done.out)
    assert omni("run", "printed.yaml", "--print-config").out == done.out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["printed.yaml"]


def test_dry_run_writes_nothing(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMNIPATCH_CACHE", str(tmp_path / "cache"))
    done = omni("run", home / "toy-jepa.yaml", "--dry-run", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    for word in ("parameters", "tokens", "memory", "GiB", "steps take about"):
        assert word in done.out
    assert list(tmp_path.iterdir()) == []


def test_fast_dev_run_goes_through_everything(home, tmp_path):
    done = omni("run", home / "toy-jepa.yaml", "--fast-dev-run", "--out", tmp_path / "fast")
    assert done.code == 0, done.err
    assert len((tmp_path / "fast/metrics.csv").read_text().splitlines()) == 3
    results = json.loads((tmp_path / "fast/results.json").read_text())
    assert {row["seed"] for row in results["rows"]} == {0}
    assert results["notes"] == [TWO_STEPS]
    page = (tmp_path / "fast/report.html").read_text()
    for told in (done.out, page):
        assert "these figures mean nothing" in told
        assert "Pretraining" not in told.partition("<nav>")[0]


def test_folds_pretrain_once_each_and_never_on_their_test_subjects(home, tmp_path):
    out = tmp_path / "folds"
    done = omni("run", home / "toy-jepa.yaml", "--out", out, "--split.kind", "kfold", "--split.folds", 3,
                "--evaluate.protocols", "linear")  # fmt: skip
    assert done.code == 0, done.err
    results = json.loads((out / "results.json").read_text())
    assert results["split"] == {"kind": "kfold", "group": "subject", "folds": 3}
    assert {row["fold"] for row in results["rows"]} == {0, 1, 2}
    assert sorted(p.name for p in (out / "folds").iterdir()) == ["0", "1", "2"]
    folds = json.loads((out / "split.json").read_text())["folds"]
    assert sorted(s for fold in folds for s in fold["test"]) == sorted({s for f in folds for s in f["train"]})
    assert (out / "report.html").exists()
    again = omni("evaluate", home / "toy-jepa.yaml", "--from", out, "--out", tmp_path / "again",
                 "--split.kind", "kfold",
                 "--split.folds", 3, "--evaluate.protocols", "linear")  # fmt: skip
    assert again.code == 0, again.err
    assert json.loads((tmp_path / "again/results.json").read_text())["rows"] == results["rows"]


def test_data_list_check_and_prepare(home, corpus):
    listed = omni("data", "list")
    assert listed.code == 0
    assert "alpha" in listed.out
    assert "mitdb" in listed.out
    checked = omni("data", "check", corpus / "alpha", "--data.name", "alpha")
    assert checked.code == 0, checked.err
    assert "6" in checked.out
    manifest = omni("data", "check", corpus / "mine.csv", "--modality", "toy")
    assert manifest.code == 0, manifest.err
    prepared = omni("data", "prepare", home / "toy-jepa.yaml", "--data.jobs", 1)
    assert prepared.code == 0, prepared.err
    assert Path(prepared.out.strip()).is_dir()


def test_data_check_names_what_cannot_be_read(corpus, tmp_path):
    write_corpus(tmp_path / "d", count=3)
    (tmp_path / "d/r1.npz").write_bytes(b"junk")
    flat = Toy().read(tmp_path / "d/r2.npz")
    flat.signals[0] = 0
    write_toy(tmp_path / "d/r2.npz", flat)
    done = omni("data", "check", tmp_path / "d", "--data.name", "alpha")
    assert done.code == 1
    assert "r1" in done.out
    assert re.search(rf"r2 +{flat.sensors[0]} +flat", done.out)


def test_information_verbs():
    assert "ecg-jepa" in omni("recipes").out
    assert "toy" in omni("modalities").out
    doctor = omni("doctor")
    assert doctor.code == 0, doctor.out
    assert "torch" in doctor.out
    assert omni("--version").out.startswith("omnipatch ")
