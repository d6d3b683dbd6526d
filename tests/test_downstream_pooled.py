"""Folds scored by themselves and together: what either number is, and that its interval holds people, not windows."""

from __future__ import annotations

import numpy as np
import pytest
from omnipatch.core.downstream.metrics import classification_metrics
from omnipatch.core.downstream.pooled import join_folds, pooled_table
from omnipatch.core.downstream.rows import Evaluation, Prediction, Row, merge
from omnipatch.core.downstream.summary import summarise
from omnipatch.core.report.further import further_tables
from omnipatch.core.report.words import pooled as told
from sklearn.metrics import roc_auc_score

CLASSES = ("healthy", "als")
FOLDS, SEEDS, PEOPLE = 5, 3, 64
LINE = ("pretrained", "finetune", 1.0)


def one_fold(fold: int, shift: float = 0.0) -> Evaluation:
    """Decisions about the people of a fold, one each; `shift` moves all scores of a fold up."""
    who = np.arange(fold, PEOPLE, FOLDS)
    label = who // FOLDS % 2
    rows, predictions = [], {}
    for model in ("pretrained", "prior"):
        for seed in range(SEEDS):
            rng = np.random.default_rng((fold, seed))
            ill = 1 / (1 + np.exp(-(label - 0.5 + rng.normal(size=len(who)) + shift * fold)))
            ill = np.full(len(who), label.mean()) if model == "prior" else ill
            probability = np.stack([1 - ill, ill], axis=1)
            row = Row(model, "finetune" if model == "pretrained" else "linear", 1.0, seed, fold,
                      classification_metrics(label, probability, CLASSES))  # fmt: skip
            rows.append(row)
            predictions[row.key] = Prediction(label, probability, who, 2 * who, who)
    names = tuple(f"p{i}" for i in range(PEOPLE))
    return Evaluation(rows, predictions, {}, CLASSES, names, names, unit="subject")


@pytest.fixture(scope="module")
def evaluation():
    return merge([one_fold(fold) for fold in range(FOLDS)])


def test_the_table_has_the_mean_of_the_folds_own_scores(evaluation):
    entry = next(e for e in summarise(evaluation, 300) if e["model"] == "pretrained" and e["metric"] == "auroc")
    own = [roc_auc_score(p.label, p.probability[:, 1]) for key, p in evaluation.predictions.items() if key[:3] == LINE]
    assert entry["n"] == len(own) == FOLDS * SEEDS
    assert entry["mean"] == pytest.approx(np.mean(own))
    # 64 people at an AUROC near .75: a standard error of about .06 (Hanley & McNeil 1982), however many seeds
    assert 0.1 < entry["ci_high"] - entry["ci_low"] < 0.35
    assert entry["ci_low"] < entry["mean"] < entry["ci_high"]


def test_pooled_is_one_ranking_of_everybody_a_seed(evaluation):
    entry = next(e for e in pooled_table(evaluation, 300) if e["metric"] == "auroc")
    everybody = []
    for seed in range(SEEDS):
        parts = [p for key, p in evaluation.predictions.items() if key[:4] == (*LINE, seed)]
        label = np.concatenate([p.label for p in parts])
        everybody.append(roc_auc_score(label, np.concatenate([p.probability[:, 1] for p in parts])))
        assert len(label) == PEOPLE
    assert entry["mean"] == pytest.approx(np.mean(everybody))
    assert entry["n"] == SEEDS
    assert 0.1 < entry["ci_high"] - entry["ci_low"] < 0.35


def test_folds_that_speak_another_language_lose_by_pooling_alone():
    shifted = merge([one_fold(fold, shift=1.0) for fold in range(FOLDS)])
    mean = np.mean([row.metrics["auroc"] for row in shifted.runs(*LINE)])
    joined = next(e for e in pooled_table(shifted, 20) if e["metric"] == "auroc")
    assert joined["mean"] < mean - 0.05


def test_nobody_is_counted_twice(evaluation):
    for prediction in join_folds(evaluation).predictions.values():
        assert sorted(prediction.subject) == list(range(PEOPLE))


def test_one_fold_has_nothing_to_pool_and_a_prior_no_rank(evaluation):
    assert pooled_table(one_fold(0), 10) == []
    table = pooled_table(evaluation, 10)
    assert {entry["model"] for entry in table} == {"pretrained"}
    assert "together" in told({"pooled": table})
    assert told({}) == ""
    [(title, head, rows)] = further_tables({"pooled": table}, ["macro_f1", "auroc"])
    assert "within each fold" in title
    assert (head[-1], len(rows)) == ("AUROC", 1)
