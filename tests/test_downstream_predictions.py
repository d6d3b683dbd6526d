"""What a run keeps of its decisions: everything comes back, once, without a pickle."""

from __future__ import annotations

import numpy as np
import pytest
from omnipatch.core.downstream.predictions import FILE, Predictions
from omnipatch.core.downstream.rows import Evaluation, Prediction, Row
from omnipatch.core.downstream.segments import Boundaries
from omnipatch.core.errors import CorruptFileError, InputError

RNG = np.random.default_rng(0)


def run(predictions: list[Prediction], unit="window", classes=("a", "b")) -> Predictions:
    rows = [Row("pretrained", "linear", 1.0, seed, 0, {"accuracy": 0.5, "ece": float("nan")})
            for seed in range(len(predictions))]  # fmt: skip
    by_key = {row.key: one for row, one in zip(rows, predictions, strict=True)}
    names = tuple(f"person {i}" for i in range(9))
    return Predictions(Evaluation(rows, by_key, {}, classes, names, ("r0", "r1", "r2"), unit=unit), "demo", "rhythm")


def decisions(label, **more) -> Prediction:
    count = len(label)
    subject, record = np.array([7, 2, -1, 2])[np.arange(count) % 4], np.full(count, 2)
    return Prediction(label, RNG.random((count, 2)), subject, record, np.arange(count) + 5, **more)


def back(kept: Predictions, folder) -> Predictions:
    kept.save(folder)
    return Predictions.load(folder)


@pytest.mark.parametrize(
    "label",
    [np.array([0, 1, 1, 0, 1]), np.eye(2, dtype=np.float32)[[0, 1, 1, 0]], np.array([0.5, 2, 1, 3], np.float32)],
    ids=["classes", "several", "numbers"],
)
def test_decisions_come_back_with_the_names_of_those_they_are_about(label, tmp_path):
    kept = run([decisions(label, given=np.arange(len(label)) % 2)])
    found = back(kept, tmp_path)
    (row,), (same,) = kept.evaluation.rows, found.evaluation.rows
    old, new = kept.evaluation.predictions[row.key], found.evaluation.predictions[same.key]
    assert same.key == row.key
    assert same.metrics["accuracy"] == 0.5
    for name in ("label", "item", "given"):
        np.testing.assert_array_equal(getattr(new, name), getattr(old, name))
        assert getattr(new, name).dtype == getattr(old, name).dtype
    np.testing.assert_allclose(new.probability, old.probability, rtol=1e-6)
    named = [found.evaluation.subjects[c] if c >= 0 else "" for c in new.subject]
    assert named == [kept.evaluation.subjects[c] if c >= 0 else "" for c in old.subject]
    assert {found.evaluation.records[c] for c in new.record} == {"r2"}
    assert (found.dataset, found.task, found.evaluation.unit) == ("demo", "rhythm", "window")


def test_nobody_is_named_who_was_not_tested(tmp_path):
    assert back(run([decisions(np.array([0, 1, 0]))]), tmp_path).evaluation.subjects == ("person 2", "person 7")


def test_boundaries_come_back(tmp_path):
    bounds = Boundaries(*(np.array([1, 0]) for _ in range(3)), np.array([0.25, np.nan]), np.array([3, 0]), background=1)
    (found,) = back(
        run([decisions(np.array([0, 1, 0, 1]), boundaries=bounds)]), tmp_path
    ).evaluation.predictions.values()
    assert found.boundaries is not None
    assert found.boundaries.background == 1
    np.testing.assert_array_equal(found.boundaries.counts(np.arange(4), 4, 2), bounds.counts(np.arange(4), 4, 2))


def test_rankings_come_back_by_name(tmp_path):
    empty = np.zeros((3, 0))
    values = {"ndcg@20": np.array([0.25, np.nan, 1.0])}
    prediction = Prediction(empty, empty, np.array([0, 4, 8]), np.zeros(3, int), np.arange(3), values=values)
    kept = run([prediction], unit="ranking", classes=())
    (row,) = kept.evaluation.rows
    alone = Row("pretrained, alone", "ranking", 1.0, 0, 0, {"ndcg@20": 0.6})
    kept.evaluation.ranked.extend([("pretrained, blended", row, prediction), ("pretrained, alone", alone, prediction)])
    found = back(kept, tmp_path).evaluation
    assert [name for name, _, _ in found.ranked] == ["pretrained, blended", "pretrained, alone"]
    assert [r.key for r in found.rows] == [row.key]
    np.testing.assert_array_equal(found.ranked[1][2].values["ndcg@20"], values["ndcg@20"])


def test_what_rows_share_is_stored_once_and_small(tmp_path):
    label = RNG.integers(0, 2, 4000)
    run([decisions(label, given=label + 1) for _ in range(6)]).save(tmp_path)
    with np.load(tmp_path / FILE, allow_pickle=False) as stored:
        assert [stored[name].shape for name in stored.files].count((4000, 2)) == 6
        assert sum(stored[name].shape == (4000,) for name in stored.files) == 5  # label, subject, record, item, given
        assert {stored[name].dtype for name in stored.files if stored[name].ndim == 2} == {np.dtype(np.float32)}


def test_folders_without_one_and_damaged_ones_are_told_apart(tmp_path):
    with pytest.raises(InputError, match=r"omnipatch evaluate"):
        Predictions.load(tmp_path)
    run([decisions(np.array([0, 1]))]).save(tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptFileError, match=FILE):
        Predictions.load(tmp_path)
