"""What an evaluation must say about the subjects its encoder was pretrained on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omnipatch.core.config import DataConfig, Recipe
from omnipatch.core.data.splits import Split
from omnipatch.core.trained import Trained

NOW = Split(frozenset("ab"), frozenset("c"), frozenset("de"), "holdout", "subject")


def _stamps(dataset: str, data: DataConfig, train: str = "bd", *, known: bool = True) -> list[str]:
    before = Split(frozenset(train), frozenset("f"), frozenset("ae"), "holdout", "subject")
    model: Any = SimpleNamespace(recipe=Recipe(data=data))
    return Trained(Path("run"), (model,), (before.to_json(),) if known else None).stamps([NOW], dataset)


@pytest.mark.parametrize(
    ("dataset", "data", "shared"),
    [
        ("mitdb", DataConfig(name="mitdb"), True),
        ("manifest", DataConfig(manifest="mine.csv"), True),
        ("manifest", DataConfig(name="mitdb"), True),  # it may list files of that set
        ("mitdb", DataConfig(name="ludb"), False),  # other people with the same names
    ],
)
def test_shared_subjects_are_counted_where_the_people_are_the_same(dataset, data, shared):
    expected = ["the encoder was pretrained on the signals of 1 of 2 test subjects"] if shared else []
    assert _stamps(dataset, data) == expected
    assert _stamps(dataset, data, train="bc") == []


def test_unlabelled_additions_are_remembered():
    data = DataConfig(name="ludb", pretrain_with=("mitdb",))
    assert _stamps("mitdb", data) == ["the encoder was pretrained on the signals of mitdb, test subjects included"]


def test_a_model_without_its_split_says_so():
    assert "not known" in _stamps("mitdb", DataConfig(name="mitdb"), known=False)[0]
    assert _stamps("ludb", DataConfig(name="mitdb"), known=False) == []


@pytest.mark.parametrize(
    ("dataset", "data", "may"),
    [
        ("ludb", DataConfig(name="cinc2021", pretrain_with=("demo",)), False),
        ("demo", DataConfig(name="cinc2021", pretrain_with=("demo",)), True),
        ("cinc2021", DataConfig(name="cinc2021"), True),
        ("manifest", DataConfig(name="cinc2021"), True),
        ("ludb", DataConfig(manifest="mine.csv"), True),
    ],
)
def test_whether_an_encoder_may_know_a_data_set(dataset, data, may):
    model: Any = SimpleNamespace(recipe=Recipe(data=data))
    assert Trained(Path("run"), (model,), None).may_know(dataset) == may
