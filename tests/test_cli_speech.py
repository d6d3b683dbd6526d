"""The shipped speech recipes through the command line: short, but with nothing replaced."""

import json

import numpy as np
import pytest
from cli_kit import omni
from omnipatch.core.console import Voice
from omnipatch.core.files import each_file, read_file
from omnipatch.core.settings import shipped_recipes
from omnipatch.modalities.speech import Speech
from speech_kit import chirp, tone, write

SHORT = ("--fast-dev-run", "--encoder.width", 16, "--encoder.depth", 1, "--encoder.heads", 2,
         "--evaluate.protocols", "linear", "--evaluate.models", "pretrained,random-init")  # fmt: skip
RECIPES = [name for name in sorted(shipped_recipes()) if name.startswith("speech-")]


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_runs(name, tmp_path):
    done = omni("run", name, "--out", tmp_path / "run", *SHORT, "--data.limit", 24)
    assert done.code == 0, done.err
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert (results["modality"], results["dataset"]) == ("speech", "demo")
    assert {row["model"] for row in results["rows"]} == {"pretrained", "random-init"}
    assert "synthetic demo data" in (tmp_path / "run/report.html").read_text()
    metrics = (tmp_path / "run/metrics.csv").read_text()
    assert ("target.codes/used" in metrics) == (name == "speech-mvq")


@pytest.mark.parametrize("name", RECIPES)
def test_a_dry_run_of_a_shipped_recipe(name):
    done = omni("run", name, "--dry-run", "--trainer.batch_size", 4)
    assert done.code == 0, done.err
    assert "parameters" in done.out


def test_ones_own_recordings_by_manifest(tmp_path):
    """Two kinds of sound by six people, in three formats and two rates, one file broken."""
    rows = ["path,subject,label"]
    for person in range(6):
        for kind, x in (("steady", tone(1.0, 200.0 + 40 * person)), ("rising", chirp(1.0))):
            suffix = (".wav", ".flac", ".ogg")[person % 3]
            noisy = x + 0.01 * np.random.default_rng(person).normal(size=len(x)).astype(np.float32)
            write(tmp_path / f"{kind}{person}{suffix}", noisy)
            rows.append(f"{kind}{person}{suffix},p{person},{kind}")
    (tmp_path / "steady0.wav").write_bytes((tmp_path / "steady0.wav").read_bytes()[:9000])
    (tmp_path / "my.csv").write_text("\n".join(rows))
    done = omni("run", "speech-mae", "--data.manifest", tmp_path / "my.csv", "--out", tmp_path / "run", *SHORT)
    assert done.code == 0, done.err
    assert "ends early" in (tmp_path / "run/report.html").read_text()


def test_a_view_with_other_voices_in_it_has_a_report(tmp_path):
    """Whose voices they were is known while training alone."""
    done = omni("pretrain", "speech-mae", "--out", tmp_path / "run", *SHORT, "--data.limit", 24,
                "--objective.views.context.mix", "{name: log_power, spread: 4.0}")  # fmt: skip
    assert done.code == 0, done.err
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_file_that_is_left_out_is_named_with_its_folder(tmp_path, capsys):
    """Two people's `a.wav` are one name to a reader."""
    files = [str(write(tmp_path / who / "a.wav", x)) for who, x in (("p0", chirp()), ("p1", chirp()[:100]))]
    _, problems = each_file(files, lambda path: (read_file(Speech(), path), "read", []), Voice(quiet=True))
    assert problems == 1
    said = " ".join(capsys.readouterr().err.split())
    assert f"skipped: {files[1]}: a: recording is too short" in said
