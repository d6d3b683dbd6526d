"""Dense tasks: boundaries and their scores, the head, and a whole evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense_kit import CELL, CLASSES, SPEC, STEP, TASK, DenseEncoder, DenseStore, dense_items
from downstream_fakes import FakeModality
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.config import EvaluateConfig, FinetuneConfig, Recipe, TrainerConfig
from omnipatch.core.downstream.dense_head import DenseHead
from omnipatch.core.downstream.evaluate import evaluate
from omnipatch.core.downstream.scoring import boundary_table, row_metrics
from omnipatch.core.downstream.segments import FALSE, HIT, MISSED, find_boundaries, match_nearest
from omnipatch.core.downstream.summary import summarise
from omnipatch.core.downstream.tables import by_record
from omnipatch.core.errors import InputError
from omnipatch.core.modality import Task

REACH = 4  # steps of the tolerance


def _one_hot(code):
    return np.eye(len(CLASSES), dtype=np.float32)[np.asarray(code)]


def _track(*segments, steps=100):
    code = np.zeros(steps, int)
    for first, stop, value in segments:
        code[first:stop] = value
    return code


def _found(truth, predicted, **where):
    items = dense_items(truth, **where)
    kept = np.asarray(truth) >= 0
    return find_boundaries(TASK, items, np.arange(len(items)), _one_hot(np.asarray(predicted)[kept]))


def _outcomes(bounds):
    return sorted(zip(bounds.code.tolist(), bounds.side.tolist(), bounds.outcome.tolist(), strict=True))


def test_what_is_predicted_exactly_is_found_with_no_error():
    truth = _track((20, 30, 1), (50, 70, 2))
    bounds = _found(truth, truth)
    assert _outcomes(bounds) == [(1, 0, HIT), (1, 1, HIT), (2, 0, HIT), (2, 1, HIT)]
    assert (bounds.error == 0).all()


def test_an_error_is_predicted_minus_true_and_beyond_the_tolerance_nothing_is_found():
    truth = _track((30, 50, 1))
    bounds = _found(truth, _track((30 - REACH, 50 + REACH + 1, 1)))
    by_side = dict(zip(bounds.side[bounds.outcome == HIT].tolist(), bounds.error[bounds.outcome == HIT], strict=True))
    assert by_side == {0: pytest.approx(-REACH * STEP)}
    assert _outcomes(bounds) == [(1, 0, HIT), (1, 1, FALSE), (1, 1, MISSED)]


def test_the_class_counts_and_the_background_has_no_boundaries():
    assert _outcomes(_found(_track((30, 50, 1)), _track((30, 50, 2)))) == [
        (1, 0, MISSED), (1, 1, MISSED), (2, 0, FALSE), (2, 1, FALSE),
    ]  # fmt: skip


def test_short_predictions_are_joined_to_their_surroundings():
    truth = _track((30, 50, 1))
    holes = _track((30, 39, 1), (40, 50, 1), (70, 71, 2))  # a hole and a speck of one step; `shortest` is two
    assert _outcomes(_found(truth, holes)) == [(1, 0, HIT), (1, 1, HIT)]


def test_what_lies_outside_the_labelled_stretch_is_unknown():
    truth = _track((10, 30, 1), (90, 100, 2))
    truth[:20] = -1  # the labelled stretch begins inside a segment and ends inside another
    inner = [(1, 1, HIT), (2, 0, HIT)]
    assert _outcomes(_found(truth, _track((10, 30, 1), (92, 100, 2)))) == inner
    near = _track(
        (10, 23, 2), (23, 30, 1), (92, 100, 2)
    )  # a false end near the beginning may belong to what was before
    assert _outcomes(_found(truth, near)) == inner
    far = _track((10, 26, 2), (26, 30, 1), (92, 100, 2))
    assert _outcomes(_found(truth, far)) == [(1, 0, FALSE), (1, 1, HIT), (2, 0, HIT), (2, 1, FALSE)]


def test_windows_of_a_recording_are_joined_and_recordings_are_not():
    truth = _track((40, 60, 1))
    window = np.repeat([0, 1], 50)
    assert len(_found(truth, truth, window=window).code) == 2
    apart = _found(truth, truth, record=window, place=np.tile((np.arange(50) + 0.5) * STEP, 2))
    assert _outcomes(apart) == [(1, 0, HIT), (1, 1, HIT)]
    assert sorted(apart.item.tolist()) == [40, 60]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 60), unique=True), st.lists(st.integers(0, 60), unique=True), st.integers(0, 9))
def test_matching_is_one_to_one_within_reach_and_leaves_no_pair_behind(a, b, reach):
    true, predicted = np.sort(np.array(a, int)), np.sort(np.array(b, int))
    pairs = match_nearest(true, predicted, reach)
    left, right = [i for i, _ in pairs], [j for _, j in pairs]
    assert len(set(left)) == len(left)
    assert len(set(right)) == len(right)
    assert all(abs(true[i] - predicted[j]) <= reach for i, j in pairs)
    free = [(i, j) for i in range(len(true)) for j in range(len(predicted)) if i not in left and j not in right]
    assert all(abs(true[i] - predicted[j]) > reach for i, j in free)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_hits_and_misses_are_the_true_boundaries(seed):
    rng = np.random.default_rng(seed)
    truth, predicted = (np.repeat(rng.integers(0, 3, 25), 4) for _ in range(2))
    bounds = _found(truth, predicted)
    for code in (1, 2):
        inside = np.diff((truth == code).astype(int))
        for side, sign in ((0, 1), (1, -1)):
            here = (bounds.code == code) & (bounds.side == side)
            assert (here & (bounds.outcome != FALSE)).sum() == (inside == sign).sum()


def test_the_head_answers_at_places_whatever_their_order_or_padding():
    head = DenseHead(16, TASK, SPEC, dropout=0.0).eval()
    tokens, coords = torch.randn(1, 20, 16), torch.zeros(1, 20, 2)
    coords[0, :, 0] = (torch.arange(20) + 0.5) * CELL
    valid, at = torch.ones(1, 20, dtype=torch.bool), ((torch.arange(160) + 0.5) * STEP)[None]
    side = torch.empty(1, 160, 0)
    whole = head(tokens, valid, coords, at, side)
    assert whole.shape == (1, 160, 3)
    order, some = torch.randperm(20), torch.randperm(160)[:30]
    again = head(tokens[:, order], valid, coords[:, order], at[:, some], side[:, some])
    # fewer places may mean a shorter grid, but never another answer
    torch.testing.assert_close(again, whole[:, some], atol=1e-5, rtol=0)
    longer = [torch.cat([x, x.new_ones(1, 3, *x.shape[2:])], dim=1) for x in (tokens, coords)]
    padded = torch.cat([valid, torch.zeros(1, 3, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(head(longer[0], padded, longer[1], at, side), whole, atol=1e-5, rtol=0)


def _recipe(**changes):
    base = {
        "finetune": FinetuneConfig(steps=120, batch_size=12, lr=5e-3, eval_every=0, augment=False),
        "evaluate": EvaluateConfig(
            models=("pretrained", "scratch", "prior"), protocols=("finetune", "linear"), seeds=1
        ),
        "trainer": TrainerConfig(precision="32-true"),
    }
    return Recipe(**{**base, **changes})


@pytest.fixture(scope="module")
def evaluation():
    store = DenseStore()
    return evaluate(_recipe(), FakeModality(), store, store.split(), DenseEncoder(1), DenseEncoder)  # type: ignore


def test_a_dense_task_is_learned_to_the_step(evaluation):
    row = next(row for row in evaluation.rows if row.protocol == "finetune")
    assert row.metrics["macro_f1"] > 0.9
    assert set(row.metrics) >= {"f1_low", "f1_high", "accuracy", "auroc"}
    assert "f1_none" not in row.metrics
    table = boundary_table([evaluation.predictions[row.key]], CLASSES)
    assert [(entry["class"], entry["side"]) for entry in table] == [
        ("low", "onset"), ("low", "offset"), ("high", "onset"), ("high", "offset"),
    ]  # fmt: skip
    assert all(abs(entry["error_mean"]) < STEP and entry["error_std"] < 2 * STEP for entry in table)


def test_the_prior_finds_no_boundary(evaluation):
    row = next(row for row in evaluation.rows if row.model == "prior")
    assert row.metrics["macro_f1"] == 0.0
    assert row.metrics["accuracy"] > 0.4


def test_intervals_and_records_speak_of_boundaries_too(evaluation):
    summary = {(e["model"], e["protocol"], e["metric"]): e for e in summarise(evaluation, resamples=50)}
    entry = summary["pretrained", "finetune", "f1_low"]
    assert entry["ci_low"] <= entry["mean"] <= entry["ci_high"]
    line = ("pretrained", "finetune", 1.0)
    row = evaluation.runs(*line)[0]
    prediction = evaluation.predictions[row.key]
    records = by_record(evaluation, line)
    assert len(records) == len(np.unique(prediction.record))
    parts = prediction.boundaries.of_items(prediction.record == prediction.record[0])
    assert len(parts.code) < len(prediction.boundaries.code)
    assert parts.item.max() < (prediction.record == 0).sum()
    assert row_metrics(prediction, CLASSES) == row.metrics


def test_a_dense_task_needs_a_step_and_a_known_background():
    with pytest.raises(InputError, match="positive step"):
        Task("waves", "dense", CLASSES)
    with pytest.raises(InputError, match="background"):
        Task("waves", "dense", CLASSES, step=0.1, tolerance=0.1, background="nothing")


def test_the_report_shows_errors_of_times_in_milliseconds(evaluation):
    from omnipatch.core.report.tables import boundary_table as as_html

    entry = {"class": "<P>", "side": "onset", "n": 7, "sensitivity": 1.0, "precision": 0.5, "f1": 2 / 3}
    entry |= {"error_mean": -0.004, "error_std": 0.0125}
    html = as_html([entry], "time_s")
    assert "&lt;P&gt; onset" in html
    assert "-4 ± 12.5" in html
    assert "error (ms)" in html
