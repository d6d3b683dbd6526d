"""Public recommender sets in their own layout: the counts of their authors, and folders that are something else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from omnipatch import InputError
from omnipatch.modalities.recommender.datasets import MARKETS
from omnipatch.modalities.recommender.leaks import leak_report

# users, items, train with what was cut from it for validation, validation of the authors, test
COUNTS = {
    "gowalla": (29_858, 40_981, 810_128, 0, 217_242),
    "ml-1m": (6_022, 3_043, 796_244, 0, 99_455),
    "ml-100k": (943, 1_682, 80_024, 9_988, 9_988),
    "lastfm": (1_880, 4_489, 42_135, 0, 10_533),
    "yelp-sparse": (42_712, 26_822, 182_357, 13_025, 65_128),
    "sports-seq": (85_226, 56_974, 400_331 - 2 * 85_226, 85_226, 85_226),
}


def market(name):
    reader = MARKETS[name]
    return reader.read(Path(os.environ["OMNIPATCH_DATA"]) / reader.folder, 0)


@pytest.mark.real_data
@pytest.mark.parametrize("name", COUNTS)
def test_counts(name):
    split = market(name).split
    users, items, train, validation, test = COUNTS[name]
    assert (split.train.n_users, split.train.n_items) == (users, items)
    assert len(split.test) == test
    if validation:
        assert (len(split.train), len(split.validation)) == (train, validation)
    else:
        assert len(split.train) + len(split.validation) == train
        assert 0.09 * train < len(split.validation) < 0.11 * train
    assert leak_report(split).merged == 0


@pytest.mark.real_data
def test_what_stands_beside_lastfm():
    found = market("lastfm")
    assert len(found.sides["social"]) + found.sides["social"].dropped == 25_434
    report = leak_report(found.split)
    assert (report.cold_users, report.cold_items) == (2, 13)


@pytest.mark.real_data
def test_what_stands_beside_ml_100k():
    found = market("ml-100k")
    knowledge = found.sides["knowledge"]
    assert (len(knowledge), knowledge.nodes, len(knowledge.relations)) == (91_631, 34_712, 24)
    assert knowledge.linked.sum() == 1_598
    assert "film.film.actor" in knowledge.relations
    assert found.sides["genre"].nodes - found.sides["genre"].rows == 19
    assert found.split.train.time is not None


@pytest.mark.real_data
def test_one_date_for_all_of_ml_100k():
    split = market("ml-100k-time").split
    assert len(split.train) + len(split.validation) + len(split.test) == 100_000
    report = leak_report(split)
    assert (report.later, report.late_users, report.cold_users) == (0.0, 0.0, 76)
    assert (split.test.user_degree > 0).sum() == 166


@pytest.mark.parametrize("name", MARKETS)
class TestElsewhere:
    def test_no_folder(self, name, tmp_path):
        with pytest.raises(InputError, match=f"no folder for data set {name.removesuffix('-time')}"):
            MARKETS[name].read(tmp_path / "nowhere", 0)

    def test_another_layout(self, name, tmp_path):
        (tmp_path / "train.parquet").touch()
        with pytest.raises(InputError, match=r"wrong layout.*expected .*(txt|tsv)"):
            MARKETS[name].read(tmp_path, 0)


def test_every_reader_says_where_it_comes_from():
    for name, reader in MARKETS.items():
        assert reader.name == name
        assert all((reader.folder, reader.protocol, reader.licence, reader.citation, reader.instructions))
