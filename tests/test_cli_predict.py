"""The verb `predict`: a fine-tuned classifier on files, against the rows of the run that made it."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cli_kit import omni, write_recipe
from data_kit import Toy, write_corpus, write_toy
from omnipatch.core.downstream.predictions import Predictions
from omnipatch.core.modality import Task
from omnipatch.core.verbs_predict import _Decisions, _Said

pytestmark = pytest.mark.usefixtures("toy_registered_throughout")
OPTIONS = ("--evaluate.models", "pretrained", "--evaluate.protocols", "finetune", "--trainer.precision", "32-true")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Ten recordings of as many people in the layout of the set `alpha`; the last three are tested."""
    folder = tmp_path_factory.mktemp("data")
    write_corpus(folder / "toy/alpha", count=10)
    (folder / "toy/alpha/test.txt").write_text("r7 r8 r9")
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return write_recipe(tmp_path_factory.mktemp("recipe"))


def trained(recipe: Path, data: Path, out: Path, *more: object) -> Path:
    done = omni("run", recipe, "--data.name", "alpha", "--data.root", data / "toy/alpha", "--out", out, *OPTIONS, *more)
    assert done.code == 0, done.err
    return out


def tested_files(data):
    return [data / f"toy/alpha/r{i}.npz" for i in (7, 8, 9)]


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def predicted(run, files, out, *more):
    done = omni("predict", "--from", run, *files, "--out", out, *more)
    assert done.code == 0, done.err
    return read(out)


def kept_by(run: Path) -> np.ndarray:
    """Probabilities of the run's row, as it kept them."""
    return Predictions.load(run).evaluation.predictions["pretrained", "finetune", 1.0, 0, 0].probability


@pytest.mark.parametrize("more", [(), ("--finetune.offset", "true"), ("--finetune.test_views", 2)])
@pytest.mark.parametrize("task", ["beats", "rhythm"])
def test_files_get_the_decisions_that_the_run_scored(recipe, data, tmp_path, task, more):
    run = trained(recipe, data, tmp_path / "run", "--data.task", task, *more)
    lines = predicted(run, tested_files(data), tmp_path / "d.csv")
    classes = Toy().tasks()[task].classes
    found = np.array([[float(line[f"p_{name}"]) for name in classes] for line in lines])
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=2e-4)
    assert [line["class"] for line in lines] == [classes[i] for i in found.argmax(axis=1)]
    if task == "beats":  # what is not labelled is asked too, and has no place in the run's rows
        marks = [mark.label for path in tested_files(data) for mark in Toy().read(path).annotations]
        assert len(lines) == len(marks)
        found = found[[mark in classes for mark in marks]]
    np.testing.assert_allclose(found, kept_by(run), atol=0.1 if "--finetune.test_views" in more else 2e-4)


def test_a_record_is_decided_once(recipe, data, tmp_path):
    rows = [f"{data}/toy/alpha/r{i}.npz,p{i},{'xy'[i % 2]}" for i in range(10)]
    (tmp_path / "mine.csv").write_text("\n".join(["path,subject,label", *rows]) + "\n")
    done = omni("run", recipe, "--data.manifest", tmp_path / "mine.csv", "--out", tmp_path / "run", *OPTIONS)
    assert done.code == 0, done.err
    assert "| pretraining data | manifest |" in (tmp_path / "run/model/README.md").read_text()
    lines = predicted(tmp_path / "run", tested_files(data), tmp_path / "d.csv")
    assert [Path(line["path"]).stem for line in lines] == ["r7", "r8", "r9"]
    assert [int(line["windows"]) for line in lines] == [len(Toy().windows(Toy().read(f))) for f in tested_files(data)]
    split = json.loads((tmp_path / "run/split.json").read_text())["folds"][0]
    asked = [data / f"toy/alpha/r{name[1:]}.npz" for name in split["test"]]
    found = [float(line["p_x"]) for line in predicted(tmp_path / "run", asked, tmp_path / "t.csv")]
    np.testing.assert_allclose(sorted(found), sorted(kept_by(tmp_path / "run")[:, 0]), atol=2e-4)


def test_numbers_are_said_in_the_unit_of_the_labels(recipe, data, tmp_path):
    rows = [f"{data}/toy/alpha/r{i}.npz,p{i},{100 + 7.5 * i}" for i in range(10)]
    (tmp_path / "mine.csv").write_text("\n".join(["path,subject,label", *rows]) + "\n")
    done = omni("run", recipe, "--data.manifest", tmp_path / "mine.csv", "--out", tmp_path / "run", *OPTIONS)
    assert done.code == 0, done.err
    split = json.loads((tmp_path / "run/split.json").read_text())["folds"][0]
    asked = [data / f"toy/alpha/r{name[1:]}.npz" for name in split["test"]]
    found = [float(line["number"]) for line in predicted(tmp_path / "run", asked, tmp_path / "t.csv")]
    np.testing.assert_allclose(sorted(found), sorted(kept_by(tmp_path / "run")[:, 0]), atol=2e-3)
    assert min(found) > 50


def test_a_person_is_decided_once(recipe, data, tmp_path):
    """By the mean over all windows of all files; a file of nobody is a person of its own."""
    run = trained(recipe, data, tmp_path / "run", "--data.task", "rhythm")
    head = json.loads((run / "classifier/head.json").read_text())
    windows = predicted(run, tested_files(data), tmp_path / "w.csv")
    (run / "classifier/head.json").write_text(json.dumps(head | {"task": head["task"] | {"unit": "subject"}}))
    shared = [tmp_path / f"{i}.npz" for i in range(3)]
    for i, (name, file) in enumerate(zip(shared, tested_files(data), strict=True)):
        write_toy(name, Toy().read(file), subject="" if i == 2 else "one")
    one, other = predicted(run, shared, tmp_path / "p.csv")
    assert (one["subject"], one["files"], other["subject"], other["files"]) == ("one", "2", str(shared[2]), "1")
    mean = np.mean([float(line["p_calm"]) for line in windows if "r9" not in line["path"]])
    assert float(one["p_calm"]) == pytest.approx(mean, abs=2e-4)


def test_segments_of_overlapping_windows_are_joined():
    """Steps of 0.5 s; the second window begins in the first one's middle, and says something else of its half."""
    task = Task("waves", "dense", ("none", "P"), step=0.5, background="none", tolerance=0.5)
    decisions = _Decisions([(SimpleNamespace(task=task), Toy())])
    place = np.concatenate([start + np.arange(4) * 0.5 + 0.25 for start in (0.0, 1.0)])
    p = np.array([0, 1, 1, 0, 1, 0.4, 1, 1])[:, None]
    file = SimpleNamespace(path="f", windows=[SimpleNamespace(record="r")] * 2)
    said = _Said(file, place, np.zeros(8, int), np.hstack([1 - p, p]))
    assert list(decisions._of_segments(said)) == [
        ("f", "r", "0.500", "1.500", "P", "1.0000"), ("f", "r", "2.000", "3.000", "P", "1.0000"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("task", "probability", "cells"),
    [
        (Task("t", "record", ("a", "b"), multilabel=True), [0.7, 0.6], ("a|b", "0.7000", "0.6000")),
        (Task("t", "record", ("a", "b"), multilabel=True), [0.2, 0.4], ("", "0.2000", "0.4000")),
        (Task("t", "record", ("mild", "grave"), scale="ordinal"), [1.7], ("1.7000", "grave")),
        (Task("t", "record", (), scale="interval"), [-3.25], ("-3.2500",)),
    ],
)
def test_how_a_decision_is_written(task, probability, cells):
    decisions = _Decisions([(SimpleNamespace(task=task), Toy())])
    assert decisions._decided(np.array(probability)) == cells
    assert len(decisions.head) == 3 + len(cells)


def test_the_classifier_is_a_model_too(recipe, data, tmp_path):
    """Its vectors are those of the fine-tuned encoder."""
    run = trained(recipe, data, tmp_path / "run", "--data.task", "rhythm", "--finetune.lr", 0.1)
    vectors = []
    for source in (run, run / "classifier"):
        done = omni("embed", "--from", source, tested_files(data)[0], "--out", tmp_path / f"{len(vectors)}.npz")
        assert done.code == 0, done.err
        with np.load(tmp_path / f"{len(vectors)}.npz") as found:
            vectors.append(found["embedding"])
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    card = (run / "classifier/model/README.md").read_text()
    assert "fine-tuned for | rhythm (calm, wild) |" in card
    assert "then fine-tuned with labels" in card
    assert "fine-tuned" not in (run / "model/README.md").read_text()


def test_finetune_leaves_one_a_fold_and_the_run_says_their_mean(recipe, data, tmp_path):
    first, tuned, file = trained(recipe, data, tmp_path / "first"), tmp_path / "ft", tested_files(data)[0]
    options = ("--from", first, "--data.name", "alpha", "--data.root", data / "toy/alpha", "--split.kind", "kfold")
    done = omni("finetune", recipe, *options, "--split.folds", 3, "--evaluate.seeds", 1, "--out", tuned)
    assert done.code == 0, done.err
    card = (tuned / "folds/0/classifier/model/README.md").read_text()
    assert "| pretraining data | alpha |" in card
    done = omni("predict", "--from", tuned / "folds/0", file)
    assert "p_N" in done.out
    assert re.search(r"beats: N, V, learned from \d people of alpha; tested on others: macro F1 0\.\d+", done.err)
    assert "mean" not in done.err
    alone = [predicted(tuned / f"folds/{fold}", [file], tmp_path / f"{fold}.csv") for fold in range(3)]
    told = [np.array([float(line["p_N"]) for line in lines]) for lines in alone]
    assert np.abs(told[0] - told[1]).max() > 1e-3
    together = predicted(tuned, [file], tmp_path / "mean.csv")
    np.testing.assert_allclose([float(line["p_N"]) for line in together], np.mean(told, axis=0), atol=1e-4)
    assert [line["time_s"] for line in together] == [line["time_s"] for line in alone[0]]
    said = omni("predict", "--from", tuned, file).err
    assert "the mean of 3 folds' classifiers, each learned from" in said
    assert "(each alone; their mean was not)" in said


def test_what_cannot_be_decided(recipe, data, tmp_path):
    run = trained(recipe, data, tmp_path / "run", "--evaluate.protocols", "attentive")
    done = omni("predict", "--from", run, tested_files(data)[0])
    assert done.code == 2
    assert "no classifier here" in done.complaint
    assert f"omnipatch finetune RECIPE --from {run}" in done.complaint
    run = trained(recipe, data, tmp_path / "other")
    unmarked = write_toy(tmp_path / "unmarked.npz", replace(Toy().read(tested_files(data)[0]), annotations=()))
    done = omni("predict", "--from", run, unmarked, tested_files(data)[1], "--out", tmp_path / "d.csv")
    assert done.code == 1
    assert "unmarked.npz: nothing in it to decide for task beats" in done.err
    assert {Path(line["path"]).stem for line in read(tmp_path / "d.csv")} == {"r8"}
    assert "the file exists" in omni("predict", "--from", run, unmarked, "--out", tmp_path / "d.csv").complaint


@pytest.mark.parametrize("name", ["head.json", "head.safetensors", "model/weights.safetensors"])
@pytest.mark.parametrize("change", [b"", b"{}", None])
def test_a_damaged_classifier_is_one_sentence(recipe, data, tmp_path, name, change):
    run = trained(recipe, data, tmp_path / "run")
    path = run / "classifier" / name
    path.unlink() if change is None else path.write_bytes(change)
    done = omni("predict", "--from", run, tested_files(data)[0])
    assert done.code == 2
    assert path.name in done.complaint or (change is None and name == "head.json")
