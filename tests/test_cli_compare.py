"""`omnipatch compare` as a user calls it, on runs of the toy modality."""

from __future__ import annotations

import csv
import json

import pytest
from cli_kit import omni, write_recipe

SHORT = (
    "--evaluate.protocols", "knn,linear", "--evaluate.models", "pretrained,prior", "--evaluate.subject_leak", "false"
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("toy_registered_throughout")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two runs of other seeds, and one that was tested on other people; no page is drawn, which takes most of a run."""
    folder = tmp_path_factory.mktemp("home")
    recipe = write_recipe(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("omnipatch.core.report.write_report", lambda folder: None)
        for name, changes in {"one": (), "two": ("--seed", 7), "others": ("--split.seed", 3)}.items():
            done = omni("run", recipe, "--out", folder / name, *SHORT, *changes)
            assert done.code == 0, done.err
    return folder


def test_the_table_and_what_it_says(home):
    done = omni("compare", home / "one", home / "two")
    assert done.code == 0, done.err
    assert "test subjects; change: to one, with 95 % intervals" in done.out
    assert "macro F1" in done.out
    assert {tuple(line.split()[:4]) for line in done.out.splitlines()} >= {
        (model, protocol, "100%", run)
        for model, protocol in (("pretrained", "knn"), ("pretrained", "linear"), ("prior", "linear"))
        for run in ("one", "two")
    }
    assert "the same" in done.out  # the prior
    assert "--metric" in done.err


def test_rows_and_metrics_that_were_asked_for(home):
    done = omni(
        "compare", home / "one", home / "two", "--row", "pretrained/knn", "--metric", "auroc", "--metric", "ece"
    )
    assert done.code == 0, done.err
    assert ("AUROC" in done.out, "macro F1" in done.out, "linear" in done.out) == (True, False, False)


def test_all_of_it_in_a_file(home, tmp_path):
    for name in ("out.csv", "out.json"):
        done = omni("compare", home / "one", home / "two", "--out", tmp_path / name)
        assert done.code == 0, done.err
    told = json.loads((tmp_path / "out.json").read_text())
    with (tmp_path / "out.csv").open() as file:
        table = list(csv.DictReader(file))
    assert (told["reference"], len(told["entries"])) == ("one", len(table))
    results = {name: json.loads((home / name / "results.json").read_text()) for name in ("one", "two")}
    for entry in told["entries"]:
        key = {name: entry[name] for name in ("model", "protocol", "label_fraction", "metric")}
        (same,) = (e for e in results[entry["run"]]["summary"] if key.items() <= e.items())
        assert entry["mean"] == pytest.approx(same["mean"], abs=1e-6)
        assert (entry["change"] is None) == (entry["run"] == "one")
    refused = omni("compare", home / "one", home / "two", "--out", tmp_path / "out.csv")
    assert (refused.code, "--overwrite" in refused.complaint) == (2, True)


def test_other_people_are_refused_with_their_number_unless_the_shared_are_asked_for(home):
    done = omni("compare", home / "one", home / "others")
    assert done.code == 2
    assert "different people" in done.complaint
    split = {name: json.loads((home / name / "split.json").read_text())["folds"][0]["test"]
             for name in ("one", "others")}  # fmt: skip
    both = set(split["one"]) & set(split["others"])
    if both:
        assert f"{len(both)} are in all of them" in done.complaint
        again = omni("compare", home / "one", home / "others", "--shared")
        assert f"{len(both)} test subjects" in again.out or "one test subject" in again.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("one",), "one run compares with nothing"),
        (("one", "one"), "named twice"),
        (("one", "nowhere"), "no decisions of a finished run"),
        (("one", "two", "--out", "table.txt"), ".csv | .json"),
        (("one", "two", "--row", "scratch"), "no such row"),
        (("one", "two", "--metrics", "auroc"), "did you mean '--metric'"),
    ],
    ids=["single", "twice", "absent", "form", "row", "option"],
)
def test_mistakes_are_one_sentence(home, arguments, said, monkeypatch):
    monkeypatch.chdir(home)
    done = omni("compare", *arguments)
    assert done.code == 2
    assert said in done.complaint
