"""The shipped recommender recipes through the command line: short, but with nothing replaced."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from cli_kit import omni
from omnipatch.core.settings import shipped_recipes
from omnipatch.core.train.model_io import load_model
from safetensors import safe_open

RECIPES = [name for name in sorted(shipped_recipes()) if name.startswith("rec-")]
SHORT = ("--trainer.max_steps", 40, "--evaluate.bootstrap", 50)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on the demo market."""
    folder = tmp_path_factory.mktemp("rec")
    done = omni("run", "rec-masked", "--out", folder / "run", "--data.cache", folder / "cache", *SHORT)
    assert done.code == 0, done.err
    return folder, done


def summary(folder, metric="ndcg@20"):
    results = json.loads((folder / "results.json").read_text())
    return {e["model"]: e for e in results["summary"] if e["metric"] == metric}, results


class TestRun:
    def test_every_row_is_ranked_with_its_interval(self, run):
        found, results = summary(run[0] / "run")
        assert set(found) == {"pretrained", "random-init", "hand-features", "prior"}
        assert {e["protocol"] for e in results["summary"]} == {"ranking"}
        assert {"recall@20", "ndcg@20", "recall@10", "coverage@20", "gini@20"} <= {
            e["metric"] for e in results["summary"]
        }
        for entry in found.values():
            assert entry["ci_low"] < entry["mean"] < entry["ci_high"]
        assert found["prior"]["mean"] < found["hand-features"]["mean"] <= found["pretrained"]["mean"] + 0.02

    def test_everything_that_ranks_is_told_with_what_it_adds(self, run):
        folder, done = run
        _, results = summary(folder / "run")
        names = {entry["name"] for entry in results["ranking"]}
        assert {"popularity", "ease", "gf-cf", "pretrained, alone", "pretrained, blended"} <= names
        blended = next(e for e in results["ranking"] if e["name"] == "pretrained, blended" and e["metric"] == "ndcg@20")
        assert 0 <= blended["weight"] <= 1
        assert blended["change_low"] <= blended["change"] <= blended["change_high"]
        assert "pretrained, alone" in done.out
        assert "best ranking without training" in done.out

    def test_the_page_holds_all_rankings_and_begins_with_what_choices_are_made_by(self, run):
        page = (run[0] / "run/report.html").read_text()
        table = page[page.index("All that ranks</h2>") :]
        assert {"item-knn", "pretrained, alone"} <= set(re.findall(r"<td>([\w, -]+)</td>", table))
        first = re.findall(r"<th[^>]*>([^<]*)</th>", page)
        lists = [f"{name}@20" for name in ("ndcg", "recall", "precision", "mrr", "map", "hit_rate")]
        assert first[:9] == ["model", "protocol", *lists, "runs"]
        folded = page[page.index("<details><summary>Other lengths of lists") :]
        assert {"recall@10", "coverage@20"} <= set(re.findall(r"<th[^>]*>([^<]*)</th>", folded))
        assert "Sensors not to be trusted" not in page

    def test_the_split_is_said_to_be_within_people(self, run):
        folder, _ = run
        assert json.loads((folder / "run/split.json").read_text())["kind"] == "within"
        assert "split by what each person took" in (folder / "run/report.html").read_text()

    def test_the_catalogue_is_saved_with_the_weights(self, run):
        folder, _ = run
        model = load_model(folder / "run")
        assert len(model.modality.catalogue) == model.encoder.spec.vocabulary[0]
        assert np.abs(model.modality.known_of_ids().numbers[0]).max() > 0
        known = model.encoder.embed.known[0].values.numpy()
        assert np.array_equal(known, model.modality.known_of_ids().numbers[0])

    def test_a_damaged_catalogue_is_named(self, run, tmp_path):
        import shutil

        shutil.copytree(run[0] / "run/model", tmp_path / "model")
        (tmp_path / "model/learned.safetensors").write_bytes(b"nothing")
        done = omni("evaluate", "rec-masked", "--from", tmp_path / "model", "--out", tmp_path / "out")
        assert done.code == 2
        assert "learned" in done.complaint

    def test_a_trained_model_is_evaluated_again_alike(self, run):
        folder, _ = run
        done = omni("evaluate", "rec-masked", "--from", folder / "run", "--out", folder / "again", "--data.cache",
                    folder / "cache", "--evaluate.bootstrap", 50)  # fmt: skip
        assert done.code == 0, done.err
        assert summary(folder / "again")[0]["pretrained"]["mean"] == pytest.approx(
            summary(folder / "run")[0]["pretrained"]["mean"], abs=1e-6
        )


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "rec-masked"])
def test_a_shipped_recipe_runs(name, tmp_path):
    done = omni("run", name, "--out", tmp_path / "run", "--data.cache", tmp_path / "cache", "--fast-dev-run")
    assert done.code == 0, done.err
    assert {row["protocol"] for row in json.loads((tmp_path / "run/results.json").read_text())["rows"]} == {"ranking"}


def test_classes_of_people_have_the_control_that_a_ranking_cannot_have(run, tmp_path):
    done = omni("finetune", "rec-masked", "--from", run[0] / "run", "--data.task", "taste", "--out", tmp_path / "run",
                "--data.cache", run[0] / "cache", "--fast-dev-run")  # fmt: skip
    assert done.code == 0, done.err
    assert {"pretrained", "scratch"} <= set(summary(tmp_path / "run", "macro_f1")[0])
    assert "No control was evaluated" not in done.out


def test_new_people_can_be_ranked_for(tmp_path):
    done = omni("run", "rec-masked", "--out", tmp_path / "run", "--data.cache", tmp_path / "cache", "--fast-dev-run",
                "--split.kind", "holdout")  # fmt: skip
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "run/split.json").read_text())["kind"] == "holdout"


def test_a_dry_run_says_what_a_step_costs():
    done = omni("run", "rec-masked", "--dry-run")
    assert done.code == 0, done.err
    assert "parameters" in done.out


def test_ranking_is_no_protocol_of_other_tasks(tmp_path):
    done = omni("run", "ecg-jepa", "--fast-dev-run", "--evaluate.protocols", "ranking", "--out", tmp_path / "run")
    assert done.code == 2
    assert "does not rank" in done.complaint


@pytest.fixture(scope="module")
def history(run):
    """Three new people, two of whom took something that the model has never heard of, one nothing else."""
    path = run[0] / "new.csv"
    path.write_text(
        "user,item\nAda,item003\nAda,item011\nAda,item040\nBo,item007\nBo,never heard of\nCy,never heard of\n"
    )
    return path


class TestRecommend:
    def test_people_never_seen_get_what_is_new_to_them(self, run, history):
        done = omni("recommend", "--from", run[0] / "run", "--history", history, "--k", 5)
        assert done.code == 0, done.err
        assert done.out.count("Ada") == done.out.count("Bo") == 5
        assert "item003" not in done.out

    def test_they_are_ranked_as_the_table_says_or_by_the_model_alone(self, run, history):
        asked = ("recommend", "--from", run[0] / "run", "--history", history, "--k", 5)
        blended, alone = omni(*asked), omni(*asked, "--alone")
        chosen = json.loads((run[0] / "run/model/ranking.json").read_text())
        _, results = summary(run[0] / "run")
        told = next(e for e in results["ranking"] if e["name"] == "pretrained, blended" and e["metric"] == "ndcg@20")
        assert chosen["weight"] == told["weight"]
        assert f"{chosen['ranker']} and the model, weight {chosen['weight']:.2f}" in blended.err
        assert "by the model alone" in alone.err
        if chosen["weight"] < 1:
            assert blended.out != alone.out

    def test_who_and_what_is_unknown_is_said(self, run, history):
        done = omni("recommend", "--from", run[0] / "run", "--history", history, "--k", 4)
        assert "does not know them: never heard of (1 in all)" in done.out
        assert "ranked by popularity, nothing of their history is known: Cy (1 in all)" in done.out
        assert done.out.count("Cy ") == 4 + 1  # lines, and the note

    def test_scores_of_strangers_are_standardised_like_others(self, run, history, tmp_path):
        omni("recommend", "--from", run[0] / "run", "--history", history, "--k", 9999, "--out", tmp_path / "all.csv")
        with (tmp_path / "all.csv").open() as file:
            scores = [float(line["score"]) for line in csv.DictReader(file) if line["person"] == "Cy"]
        assert len(scores) == load_model(run[0] / "run").encoder.spec.vocabulary[0]
        assert (np.mean(scores), np.std(scores)) == pytest.approx((0, 1), abs=1e-3)

    def test_help_says_what_is_read_of_known_people(self):
        assert "it alone is read" in " ".join(omni("recommend", "--help").out.split())

    def test_they_can_be_written_to_a_file(self, run, history, tmp_path):
        asked = ("recommend", "--from", run[0] / "run", "--history", history, "--out", tmp_path / "top.csv")
        assert omni(*asked).code == 0
        lines = (tmp_path / "top.csv").read_text().splitlines()
        assert lines[0] == "person,rank,id,score"
        assert len(lines) == 1 + 3 * 20
        assert "exists" in omni(*asked).complaint

    def test_bad_input_is_named(self, run, history, tmp_path):
        strange = tmp_path / "strange.csv"
        strange.write_text("user,item\nAda,x\nBo,y\n")
        assert (
            "knows none of these items" in omni("recommend", "--from", run[0] / "run", "--history", strange).complaint
        )
        done = omni("recommend", "--from", run[0] / "run", "--history", history, "--k", 0)
        assert (done.code, "nothing is asked for" in done.complaint) == (2, True)

    def test_histories_can_be_embedded(self, run, history, tmp_path):
        done = omni("embed", "--from", run[0] / "run", history, "--out", tmp_path / "v.npz")
        assert done.code == 0, done.err
        assert np.load(tmp_path / "v.npz")["embedding"].shape[0] == 2
        assert "no vector, nothing of their history is known: Cy (1 in all)" in done.out
        assert "does not know them: never heard of (1 in all)" in done.out

    @pytest.mark.parametrize("form", ["npz", "csv", "safetensors"])
    def test_vectors_of_items_are_written_with_their_names(self, run, tmp_path, form):
        target = tmp_path / f"items.{form}"
        done = omni("embed", "--from", run[0] / "run", "--what", "ids", "--out", target)
        assert done.code == 0, done.err
        model = load_model(run[0] / "run")
        names, vectors = read_vectors(target)
        assert list(names) == list(model.modality.id_names())
        assert np.array_equal(vectors, model.encoder.id_table().detach().numpy())
        assert "exists" in omni("embed", "--from", run[0] / "run", "--what", "ids", "--out", target).complaint

    def test_what_to_embed_is_said_once(self, run, history, tmp_path):
        asked = ("embed", "--from", run[0] / "run", "--out", tmp_path / "v.npz")
        assert "--what ids" in omni(*asked).complaint
        assert "in no file" in omni(*asked, history, "--what", "ids").complaint
        strange = omni(*asked[:-1], tmp_path / "v.xlsx", "--what", "ids").complaint
        assert ".npz | .csv | .safetensors" in strange


def read_vectors(path):
    if path.suffix == ".npz":
        found = np.load(path)
        return found["id"], found["vector"]
    if path.suffix == ".csv":
        lines = [line.split(",") for line in path.read_text().splitlines()[1:]]
        return [line[0] for line in lines], np.array([line[1:] for line in lines], np.float32)
    with safe_open(path, "np") as file:
        return json.loads(file.metadata()["id"]), file.get_tensor("vector")
