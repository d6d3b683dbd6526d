"""What a run leaves behind: the files of the folder, and `results.json` to the letter, because others read them."""

import json
import math
import re
from importlib.metadata import version

import pytest
from cli_kit import omni, toy_installed, write_recipe

MODELS = {"pretrained", "random-init", "scratch", "hand-features", "prior"}
PROTOCOLS = {"knn", "linear", "attentive", "finetune", "lora", "semi", "side", "ranking"}
METRIC = re.compile(r"accuracy|balanced_accuracy|macro_f1|f1_.+|auroc|auprc|ece|mae|spearman|recall@\d+|ndcg@\d+")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    with toy_installed():
        recipe = write_recipe(folder)
        done = omni(
            "run",
            recipe,
            "--out",
            folder / "run",
            "--data.task",
            "rhythm",
            "--evaluate.label_fractions",
            "0.5,1",
            "--evaluate.seeds",
            2,
        )
    assert done.code == 0, done.err
    return folder / "run"


@pytest.fixture(scope="module")
def results(run):
    return json.loads((run / "results.json").read_text(), parse_constant=_refuse)


def _refuse(word):
    raise AssertionError(f"{word} is not JSON")


def test_files_of_the_run_folder(run):
    assert sorted(p.name for p in run.iterdir() if p.name != ".lock") == [
        "checkpoints", "classifier", "config.yaml", "env.json", "metrics.csv", "model", "predictions.npz",
        "report.html", "report.npz", "results.json", "split.json",
    ]  # fmt: skip
    assert sorted(p.name for p in (run / "model").iterdir()) == [
        "README.md", "config.json", "preprocessing.json", "weights.safetensors",
    ]  # fmt: skip
    for path in (run / "checkpoints").glob("*.ckpt"):
        assert path.with_name(f"{path.name}.sha256").exists()


def test_keys_of_results(results):
    assert list(results) == [
        "recipe",
        "modality",
        "objective",
        "dataset",
        "split",
        "rows",
        "summary",
        "seconds",
        "versions",
        "subject_leak",  # and whatever else was asked for
    ]
    assert results["recipe"] == "toy-jepa"
    assert results["modality"] == "toy"
    assert results["objective"] == "jepa"
    assert results["dataset"] == "demo"
    assert results["split"] == {"kind": "holdout", "group": "subject", "folds": 1}


def test_rows(results):
    assert results["rows"]
    for row in results["rows"]:
        assert list(row) == ["model", "protocol", "label_fraction", "seed", "fold", "metrics"]
        assert row["model"] in MODELS
        assert row["protocol"] in PROTOCOLS
        assert row["label_fraction"] in (0.5, 1.0)
        assert isinstance(row["seed"], int)
        assert isinstance(row["fold"], int)
        assert row["metrics"]
        for name, value in row["metrics"].items():
            assert METRIC.fullmatch(name), name
            assert value is None or math.isfinite(value)
        assert {"accuracy", "balanced_accuracy", "macro_f1", "auroc", "f1_calm", "f1_wild"} <= set(row["metrics"])


def test_every_model_meets_its_controls(results):
    found = {(row["model"], row["protocol"]) for row in results["rows"]}
    assert found == {
        *(("pretrained", p) for p in ("knn", "linear", "attentive", "finetune")),
        *(("random-init", p) for p in ("knn", "linear", "attentive")),
        ("scratch", "finetune"), ("hand-features", "linear"), ("prior", "linear"),
    }  # fmt: skip
    assert {row["seed"] for row in results["rows"]} == {0, 1}


def test_summary(results):
    lines = {(r["model"], r["protocol"], r["label_fraction"]) for r in results["rows"]}
    assert {(e["model"], e["protocol"], e["label_fraction"]) for e in results["summary"]} == lines
    for entry in results["summary"]:
        assert list(entry) == ["model", "protocol", "label_fraction", "metric", "mean", "ci_low", "ci_high", "n"]
        rows = [r["metrics"].get(entry["metric"]) for r in results["rows"]
                if all(r[k] == entry[k] for k in ("model", "protocol", "label_fraction"))]  # fmt: skip
        assert entry["n"] == len(rows)
        if entry["mean"] is not None and None not in rows:
            assert entry["mean"] == pytest.approx(sum(rows) / len(rows))
        if entry["ci_low"] is not None:
            assert entry["ci_low"] <= entry["mean"] + 1e-9
            assert entry["mean"] <= entry["ci_high"] + 1e-9


def test_seconds_and_versions(results):
    assert list(results["seconds"]) == ["pretrain", "downstream", "total"]
    assert all(value > 0 for value in results["seconds"].values())
    assert results["seconds"]["total"] >= results["seconds"]["pretrain"] + results["seconds"]["downstream"] - 0.1
    assert results["versions"]["omnipatch"] == version("omnipatch")
    assert {"python", "torch", "lightning", "numpy", "scikit-learn", "torchmetrics"} <= set(results["versions"])


def test_split_names_the_subjects_of_each_side(run):
    split = json.loads((run / "split.json").read_text())
    assert (split["kind"], split["group"]) == ("holdout", "subject")
    (fold,) = split["folds"]
    sides = [set(fold[side]) for side in ("train", "validation", "test")]
    assert all(sides)
    assert len(set.union(*sides)) == sum(map(len, sides)) == 12


def test_environment_names_neither_host_nor_user(run):
    import getpass
    import socket

    text = (run / "env.json").read_text()
    environment = json.loads(text)
    assert {"command", "started", "commit", "versions", "platform", "cpu", "cores", "threads", "gpu"} == set(
        environment
    )
    assert socket.gethostname() not in text or len(socket.gethostname()) < 4
    assert f'"{getpass.getuser()}"' not in text


def test_metrics_have_a_row_a_logged_step(run):
    head, *rows = (run / "metrics.csv").read_text().splitlines()
    columns = head.split(",")
    assert columns[:2] == ["step", "loss"]
    assert {"lr", "grad_norm", "windows_per_s", "seconds", "encoder/std", "encoder/rankme"} <= set(columns)
    assert [row.split(",")[0] for row in rows] == ["1", "2", "3", "4"]
