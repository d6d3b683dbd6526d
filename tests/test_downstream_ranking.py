"""Ranking rows: every choice on validation, longer histories for the test, blends, intervals over people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from omnipatch import InputError
from omnipatch.core.config import EvaluateConfig, Recipe, SplitConfig
from omnipatch.core.data.ragged import Ragged
from omnipatch.core.data.splits import make_splits
from omnipatch.core.data.store import WindowStore
from omnipatch.core.downstream.evaluate import evaluate
from omnipatch.core.downstream.further import further_results
from omnipatch.core.downstream.id_scores import asked_of, model_score, shown_by
from omnipatch.core.downstream.ranking_table import ranking_lines, ranking_table
from omnipatch.core.downstream.summary import summarise_all
from omnipatch.core.train.model_io import fresh_encoder
from omnipatch.modalities.recommender import Recommender, RecommenderConfig

RECIPE = Recipe(evaluate=EvaluateConfig(models=("pretrained", "prior", "hand-features"), seeds=1, bootstrap=50))
ENCODER = {"name": "set", "width": 8, "hidden": 8}


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """(modality, store, split, encoder) of the demo market."""
    modality = Recommender(RecommenderConfig(positions=4))
    sources = modality.demo()
    modality = modality.fitted(sources)
    store = WindowStore.prepare(modality, sources, modality.task("items"), tmp_path_factory.mktemp("cache"))
    (split,) = make_splits(store, SplitConfig())
    return modality, store, split, fresh_encoder(ENCODER, store.spec, 0, modality.known_of_ids())


@pytest.fixture(scope="module")
def found(market):
    return rows_of(*market)


def rows_of(modality, store, split, encoder):
    return evaluate(RECIPE, modality, store, split, encoder, lambda seed: encoder)


def with_other_answers(store):
    """The same store, whose test asks everybody for other ids that they do not show."""
    other = object.__new__(WindowStore)
    other.__dict__.update(store.__dict__)
    shown, ids, rng = shown_by(store, np.arange(len(store))), [], np.random.default_rng(0)
    for window, count in enumerate(store.asked.counts):
        if store.asked_side[window] == "test":
            free = np.setdiff1d(np.arange(shown.shape[1]), shown[window].indices)
            ids.append(np.sort(rng.permutation(free)[:count]))
        else:
            ids.append(store.asked.flat(np.array([window]))["ids"])
    other.asked = Ragged(np.array([len(part) for part in ids]), {"ids": np.concatenate(ids)})
    return other


def test_no_choice_depends_on_what_the_test_asks(market, found):
    modality, store, split, encoder = market
    again = rows_of(modality, with_other_answers(store), split, encoder)
    assert again.choices == found.choices
    assert [row.metrics for row in again.rows] != [row.metrics for row in found.rows]


def test_rows_have_means_over_people_and_intervals(found):
    summary, _ = summarise_all(found, 50, 0)
    for entry in summary:
        if entry["metric"] == "ndcg@20":
            assert entry["ci_low"] < entry["mean"] < entry["ci_high"]
        if entry["metric"] == "coverage@20":  # of all lists together
            assert entry["ci_low"] is None
    row = next(row for row in found.rows if row.model == "prior")
    values = found.predictions[row.key].values["ndcg@20"]
    assert row.metrics["ndcg@20"] == pytest.approx(values.mean())


def test_a_blend_at_weight_zero_is_the_other_ranker(found):
    for _, row, _ in found.ranked:
        chosen = found.choices[row.key]
        if chosen.get("weight") == 0.0:
            other = next(r for name, r, _ in found.ranked if name == chosen["blended_with"])
            assert row.metrics == pytest.approx(other.metrics)


def test_the_table_pairs_everything_with_the_best_without_training(found):
    entries = ranking_table(found, 50)
    best = next(name for name, row, _ in found.ranked if row.model == "hand-features")
    assert {entry["name"] for entry in entries if "change" not in entry} == {best}
    assert max(e["validation"] for e in entries if not e["name"].startswith("pretrained")) == next(
        e["validation"] for e in entries if e["name"] == best
    )
    head, lines = ranking_lines(entries)
    assert len(lines) == len({entry["name"] for entry in entries})
    assert all(len(line) == len(head) for line in lines)


def test_matrices_hold_what_windows_show_and_are_asked(market):
    _, store, split, _ = market
    windows = split.windows(store, "test")[:7]
    shown, asked = shown_by(store, windows), asked_of(store, windows)
    for row, window in enumerate(windows):
        assert set(shown[row].indices) == set(store.batch([window]).ids.flatten().tolist())
        assert set(asked[row].indices) == set(store.asked.flat(np.array([window]))["ids"].tolist())
    assert shown.multiply(asked).nnz == 0


def test_scores_are_inner_products_in_the_order_of_the_windows(market):
    _, store, split, encoder = market
    windows = split.windows(store, "test")[::-1][:9]
    score = model_score(encoder, store, windows, batch_size=4)
    expected = encoder(store.batch(windows)).pooled @ encoder.id_table().T
    assert np.allclose(score(np.array([8, 0])), expected[[8, 0]].detach().numpy(), atol=1e-5)


def test_a_side_that_asks_nothing_is_refused(market):
    modality, store, split, encoder = market
    silent = object.__new__(WindowStore)
    silent.__dict__.update(store.__dict__)
    silent.asked_side = np.where(store.asked_side == "test", "", store.asked_side)
    with pytest.raises(InputError, match="nobody is asked"):
        rows_of(modality, silent, split, encoder)


def test_ranking_is_refused_for_other_tasks():
    from omnipatch.core.downstream.evaluate import check_protocols
    from omnipatch.core.modality import Task

    recipe = replace(RECIPE, evaluate=replace(RECIPE.evaluate, protocols=("ranking",)))
    check_protocols(recipe, Task("items", "ranking", ()))
    with pytest.raises(InputError, match="does not rank"):
        check_protocols(recipe, Task("rhythm", "record", ("a", "b")))


def test_lists_that_cannot_be_are_refused_before_anything_is_trained():
    from omnipatch.core.downstream.evaluate import check_protocols
    from omnipatch.core.modality import Task

    task = Task("items", "ranking", ())
    for wrong in ({"cutoffs": (5, 0)}, {"ranking_negatives": -1}):
        with pytest.raises(InputError, match=f"evaluate.{next(iter(wrong))}"):
            check_protocols(replace(RECIPE, evaluate=replace(RECIPE.evaluate, **wrong)), task)


def test_drawn_items_are_for_the_test_alone_and_said(market, found):
    modality, store, split, encoder = market
    recipe = replace(RECIPE, evaluate=replace(RECIPE.evaluate, ranking_negatives=20, cutoffs=(5,)))
    few = evaluate(recipe, modality, store, split, encoder, lambda seed: encoder)
    assert few.choices == found.choices
    prior, full = (next(row for row in one.rows if row.model == "prior") for one in (few, found))
    assert prior.metrics["ndcg@20"] > full.metrics["ndcg@20"]
    assert "ndcg@5" in prior.metrics
    assert "20 drawn ids only" in few.notes[0]
    told = further_results(few, recipe.evaluate, 0)["sampled_ranking"]
    assert told[0]["negatives"] == 20
    assert "sampled_ranking" not in further_results(found, RECIPE.evaluate, 0)
