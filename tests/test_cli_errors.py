"""Bad input of any kind: one sentence on stderr, exit code 2 (input, configuration) or 1 (failure), no traceback."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from cli_kit import omni, write_recipe
from data_kit import toy_recording, write_corpus, write_toy
from filelock import FileLock

pytestmark = pytest.mark.usefixtures("toy_registered_throughout")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return write_recipe(tmp_path_factory.mktemp("recipe"))


@pytest.fixture(scope="module")
def trained(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert omni("pretrain", recipe, "--out", folder).code == 0
    return folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope"], "unknown verb 'nope'"),
        (["pretain"], "unknown verb 'pretain'; did you mean 'pretrain'?"),
        (["--verison"], "unknown option '--verison'; did you mean '--version'?"),
        (["run"], "arguments are required: RECIPE; see omnipatch run --help"),
        (["run", "ECG-JEPA"], "did you mean 'ecg-jepa'?"),
        (["run", "RECIPE", "--dry-rn"], "unknown option --dry-rn of run; did you mean '--dry-run'?"),
        (["run", "RECIPE", "--encoder.WIDTH", "8"], "did you mean 'width'?"),
        (["run", "RECIPE", "--trainer.max_steps"], "got no value, expected a whole number"),
        (["run", "RECIPE", "--resume", "--overwrite"], "give one of them"),
        (["run", "mine.csv"], "mine.csv: this is a table and no recipe"),
        (["recommend", "--from", "/nope", "--history", "h.csv", "--alon"], "did you mean '--alone'?"),
        (
            ["recommend", "--from", "/nope", "--history", "mine.csv", "--out", "mine.csv", "--overwrite"],
            "this file is read",
        ),
        (["recommend", "--from", "/nope", "--history", "mine.csv", "--out", "top.xlsx"], "expected .csv"),
        (["compare", "a", "b", "--out", "folder.csv", "--overwrite"], "folder.csv: this is a folder"),
        (["run", "ecg-japa"], "unknown recipe 'ecg-japa'; did you mean 'ecg-jepa'?"),
        (["run", "missing.yaml"], "missing.yaml: recipe file not found"),
        (["run", "RECIPE", "--encoder.widht", "8"], "did you mean 'width'?"),
        (["run", "RECIPE", "--trainr.max_steps", "8"], "unknown key trainr; did you mean 'trainer'?"),
        (["run", "RECIPE", "--overwritee"], "unknown option --overwritee of run; did you mean '--overwrite'?"),
        (["run", "RECIPE", "--data.name", "alhpa"], "did you mean 'alpha'?"),
        (["run", "RECIPE", "--data.name", "alpha"], "give --data.root DIR, or set OMNIPATCH_DATA"),
        (["run", "RECIPE", "--data.name", "alpha", "--data.root", "/nope"], "/nope: there is no such file or folder"),
        (["run", "RECIPE", "--data.manifest", "/nope.csv"], "/nope.csv"),
        (["run", "RECIPE", "--data.task", "beat"], "did you mean 'beats'?"),
        (["run", "RECIPE", "--evaluate.protocols", "lineer"], "did you mean 'linear'?"),
        (["run", "RECIPE", "--evaluate.models", "pretraind"], "did you mean 'pretrained'?"),
        (["run", "RECIPE", "--evaluate.models", "scratch", "--evaluate.protocols", "knn"], "no model has any of"),
        (["run", "RECIPE", "--trainer.precision", "fp7"], "fp7"),
        (["run", "RECIPE", "--data.limit", "2"], "subjects"),
        (["finetune", "RECIPE"], "arguments are required: --from"),
        (["evaluate", "RECIPE", "--from", "/nope"], "/nope: no model here"),
        (["evaluate", "RECIPE", "--from", "/nope", "--encoder.width", "8"], "encoder is that of the weights"),
        (["finetune", "RECIPE", "--from", "/nope", "--modality=ecg"], "modality is that of the weights"),
        (["embed", "--from", "/nope", "x.npz", "--out", "v.npz"], "/nope: no model here"),
        (["embed", "--from", "/nope", "x.npz", "--out", "v.csv"], "the vectors are written as .npz"),
        (["report", "/nope"], "there is no finished run here"),
        (["export", "/nope"], "no model here"),
        (["data", "fetch"], "data fetch needs NAME"),
        (["data", "fetch", "alpa"], "did you mean 'alpha'?"),
        (["data", "check", "/nope"], "there is no such file or folder"),
        (["data", "check", "."], "add --data.name NAME"),
        (["data", "drop"], "invalid choice: 'drop'"),
        (["recipes", "--foo"], "unknown option --foo of recipes"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(recipe, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMNIPATCH_DATA", raising=False)
    (tmp_path / "mine.csv").write_text("user,item\na,b\n")
    (tmp_path / "folder.csv").mkdir()
    done = omni(*[recipe if a == "RECIPE" else a for a in arguments])
    assert done.code == 2, done
    assert words in done.complaint
    assert done.out == ""


def test_nothing_is_left_behind_by_a_refused_run(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for bad in (["--data.name", "alhpa"], ["--evaluate.protocols", "lineer"], ["--data.task", "beat"],
                ["--data.limit", 2]):  # fmt: skip
        assert omni("run", recipe, *bad).code == 2
        assert list(tmp_path.glob("runs/*")) == []


def test_a_typo_beside_overwrite_deletes_nothing(recipe, tmp_path):
    assert omni("pretrain", recipe, "--out", tmp_path / "r").code == 0
    for bad in (["--data.name", "alhpa"], ["--evaluate.protocols", "lineer"]):
        assert omni("run", recipe, "--out", tmp_path / "r", "--overwrite", *bad).code == 2
        assert (tmp_path / "r/model/weights.safetensors").exists()


def test_a_yaml_that_names_a_class_is_refused(tmp_path, recipe):
    path = tmp_path / "evil.yaml"
    path.write_text(recipe.read_text() + "data: {class_path: os.system, init_args: {command: touch pwned}}\n")
    done = omni("run", path)
    assert done.code == 2
    assert "evil.yaml:10: key class_path is refused" in done.complaint
    path.write_text("encoder: !!python/object/apply:os.system ['true']\n")
    assert "is refused" in omni("run", path).complaint


def test_a_run_folder_in_use(recipe, tmp_path):
    (tmp_path / "busy").mkdir()
    with FileLock(tmp_path / "busy/.lock"):
        done = omni("run", recipe, "--out", tmp_path / "busy")
    assert done.code == 2
    assert "the run folder is in use by another process" in done.complaint


def test_a_folder_with_other_files_is_never_overwritten(recipe, tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("x")
    assert "not empty" in omni("run", recipe, "--out", tmp_path).complaint
    done = omni("run", recipe, "--out", tmp_path, "--overwrite")
    assert done.code == 2
    assert "precious.txt" in done.complaint
    assert precious.exists()
    assert "is a file" in omni("run", recipe, "--out", precious).complaint


def test_a_damaged_checkpoint_falls_back_and_says_so(recipe, tmp_path):
    folder = tmp_path / "run"
    assert omni("pretrain", recipe, "--out", folder).code == 0
    newest = folder / "checkpoints/step-00000004.ckpt"
    newest.write_bytes(newest.read_bytes()[:1000])
    done = omni("pretrain", recipe, "--out", folder, "--resume", "--trainer.max_steps", 6)
    assert done.code == 0, done.err
    warned = [line for line in done.err.splitlines() if line.startswith("omnipatch warns: ")]
    assert len(warned) == 1
    assert "step-00000004.ckpt: damaged checkpoint" in warned[0]
    steps = [line.split(",")[0] for line in (folder / "metrics.csv").read_text().splitlines()[1:]]
    assert steps == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json", "preprocessing.json"])
def test_a_damaged_model_folder(recipe, trained, tmp_path, name):
    assert omni("export", trained, "--out", tmp_path / "m").code == 0
    path = tmp_path / "m" / name
    path.write_bytes(path.read_bytes()[:-20])
    done = omni("evaluate", recipe, "--from", tmp_path / "m", "--out", tmp_path / "e")
    assert done.code == 2
    assert name in done.complaint
    assert not (tmp_path / "e").exists()


def test_damaged_result_files(recipe, tmp_path):
    assert omni("run", recipe, "--out", tmp_path / "r", "--evaluate.protocols", "knn").code == 0
    for name in ("results.json", "report.npz"):
        path = tmp_path / "r" / name
        whole = path.read_bytes()
        path.write_bytes(whole[:100])
        done = omni("report", tmp_path / "r")
        assert done.code == 2
        assert f"{name}: cannot be read" in done.complaint
        assert "copy it again, or repeat the run" in done.complaint
        path.write_bytes(whole)


def test_a_recipe_cut_short_is_not_taken_for_a_change(recipe, trained, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    text = (folder / "config.yaml").read_text()
    for cut in (text[: text.index("  max_steps")], ""):
        (folder / "config.yaml").write_text(cut)
        done = omni("pretrain", recipe, "--out", folder, "--resume")
        assert done.code == 2
        assert "config.yaml: a part of the recipe is missing" in done.complaint


def test_another_modality_than_the_encoders(trained):
    done = omni("evaluate", "ecg-jepa", "--from", trained)
    assert done.code == 2
    assert "trained on another modality, field modality.name, got ecg, expected toy" in done.complaint


def test_a_subject_on_two_sides_of_a_fixed_split(recipe, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(6):
        write_toy(tmp_path / f"alpha/r{i}.npz", toy_recording(rng), subject=f"s{i % 4}")  # s0 and s1 twice
    (tmp_path / "alpha/test.txt").write_text("r4\nr5\n")
    done = omni("run", recipe, "--data.name", "alpha", "--data.root", tmp_path / "alpha", "--out", tmp_path / "o")
    assert done.code == 2
    assert "s0" in done.complaint


@pytest.mark.parametrize(("label", "said"), [
    ("", ["there are no labels to evaluate on"]),
    ("healthy", ["all labels are the same", "got healthy"]),
])  # fmt: skip
def test_labels_that_tell_nothing_apart_are_refused_before_pretraining(recipe, tmp_path, label, said):
    sources = write_corpus(tmp_path / "d")
    rows = [f"d/{source.path.name},p{i},{label}" for i, source in enumerate(sources)]
    (tmp_path / "mine.csv").write_text("\n".join(["path,subject,label", *rows]) + "\n")
    done = omni("run", recipe, "--data.manifest", tmp_path / "mine.csv", "--out", tmp_path / "o")
    assert done.code == 2
    for words in said:
        assert words in done.complaint
    assert not (tmp_path / "o").exists()


def test_broken_files_are_skipped_and_counted(recipe, tmp_path):
    write_corpus(tmp_path / "d", count=8)
    (tmp_path / "d/r3.npz").write_bytes(b"junk")
    done = omni("run", recipe, "--data.name", "alpha", "--data.root", tmp_path / "d", "--out", tmp_path / "o",
                "--evaluate.protocols", "knn", "--evaluate.seeds", 1)  # fmt: skip
    assert done.code == 0, done.err
    assert "1 recordings skipped" in done.err or "1 recording skipped" in done.err
    assert "Skipped recordings: 1" in (tmp_path / "o/report.html").read_text()


def test_a_place_that_cannot_be_written(recipe, tmp_path):
    (tmp_path / "file").write_text("")
    done = omni("run", recipe, "--out", tmp_path / "file/run")
    assert done.code == 1
    assert "file/run: cannot be written" in done.complaint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_place(recipe, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    done = omni("run", recipe, "--out", tmp_path / "locked/run")
    assert done.code == 1
    assert "cannot be written" in done.complaint


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_stopped_pretraining_can_be_continued(tmp_path, number, code):
    """The signal reaches a real process in the middle of training."""
    tiny = "--data.limit 6 --encoder.width 16 --encoder.depth 1 --encoder.heads 2 --trainer.batch_size 4"
    command = ["pretrain", "ecg-jepa", "--out", tmp_path / "run", *tiny.split(), "--trainer.log_every", "1"]
    command += ["--trainer.max_steps"]
    process = subprocess.Popen(
        [sys.executable, "-m", "omnipatch", *command, "100000"], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "run/metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert said.count("omnipatch: ") == 1
    assert "continue with --resume" in said
    assert "Traceback" not in said
    step = int(re.search(r"after step (\d+)", said)[1])
    assert omni(*command, step + 1, "--resume").code == 0
    assert (tmp_path / "run/metrics.csv").read_text().splitlines()[-1].startswith(f"{step + 1},")


def test_debug_shows_the_traceback(recipe):
    done = omni("run", recipe, "--encoder.widht", 8, "--debug")
    assert done.code == 2
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("omnipatch: ")


def test_an_internal_error_is_a_sentence_too(recipe, monkeypatch):
    monkeypatch.setattr("omnipatch.core.settings.find_recipe", lambda name: 1 / 0)
    done = omni("run", recipe)
    assert done.code == 1
    assert "internal error, ZeroDivisionError" in done.complaint
    assert "--debug" in done.complaint


def test_the_installed_command_exits_as_the_function_does(tmp_path):
    command = [sys.executable, "-m", "omnipatch", "run", "ecg-japa"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


def test_every_error_of_a_json_option_stays_one_line(recipe):
    done = omni("run", recipe, "--objective", json.dumps({"name": "jepa", "terms": {"latent": {"loss": "a\nb"}}}))
    assert done.code == 2
    assert "\n" not in done.complaint
