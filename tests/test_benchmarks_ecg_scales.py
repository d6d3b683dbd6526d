"""The ablation of `ecg-beats`: every row is a recipe that runs, and decisions of all folds are compared as one."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from omnipatch.core.cli import execute
from omnipatch.core.downstream.predictions import Predictions
from omnipatch.core.downstream.rows import Evaluation, Prediction, Row
from omnipatch.core.settings import load

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
CLASSES = ("N", "S", "V", "F")
SMALL = ["--data.name", "demo", "--encoder.width", "32", "--encoder.depth", "1", "--encoder.heads", "2", "--dry-run"]


@pytest.fixture
def script(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("ecg_scales")


def test_rows_name_what_they_change(script):
    configs = [load(script.RECIPE, variant.command).modality.config for variant in script.VARIANTS]
    plain = [(c.scales[-1], c.residual, c.normal_heights, c.beat_intervals) for c in configs[:6]]
    assert plain == [
        ("patch", False, False, False), ("patch", True, False, False), ("patch", True, True, False),
        ("patch", True, True, True), ("beat", True, True, True), ("rhythm", True, True, True),
    ]  # fmt: skip
    assert [c.window_s for c in configs] == [10.0] * 6 + [1.2] + [10.0] * 2
    assert [v.pretrained for v in script.VARIANTS] == [False] * 7 + [True] * 2


@pytest.mark.parametrize("number", [0, 4, 6])
def test_a_row_without_pretraining_asks_for_no_scale_that_it_lacks(script, number, capsys):
    assert execute(["run", script.RECIPE, *script.VARIANTS[number].command, *SMALL]) == 0
    assert "dry run" in capsys.readouterr().out


def test_only_the_first_division_is_linked(script, tmp_path):
    (tmp_path / "all").mkdir()
    for name in ("100.dat", "101.dat", "101.atr"):
        (tmp_path / "all" / name).touch()
    (tmp_path / "all/DS1.txt").write_text("101\n")
    for _ in range(2):  # also where it was made before
        folder = script.first_division(tmp_path / "all", tmp_path / "first")
    assert sorted(path.name for path in folder.iterdir()) == ["101.atr", "101.dat"]


def a_run(folder: Path, model: str, right: float) -> Path:
    """Two folds of three patients, ten beats of a class each; `right` of them decided rightly."""
    folder.mkdir()
    rows, predictions = [], {}
    for fold in range(2):
        label = np.tile(np.repeat(np.arange(4), 10), 3)
        wrong = np.tile(np.arange(10) >= 10 * right, 12)
        probability = np.eye(4, dtype=np.float32)[np.where(wrong, (label + 1) % 4, label)]
        subject = np.repeat(np.arange(3), 40) + 3 * fold
        row = Row(model, "finetune", 1.0, 0, fold, {"macro_f1": 0.0})
        rows.append(row)
        predictions[row.key] = Prediction(
            label, probability, subject, subject, np.arange(120), None, np.zeros(120, int)
        )
    names = tuple("abcdef")
    found = Evaluation(rows, predictions, {}, CLASSES, names, names, unit="event")
    Predictions(found, "mitdb", "beats").save(folder)
    return folder


def test_rows_are_scored_over_all_folds_and_compared_with_the_recipe(script, tmp_path, capsys):
    recipe = script.decisions(a_run(tmp_path / "a", "scratch", 0.5))
    better = script.decisions(a_run(tmp_path / "b", "pretrained", 0.8))
    script.print_rows({"better": better, "recipe": recipe}, "recipe")
    first, second = capsys.readouterr().out.strip().splitlines()[1:]
    assert first.split()[:2] == ["better", "0.800"]
    assert "+0.300 (+0.300 to +0.300)" in first
    assert second.split()[:2] == ["recipe", "0.500"]
    assert "(" not in second
