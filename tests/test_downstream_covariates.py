"""The control that has heard nothing: covariates of people, how they are read, and what is said of them."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from downstream_fakes import FakeEncoder, FakeModality, FakeStore
from hypothesis import given
from hypothesis import strategies as st
from omnipatch.core.config import EvaluateConfig, ProbeConfig, Recipe
from omnipatch.core.data.manifest import read_manifest
from omnipatch.core.data.sources import SourceList, resolve_sources
from omnipatch.core.downstream.covariates import Covariates, over_covariates, to_columns
from omnipatch.core.downstream.evaluate import evaluate
from omnipatch.core.errors import InputError
from omnipatch.core.modality import Source
from omnipatch.core.report.words import headline

RECIPE = Recipe(
    probe=ProbeConfig(linear_c=(0.01, 1.0), token_scale=(0.3,)),
    evaluate=EvaluateConfig(models=("pretrained", "covariates"), protocols=("linear",), seeds=1),
)


def run(store, covariates, recipe=RECIPE):
    return evaluate(
        recipe, FakeModality(), store, store.split(), FakeEncoder(0), FakeEncoder, covariates=covariates
    )  # fmt: skip


def people(store, told) -> Covariates:
    """Covariates of a store's records from a function of the record's code."""
    sources = [Source(None, name, extras=told(code)) for code, name in enumerate(store.records)]
    found = Covariates.of(SourceList(tuple(sources), "x", None, covariates=("age", "sex")), store.records)
    assert found is not None
    return found


class TestColumns:
    def test_numbers_stay_numbers(self):
        columns = to_columns(["66", 50.5, "", None, "nan"])
        np.testing.assert_array_equal(columns[:, 0], [66, 50.5, np.nan, np.nan, np.nan])

    def test_everything_else_is_a_column_a_category(self):
        columns = to_columns(["M", "f", " m", "unknown", "F"])
        np.testing.assert_array_equal(columns, [[0, 1], [1, 0], [0, 1], [np.nan, np.nan], [1, 0]])

    def test_what_nobody_knows_is_no_column(self):
        assert to_columns(["", None, "NA"]).shape == (3, 0)

    @given(st.lists(st.one_of(st.none(), st.text(max_size=4), st.floats(), st.integers()), max_size=8))
    def test_anything_gives_finite_numbers_or_missing(self, values):
        columns = to_columns(values)
        assert len(columns) == len(values)
        assert not np.isinf(columns).any()


def test_a_data_set_without_covariates_has_no_row():
    found = run(FakeStore(windows=2), None)
    assert {row.model for row in found.rows} == {"pretrained"}
    assert over_covariates(found, 5) == {}
    only = replace(RECIPE, evaluate=replace(RECIPE.evaluate, models=("covariates",)))
    with pytest.raises(InputError, match="none of the models"):
        run(FakeStore(windows=2), None, only)


def test_undeclared_extras_are_not_used():
    sources = SourceList((Source(None, "r", extras={"age": 3}),), "x", None)
    assert Covariates.of(sources, ("r",)) is None


@pytest.fixture(scope="module")
def store():
    return FakeStore(subjects=18, windows=4, unit="subject", signal=0.0, noise=2.0)


class TestRow:
    def test_a_covariate_that_tells_the_class_is_found_and_noise_is_not_above_it(self, store):
        covariates = people(store, lambda code: {"age": 30 + code % 7, "sex": "mfx"[code // 2 % 3]})
        found = run(store, covariates)
        auroc = {row.model: row.metrics["auroc"] for row in found.rows}
        assert auroc["covariates"] > 0.8 > auroc["pretrained"]
        table = over_covariates(found, 50)
        json.dumps(table, allow_nan=False)
        assert table["names"] == ["age", "sex"]
        entry = next(e for e in table["differences"] if e["metric"] == "auroc")
        assert entry["mean"] == pytest.approx(auroc["pretrained"] - auroc["covariates"])

    def test_nothing_but_covariates_reaches_the_row(self, store):
        covariates = people(store, lambda code: {"age": code})
        other = FakeStore(subjects=18, windows=4, unit="subject", seed=9)
        other._items = replace(other.items(), label=store.items().label)
        first, second = (run(s, covariates).predictions["covariates", "linear", 1.0, 0, 0] for s in (store, other))
        np.testing.assert_array_equal(first.probability, second.probability)

    def test_people_of_whom_nothing_is_known_get_an_answer(self, store):
        covariates = people(store, lambda code: {"age": code} if code % 3 else {})
        for prediction in run(store, covariates).predictions.values():
            assert np.isfinite(prediction.probability).all()


@pytest.mark.parametrize(("low", "words"), [(0.05, "is above that"), (-0.05, "not clearly above that")])
def test_the_verdict_says_whether_a_model_is_above_age_and_sex(low, words):
    line = {"protocol": "finetune", "label_fraction": 1.0, "metric": "auroc"}
    entries = [
        {"model": model, "mean": mean, "ci_low": mean - 0.1, "ci_high": mean + 0.1, "n": 3, **line, **other}
        for model, mean, other in (
            ("pretrained", 0.8, {}), ("scratch", 0.7, {}), ("covariates", 0.6, {"protocol": "linear"}),
        )
    ]  # fmt: skip
    over = {"model": "pretrained", "mean": 0.2, "ci_low": low, "ci_high": 0.3, **line}
    difference = {"control": "scratch", "mean": 0.1, "ci_low": 0.05, "ci_high": 0.2, **line}
    results = {"rows": [1], "summary": entries, "covariates": {"names": ["age", "sex"], "differences": [over]}}
    last = headline(results, [difference]).details[-1]
    assert last.startswith("Age and sex alone reach AUROC 0.600 (0.500 to 0.700); pretrained, fine-tuning, is ")
    assert words in last


def test_age_and_sex_of_a_manifest_are_covariates(tmp_path):
    (tmp_path / "a.wav").touch()
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,subject,label,age,sex\na.wav,s1,x,44,f\n")
    assert read_manifest(manifest)[0].extras == {"age": 44.0, "sex": "f"}
    modality = SimpleNamespace(tasks=dict, relate=list, hand_task="")
    found = resolve_sources(modality, replace(Recipe().data, manifest=str(manifest)))
    covariates = Covariates.of(found, [source.record for source in found])
    assert covariates is not None
    assert covariates.names == ("age", "sex")
