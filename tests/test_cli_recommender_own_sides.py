"""Side graphs beside the user's own interactions, through the command line and file by file."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import pytest
from cli_kit import omni
from omnipatch import InputError
from omnipatch.core.errors import CorruptFileError
from omnipatch.core.train.model_io import load_model
from omnipatch.modalities.recommender.interactions import Interactions
from omnipatch.modalities.recommender.own_sides import own_sides

USERS, ITEMS = 16, 12
FRIENDS = [(f"u{u}", f"u{(u + 4) % USERS}") for u in range(USERS)]  # of the same four
FACTS = [(f"i{i}", "by", f"maker{i % 3}") for i in range(ITEMS)]


def events(seed=0):
    rng = np.random.default_rng(seed)
    return [(f"u{u}", f"i{i}") for u in range(USERS) for i in rng.permutation(ITEMS)[:6]]


def written(path, rows, head="", mark=","):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("\n".join([*([head] if head else []), *(mark.join(row) for row in rows)]) + "\n")
    return path


def run(tmp_path, root, sides):
    return omni("run", "rec-masked", "--data.root", root, "--out", tmp_path / "run", "--data.cache", tmp_path / "cache",
                "--fast-dev-run", "--modality.positions", 3, "--encoder.width", 8, "--encoder.hidden", 8,
                "--modality.sides", sides)  # fmt: skip


class TestCommandLine:
    def test_friends_beside_one_file(self, tmp_path):
        own = written(tmp_path / "shop/own.csv", events(), "user,item")
        written(tmp_path / "shop/social.csv", FRIENDS, "user,friend")
        done = run(tmp_path, own, "[social]")
        assert done.code == 0, done.err
        model = load_model(tmp_path / "run")
        assert model.encoder.spec.kinds == ("item", "person", "friend")
        assert model.modality.catalogue.friends.nnz == 2 * len(FRIENDS)
        names = {entry["name"] for entry in json.loads((tmp_path / "run/results.json").read_text())["ranking"]}
        assert "gf-cf + friends" in names
        # a history lies elsewhere, without friends beside it
        history = written(tmp_path / "elsewhere/history.csv", [("u3", "i1"), ("new", "i1")], "user,item")
        served = omni("recommend", "--from", tmp_path / "run", "--history", history, "--k", 2)
        assert served.code == 0, served.err

    def test_facts_and_friends_beside_parts_of_a_split(self, tmp_path):
        rows = events()
        written(tmp_path / "shop/train.csv", [row for at, row in enumerate(rows) if at % 6 < 5], "user,item")
        written(tmp_path / "shop/test.csv", [row for at, row in enumerate(rows) if at % 6 == 5], "user,item")
        written(tmp_path / "shop/knowledge.txt", FACTS, mark=" ")
        written(tmp_path / "shop/social.txt", FRIENDS, mark=" ")
        done = run(tmp_path, tmp_path / "shop", "[social,knowledge]")
        assert done.code == 0, done.err
        known = load_model(tmp_path / "run").modality.catalogue
        assert known.known.shape == (ITEMS, 3 + 1 + 3 + 1)
        assert known.friends.nnz == 2 * len(FRIENDS)

    def test_a_side_without_a_file_is_one_sentence(self, tmp_path):
        own = written(tmp_path / "shop/own.csv", events(), "user,item")
        written(tmp_path / "shop/socail.csv", FRIENDS)
        done = run(tmp_path, own, "[social]")
        assert done.code == 2
        for part in ("no file of this side graph", "modality.sides", "social.csv or social.tsv", "socail"):
            assert part in done.complaint


class TestFiles:
    train = Interactions.from_arrays(*zip(*events(), strict=True))

    def read(self, path, name):
        return own_sides(path.parent, self.train, [name])[name]

    @pytest.mark.parametrize(("ending", "mark"), [(".csv", ","), (".tsv", "\t"), (".txt", " ")])
    @pytest.mark.parametrize("head", [True, False])
    def test_every_form_is_the_same_graph(self, tmp_path, ending, mark, head):
        first = mark.join(("user_id", "friend")) if head else ""
        graph = self.read(written(tmp_path / f"social{ending}", FRIENDS, first, mark), "social")
        names = self.train.users
        assert {(names[a], names[b]) for a, b in zip(graph.head, graph.tail, strict=True)} == set(FRIENDS)
        assert (graph.of, graph.dropped) == ("user", 0)

    def test_two_columns_that_begin_with_items_are_facts(self, tmp_path):
        """Of which none is taken for an item, whatever it is called."""
        rows = [(f"i{i}", f"i{i % 2}") for i in range(ITEMS)]
        graph = self.read(written(tmp_path / "genre.csv", rows, "item,genre"), "genre")
        assert (graph.of, graph.nodes, len(graph)) == ("item", ITEMS + 2, ITEMS)
        assert graph.linked.all()

    def test_three_columns_are_facts(self, tmp_path):
        graph = self.read(written(tmp_path / "made.csv", FACTS, "head,relation,tail"), "made")
        assert (graph.of, graph.nodes, graph.relations) == ("item", ITEMS + 3, ("by",))

    def test_nothing_is_read_unless_asked_for(self, tmp_path):
        written(tmp_path / "social.csv", [("torn",), ("a", "b", "c")])
        assert own_sides(tmp_path, self.train, []) == {}

    BAD: ClassVar = {
        "four columns": ("u1,u2,u3,u4\n", InputError, "two columns or three"),
        "torn": ("u1,u2\nu1\n", CorruptFileError, "social.csv:2"),
        "hole": ("u1,u2\nu1,\n", CorruptFileError, "social.csv:2"),
        "empty": ("\n", CorruptFileError, "is empty"),
        "header alone": ("user,friend\n", InputError, "no pairs"),
        "strangers": ("a,b\nc,d\n", InputError, "no pair is between known users"),
        "facts of strangers": ("a,by,b\nc,by,d\n", InputError, "about a known item"),
    }

    @pytest.mark.parametrize("name", BAD)
    def test_bad_files_are_one_sentence(self, tmp_path, name):
        text, kind, message = self.BAD[name]
        (tmp_path / "social.csv").write_text(text)
        with pytest.raises(kind, match=message):
            own_sides(tmp_path, self.train, ["social"])

    def test_two_files_of_one_name_are_refused(self, tmp_path):
        for ending in ("csv", "txt"):
            written(tmp_path / f"social.{ending}", FRIENDS)
        with pytest.raises(InputError, match=r"two files.*social\.csv, social\.txt"):
            own_sides(tmp_path, self.train, ["social"])
