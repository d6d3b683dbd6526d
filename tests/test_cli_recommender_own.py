"""The user's own interactions through the command line: one file, a folder of parts, and what is wrong with files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from cli_kit import omni
from omnipatch.core.train.model_io import load_model

SMALL = ("--fast-dev-run", "--modality.positions", 4, "--encoder.width", 8, "--encoder.hidden", 8)


def events(users=24, items=16, each=7, seed=0):
    """(user, item, time) of people who took things one after another."""
    rng = np.random.default_rng(seed)
    pairs = [(f"u{u:02d}", f"i{i}") for u in range(users) for i in rng.permutation(items)[:each]]
    return [(*pair, at) for at, pair in enumerate(pairs)]


def table(path, rows, head="user,item,time"):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def run(tmp_path, root, *options):
    return omni("run", "rec-masked", "--data.root", root, "--out", tmp_path / "run", "--data.cache", tmp_path / "cache",
                *SMALL, *options)  # fmt: skip


def results(tmp_path):
    return json.loads((tmp_path / "run/results.json").read_text())


class TestOneCommand:
    def test_a_file_is_filtered_split_ranked_and_its_leaks_are_told(self, tmp_path):
        rows = [(user, item, time % 5 + 1, time) for user, item, time in events()]
        own = table(tmp_path / "own.csv", [*rows, *rows[:9]], "user,item,rating,time")
        done = run(tmp_path, own, "--modality.least_rating", 2, "--modality.k_core", 2, "--evaluate.cutoffs", "5,50",
                   "--evaluate.ranking_negatives", 8)  # fmt: skip
        assert done.code == 0, done.err
        found = results(tmp_path)
        assert found["dataset"] == "interactions"
        assert {"recall@5", "ndcg@50", "tail_recall@50"} <= {e["metric"] for e in found["summary"]}
        (leaks,) = found["leaks"]
        assert leaks["numbers"]["merged"] == 9
        assert leaks["numbers"]["later"] > 0
        assert "of 168 interactions are used: rated 2 or more, the 2-core." in done.out
        assert "9 repeated pairs were made one" in done.out
        assert found["sampled_ranking"][0]["negatives"] == 8
        assert "8 drawn ids only" in done.out
        page = (tmp_path / "run/report.html").read_text()
        assert "What the split lets slip" in page
        assert "9 repeated pairs were made one" in page
        assert "8 drawn ids only" in page

    def test_a_manifest_of_one_file_needs_no_task(self, tmp_path):
        table(tmp_path / "own.csv", events())
        manifest = table(tmp_path / "files.csv", [("own.csv", "", "")], "path,subject,label")
        done = omni("pretrain", "rec-masked", "--data.manifest", manifest, "--out", tmp_path / "run", "--data.cache",
                    tmp_path / "cache", *SMALL)  # fmt: skip
        assert done.code == 0, done.err
        assert json.loads((tmp_path / "run/split.json").read_text())["kind"] == "within"

    def test_a_folder_of_parts_is_a_split(self, tmp_path):
        """With people and items in the test that nobody knows, pairs on both sides, and people who are all alike."""
        alike = [(f"u{u}", f"i{i}", 10 * u + i) for u in range(12) for i in range(8)]
        test = [row for row in alike if row[1] == "i7"] + [alike[0], ("new", "i2", 0), ("u1", "new", 1)]
        table(tmp_path / "own/train.csv", [row for row in alike if row[1] != "i7"])
        table(tmp_path / "own/test.csv", test)
        refused = run(tmp_path, tmp_path / "own")
        assert refused.code == 2
        assert "1 pairs" in refused.complaint
        assert "--modality.drop_overlap" in refused.complaint
        done = run(tmp_path, tmp_path / "own", "--modality.drop_overlap")
        assert done.code == 0, done.err
        numbers = results(tmp_path)["leaks"][0]["numbers"]
        assert [numbers[name] for name in ("overlap", "cold_users", "cold_items")] == [0, 1, 2]
        assert "1 tested users have no history" in done.out

    def test_several_seeds_are_several_trainings(self, tmp_path):
        own = table(tmp_path / "own.csv", events())
        done = omni("run", "rec-masked", "--data.root", own, "--out", tmp_path / "run", "--data.cache",
                    tmp_path / "cache", *SMALL[1:], "--trainer.max_steps", 2, "--evaluate.bootstrap", 20,
                    "--evaluate.seeds", 2)  # fmt: skip
        assert done.code == 0, done.err
        found = results(tmp_path)
        for model in ("pretrained", "random-init"):
            assert [row["seed"] for row in found["rows"] if row["model"] == model] == [0, 1]
        (entry,) = (e for e in found["summary"] if (e["model"], e["metric"]) == ("pretrained", "ndcg@20"))
        assert entry["n"] == 2
        one, other = (load_model(tmp_path / "run" / at) for at in (".", "seeds/1"))
        assert not torch.equal(one.encoder.id_table(), other.encoder.id_table())
        assert (tmp_path / "run/seeds/1/model/ranking.json").is_file()

    def test_one_person_is_ranked_with_a_warning(self, tmp_path):
        done = run(tmp_path, table(tmp_path / "own.csv", [("u", f"i{i}", i) for i in range(12)]))
        assert done.code == 0, done.err
        assert "only one test subject" in done.out


BAD = {
    "nothing": ("", (), "the file is empty"),
    "no rows": ("user,item\n", (), "there are no interactions"),
    "other columns": ("a,b\n1,2\n", (), "no column is the user"),
    "time that is none": ("user,item,time\nu,i,1\nu,j,nan\n", (), "row 2 has no proper time"),
    "negative id": ("user,item\n1,2\n-1,3\n", (), "row 2 has no proper user"),
    "one item": ("user,item\n" + "".join(f"u{u},i\n" for u in range(9)), (), "no interaction is left for validation"),
    "one pair": ("user,item\nu,i\n", (), "no interaction is left for validation"),
    "user without history": ("user,item\nu,i\nv,\n", (), "row 2 has no proper item"),
    "cut in time, no times": ("user,item\nu,i\nu,j\n", ("--modality.split", "time"), "needs times"),
    "last one, no order": ("user,item\nu,i\nu,j\n", ("--modality.split", "leave-one-out"), "have no order"),
    "no ratings": ("user,item\nu,i\nu,j\n", ("--modality.least_rating", 3), "no ratings to compare"),
    "low ratings": ("user,item,rating\nu,i,1\nu,j,2\n", ("--modality.least_rating", 3), "got at most 2"),
    "empty core": ("user,item\nu,i\nu,j\n", ("--modality.k_core", 5), "no user and item are that frequent"),
    "everybody new": (
        "user,item,time\n" + "".join(f"u{t},i{t % 4},{t}\n" for t in range(40)),
        ("--modality.split", "time"),
        "nobody is asked for anything",
    ),
    "nothing held out": (
        "user,item\n" + "".join(f"u{t % 9},i{t}\n" for t in range(40)),
        ("--modality.split", "none"),
        "nobody is asked for anything",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_sentence(tmp_path, name):
    text, options, expected = BAD[name]
    path = tmp_path / "own.csv"
    path.write_text(text)
    done = run(tmp_path, path, *options)
    assert done.code == 2
    assert expected in done.complaint


def test_a_parquet_file_that_is_none_is_named(tmp_path):
    path = tmp_path / "own.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    done = run(tmp_path, path)
    assert (done.code, "own.parquet" in done.complaint) == (2, True)


def test_folders_that_are_no_split_are_named(tmp_path):
    table(tmp_path / "own/train.csv", events())
    assert "needs a test part" in run(tmp_path, tmp_path / "own").complaint
    table(tmp_path / "own/test.csv", events())
    table(tmp_path / "own/test.tsv", events())
    assert "two files for the part test" in run(tmp_path, tmp_path / "own").complaint
    (tmp_path / "own/test.tsv").unlink()
    for option, value in (("k_core", 2), ("split", "none")):
        assert "stay as they are" in run(tmp_path, tmp_path / "own", f"--modality.{option}", value).complaint
    assert "no such file" in run(tmp_path, tmp_path / "absent.csv").complaint


def test_other_modalities_ask_which_data_set_a_folder_holds(tmp_path):
    done = omni("run", "ecg-jepa", "--data.root", tmp_path, "--out", tmp_path / "run")
    assert (done.code, "add --data.name NAME" in done.complaint) == (2, True)
