"""A manifest whose labels are numbers, from the command line to the page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from cli_kit import omni, toy_installed, write_recipe
from data_kit import write_corpus


def manifest(folder: Path, scores) -> Path:
    """Ten recordings of as many people, each with a score."""
    sources = write_corpus(folder / "corpus", len(scores))
    lines = [f"{s.path},s{i},{score},{40 + i}" for i, (s, score) in enumerate(zip(sources, scores, strict=True))]
    path = folder / "scores.csv"
    path.write_text("\n".join(["path,subject,label,age", *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def quality(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quality")
    scores = np.random.default_rng(0).normal(30, 8, 10).round(1)
    scores[0] = 31.5
    with toy_installed():
        done = omni(
            "run", write_recipe(folder), "--out", folder / "run", "--data.manifest", manifest(folder, scores),
            "--evaluate.protocols", "linear,finetune", "--split.test_fraction", 0.4,
        )  # fmt: skip
    assert done.code == 0, done.err
    return done, folder / "run"


def test_a_fraction_among_the_labels_makes_them_numbers(quality):
    done, run = quality
    results = json.loads((run / "results.json").read_text())
    for row in results["rows"]:
        assert set(row["metrics"]) == {"mae", "spearman"}
        assert 0 < row["metrics"]["mae"] < 40
    assert {row["model"] for row in results["rows"]} == {"pretrained", "random-init", "scratch", "covariates", "prior"}
    assert {e["metric"] for e in results["summary"]} == {"mae", "spearman"}
    assert "MAE" in done.out
    assert "balanced accuracy" not in done.out


def test_the_page_shows_predicted_and_true(quality):
    page = (quality[1] / "report.html").read_text()
    assert "Predicted and true" in page
    assert "lowest quarter" in page
    assert "macro F1" not in page
    assert not re.search(r"\bnan\b", re.sub(r"<pre>.*?</pre>", "", page, flags=re.S))


def test_a_run_can_be_reported_and_evaluated_again(quality, tmp_path):
    with toy_installed():
        assert omni("report", quality[1]).code == 0
        done = omni(
            "evaluate", write_recipe(tmp_path), "--from", quality[1], "--out", tmp_path / "again", "--data.manifest",
            quality[1].parent / "scores.csv", "--data.scale", "interval", "--evaluate.protocols", "linear",
            "--split.test_fraction", 0.4,
        )  # fmt: skip
    assert done.code == 0, done.err


def test_whole_numbers_are_degrees_where_it_is_said(tmp_path):
    with toy_installed():
        done = omni(
            "run", write_recipe(tmp_path), "--out", tmp_path / "run", "--data.manifest",
            manifest(tmp_path, np.arange(9) % 3 * 5), "--data.scale", "ordinal", "--evaluate.protocols", "linear",
        )  # fmt: skip
    assert done.code == 0, done.err
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["rows"]
    # degrees are counted: 0, 5 and 10 are the first, second and third
    assert max(row["metrics"]["mae"] for row in rows if row["model"] == "prior") <= 2


def test_labels_that_are_no_numbers_are_refused(tmp_path):
    scores = ["1.5", "2", "mild", "3", "4"]
    with toy_installed():
        done = omni("run", write_recipe(tmp_path), "--data.manifest", manifest(tmp_path, scores), "--data.scale",
                    "interval")  # fmt: skip
    assert done.code == 2
    assert "mild" in done.complaint
    assert "numbers" in done.complaint
