"""Graph mode and side graphs through the command line: who is known is known again, who is new is served."""

from __future__ import annotations

import json

import pytest
from cli_kit import omni
from omnipatch.core.train.model_io import load_model

SHORT = ("--fast-dev-run", "--modality.positions", 8)


def trained(tmp_path_factory, recipe, *options):
    folder = tmp_path_factory.mktemp(recipe)
    done = omni("run", recipe, "--out", folder / "run", "--data.cache", folder / "cache", *SHORT, *options)
    assert done.code == 0, done.err
    return folder


def top(folder, *lines):
    """{person: items}, best first, by the model alone."""
    history = folder / "history.csv"
    history.write_text("\n".join(("user,item", *lines)) + "\n")
    done = omni("recommend", "--from", folder / "run", "--history", history, "--k", 9, "--alone", "--overwrite",
                "--out", folder / "top.csv")  # fmt: skip
    assert done.code == 0, done.err
    found: dict[str, list[str]] = {}
    for line in (folder / "top.csv").read_text().splitlines()[1:]:
        person, _, item, _ = line.split(",")
        found.setdefault(person, []).append(item)
    return found


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return trained(tmp_path_factory, "rec-lightgcn")


@pytest.fixture(scope="module")
def social(tmp_path_factory):
    return trained(tmp_path_factory, "rec-masked", "--modality.sides", "[social,genre]")


class TestGraph:
    def test_a_person_of_training_is_known_again_by_name(self, graph):
        found = top(graph, "user003,item003", "user004,item003", "new,item003", "other,item003")
        assert found["user003"] != found["user004"]
        assert found["new"] == found["other"] != found["user003"]
        assert all("item003" not in items for items in found.values())

    def test_the_model_lists_nobody(self, graph):
        model = load_model(graph / "run")
        assert "user003" not in str(model.modality.learned())
        assert model.encoder.people.num_embeddings == len(model.modality.catalogue.people) == 300


class TestSides:
    def test_they_are_saved_with_the_model(self, social):
        model = load_model(social / "run")
        assert model.encoder.spec.kinds == ("item", "person", "friend")
        assert model.modality.config.sides == ("social", "genre")
        known = model.modality.known_of_ids().numbers[2]
        assert (model.encoder.embed.known[2].values.numpy() == known).all()
        assert known.any()

    def test_rankings_without_training_read_them_too(self, social):
        results = json.loads((social / "run/results.json").read_text())
        assert {"gf-cf + friends", "gf-cf + facts"} <= {entry["name"] for entry in results["ranking"]}

    def test_a_history_alone_is_enough(self, social):
        found = top(social, "user003,item003", "new,item003")
        assert len(found["new"]) == 9
        assert "item003" not in found["new"]

    def test_an_unknown_one_is_named_with_those_there_are(self, tmp_path):
        done = omni("run", "rec-masked", "--out", tmp_path / "run", "--modality.sides", "[scoial]", *SHORT)
        assert done.code == 2
        assert "social" in done.complaint
        assert "modality.sides" in done.complaint
