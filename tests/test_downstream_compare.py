"""Runs against one another: known differences, people matched by name, what is refused, what is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from omnipatch import InputError
from omnipatch.core.downstream.compare import Comparison
from omnipatch.core.downstream.compare import compare as with_resamples
from omnipatch.core.downstream.metrics import classification_metrics, regression_metrics
from omnipatch.core.downstream.predictions import Predictions
from omnipatch.core.downstream.rows import Evaluation, Prediction, Row

CLASSES = ("calm", "wild")
LINE = ("pretrained", "linear", 1.0)
NAMES = tuple(f"p{i:02d}" for i in range(24))


def classified(skill: float, *, names=NAMES, seed=0, seeds=1, items=20, folds=1, order=None) -> Predictions:
    """Decisions about people of very different ease; the same people are as easy in every run.

    order: [name] in which a store would list them. Folds take every so-manieth person.
    """
    order = np.arange(len(names)) if order is None else order
    listed = tuple(names[i] for i in order)
    rows, predictions = [], {}
    for number in range(seeds):
        for fold in range(folds):
            parts = []
            for code, name in enumerate(listed):
                if int(name[1:]) % folds != fold:
                    continue
                own = np.random.default_rng([int(name[1:])])
                ease, label = own.normal(), own.integers(0, 2, items)
                noise = own.normal(size=items) + 0.2 * np.random.default_rng([seed, number, int(name[1:])]).normal(
                    size=items
                )
                score = 1 / (1 + np.exp(-(noise + (skill + ease) * (2 * label - 1))))
                parts.append((label, np.stack([1 - score, score], axis=1), np.full(items, code)))
            label, probability, owner = (np.concatenate(part) for part in zip(*parts, strict=True))
            metrics = classification_metrics(label, probability, CLASSES)
            rows.append(Row(*LINE, number, fold, metrics))
            predictions[rows[-1].key] = Prediction(label, probability, owner, owner, np.arange(len(owner)))
    return Predictions(Evaluation(rows, predictions, {}, CLASSES, listed, listed, unit="window"), "demo", "rhythm")


def ranked(gain: float, *, names=NAMES, seed=0, prior=0.1) -> Predictions:
    """Rankings of one list a person: `gain` over what everybody's history is worth."""
    found = Evaluation([], {}, {}, (), names, ("market",), unit="ranking")
    worth = np.random.default_rng(0).beta(1, 3, len(names))
    jitter = 0.01 * np.random.default_rng(seed + 1).normal(size=len(names))
    for name, model, values in (
        ("popularity", "prior", worth * 0 + prior),
        ("ease", "hand-features", worth),
        ("pretrained, alone", "", worth + gain + jitter),
        ("pretrained, blended", "pretrained", worth + gain / 2 + jitter),
    ):
        values = np.where(np.arange(len(names)) == 3, np.nan, values)  # somebody is asked for nothing
        codes = np.arange(len(names))
        prediction = Prediction(
            np.zeros((len(names), 0)), np.zeros((len(names), 0)), codes, codes * 0, codes,
            values={"ndcg@20": values},
        )  # fmt: skip
        row = Row(model or name, "ranking", 1.0, 0, 0, {"ndcg@20": float(np.nanmean(values)), "coverage@20": 0.5})
        found.ranked.append((name, row, prediction))
        if model:
            found.rows.append(row)
            found.predictions[row.key] = prediction
    return Predictions(found, "demo", "items")


def compare(runs, **options) -> Comparison:
    return with_resamples(runs, resamples=200, **options)


def entry(found, metric="accuracy", run="b", model="pretrained"):
    return next(e for e in found.entries if (e["metric"], e["run"], e["model"]) == (metric, run, model))


class TestDifferences:
    def test_a_known_difference_is_found_with_an_interval_that_pairs_people(self):
        one, two = classified(0.3), classified(0.7, seed=1)
        found = entry(compare({"a": one, "b": two}))
        means = [run.evaluation.rows[0].metrics["accuracy"] for run in (one, two)]
        assert found["change"] == pytest.approx(means[1] - means[0])
        assert 0 < found["change_low"] < found["change"] < found["change_high"]
        assert found["change_high"] - found["change_low"] < 0.7 * (found["ci_high"] - found["ci_low"])

    def test_what_is_equally_good_is_no_clear_difference(self):
        found = entry(compare({"a": classified(0.5), "b": classified(0.5, seed=1)}), "auroc")
        assert found["change_low"] < 0 < found["change_high"]

    def test_the_reference_is_compared_with_nothing_and_others_each_with_it(self):
        found = compare({"a": classified(0.3), "b": classified(0.4), "c": classified(0.9)})
        assert entry(found, run="a")["change"] is None
        assert entry(found, run="b")["change"] < entry(found, run="c")["change"]

    def test_the_order_of_subjects_does_not_matter(self):
        one = classified(0.3)
        straight = compare({"a": one, "b": classified(0.7)})
        order = np.random.default_rng(5).permutation(len(NAMES))
        turned = compare({"a": one, "b": classified(0.7, order=order)})
        for expected, got in zip(straight.entries, turned.entries, strict=True):
            for key in ("mean", "change", "change_low", "change_high"):
                assert got[key] == pytest.approx(expected[key], abs=1e-6), (got["metric"], key)

    def test_seeds_are_averaged_and_need_not_be_as_many(self):
        one, two = classified(0.3, seeds=3), classified(0.7)
        found = entry(compare({"a": one, "b": two}))
        mean = np.mean([row.metrics["accuracy"] for row in one.evaluation.rows])
        assert found["change"] == pytest.approx(two.evaluation.rows[0].metrics["accuracy"] - mean)
        assert found["n"] == 1

    def test_folds_pair_their_own_people(self):
        found = entry(compare({"a": classified(0.3, folds=3), "b": classified(0.7, folds=3)}))
        assert (found["n"], found["change_low"] > 0) == (3, True)

    def test_numbers(self):
        def run(error):
            truth = np.linspace(0, 10, 96).astype(np.float32)
            said = truth + error * np.random.default_rng(0).normal(size=96)
            owner = np.repeat(np.arange(24), 4)
            row = Row(*LINE, 0, 0, regression_metrics(truth, said))
            prediction = Prediction(truth, said[:, None], owner, owner, np.arange(96))
            return Predictions(Evaluation([row], {row.key: prediction}, {}, (), NAMES, NAMES, unit="window"), "d", "t")

        found = entry(compare({"a": run(2.0), "b": run(1.0)}), "mae")
        assert found["change_high"] < 0


class TestRankings:
    def test_rankers_are_compared_by_name(self):
        found = compare({"a": ranked(0.0), "b": ranked(0.05, seed=1)})
        change = {e["model"]: e["change"] for e in found.entries if e["run"] == "b" and e["metric"] == "ndcg@20"}
        assert list(change) == ["popularity", "ease", "pretrained, alone", "pretrained, blended"]
        assert change["ease"] == pytest.approx(0)
        assert change["pretrained, alone"] == pytest.approx(0.05, abs=0.01)
        assert entry(found, "ndcg@20", model="pretrained, alone")["change_low"] > 0
        assert found.notes == []

    def test_what_has_no_mean_over_people_has_no_interval(self):
        found = entry(compare({"a": ranked(0.0), "b": ranked(0.05)}), "coverage@20", model="ease")
        assert (found["change"], found["change_low"]) == (0, None)

    def test_rows_of_the_result_table_and_both_kinds_of_a_model_can_be_asked_for(self):
        def models(*rows):
            return {e["model"] for e in compare({"a": ranked(0.0), "b": ranked(0.1)}, rows=rows).entries}

        assert models("hand-features/ranking") == {"ease"}
        assert models("pretrained") == {"pretrained, alone", "pretrained, blended"}
        assert models("pretrained, alone/ranking/1") == {"pretrained, alone"}

    def test_another_prior_is_said(self):
        (note,) = compare({"a": ranked(0.0), "b": ranked(0.0, prior=0.2)}).notes
        assert "prior" in note


class TestRefusals:
    def test_disjoint_people(self):
        others = tuple(f"p{i}" for i in range(50, 60))
        for shared in (False, True):
            with pytest.raises(InputError, match=r"none of them in all runs.*24 in a, 10 in b"):
                compare({"a": classified(0.3), "b": classified(0.3, names=others)}, shared=shared)

    def test_other_people_are_counted_and_left_out_when_asked(self):
        one, two = classified(0.3), classified(0.7, names=NAMES[4:])
        with pytest.raises(InputError, match=r"20 are in all of them.*24 in a, 20 in b.*--shared"):
            compare({"a": one, "b": two})
        found = compare({"a": one, "b": two}, shared=True)
        expected = compare({"a": classified(0.3, names=NAMES[4:]), "b": two})
        assert found.subjects == 20
        for got, wanted in zip(found.entries, expected.entries, strict=True):
            for key in ("mean", "change", "change_low", "change_high"):
                assert got[key] == pytest.approx(wanted[key]), (got["metric"], key)

    def test_rankings_of_shared_people_are_means_over_them(self):
        found = compare({"a": ranked(0.0), "b": ranked(0.05, names=NAMES[:12])}, shared=True)
        assert found.subjects == 12
        assert "coverage@20" not in found.metrics
        assert entry(found, "ndcg@20", run="a", model="popularity")["mean"] == pytest.approx(0.1)

    def test_the_same_people_in_other_folds(self):
        for shared in (False, True):
            with pytest.raises(InputError, match="other folds"):
                compare({"a": classified(0.3, folds=2), "b": classified(0.3, folds=3)}, shared=shared)

    @pytest.mark.parametrize(
        ("field", "change"), [("task", {"task": "beats"}), ("data set", {"dataset": "mitdb"})], ids=["task", "dataset"]
    )
    def test_other_questions(self, field, change):
        with pytest.raises(InputError, match=rf"different questions.*field {field}"):
            compare({"a": classified(0.3), "b": replace(classified(0.3), **change)})

    def test_a_single_run_and_what_is_not_there(self):
        runs = {"a": classified(0.3), "b": classified(0.7)}
        with pytest.raises(InputError, match="nothing"):
            compare({"a": runs["a"]})
        with pytest.raises(InputError, match=r"--row.*scratch.*pretrained/linear/1"):
            compare(runs, rows=["scratch"])
        with pytest.raises(InputError, match=r"--metric.*did you mean 'accuracy'"):
            compare(runs, metrics=["acuracy"])


class TestCaveats:
    def test_rows_of_one_run_alone_are_named(self):
        one, two = classified(0.3), classified(0.7)
        (row,) = two.evaluation.rows
        extra = replace(row, protocol="knn")
        two.evaluation.rows.append(extra)
        two.evaluation.predictions[extra.key] = two.evaluation.predictions[row.key]
        (note,) = compare({"a": one, "b": two}).notes
        assert "b has rows that a has not: pretrained/knn/1" in note
        assert compare({"a": one, "b": two}, rows=["pretrained"]).notes == []

    def test_another_number_of_decisions_is_said(self):
        (note,) = compare({"a": classified(0.3), "b": classified(0.3, items=10)}).notes
        assert "240 times" in note
        assert "480 times" in note

    def test_few_people_are_said(self):
        (note,) = compare({name: classified(skill, names=NAMES[:3]) for name, skill in (("a", 0.2), ("b", 0.6))}).notes
        assert "only 3 test subjects" in note
