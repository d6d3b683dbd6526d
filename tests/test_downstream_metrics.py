"""Metrics: names, known values, and the rule for classes that the test side lacks."""

from __future__ import annotations

import numpy as np
import pytest
from omnipatch.core.downstream.metrics import classification_metrics, regression_metrics, selection_score

CLASSES = ("N", "S", "V")
LABEL = np.array([0, 0, 0, 1, 1, 2])
PERFECT = np.eye(3)[LABEL]


def test_a_perfect_prediction():
    metrics = classification_metrics(LABEL, PERFECT, CLASSES)
    assert set(metrics) == {
        "accuracy", "balanced_accuracy", "macro_f1", "f1_N", "f1_S", "f1_V", "auroc", "auprc", "ece"
    }  # fmt: skip
    assert metrics.pop("ece") == pytest.approx(0.0, abs=1e-6)
    assert all(value == pytest.approx(1.0) for value in metrics.values())


def test_known_values():
    probability = PERFECT.copy()
    probability[3] = [1, 0, 0]  # one S taken for N
    metrics = classification_metrics(LABEL, probability, CLASSES)
    assert metrics["accuracy"] == pytest.approx(5 / 6)
    assert metrics["balanced_accuracy"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert metrics["f1_N"] == pytest.approx(6 / 7)
    assert metrics["f1_S"] == pytest.approx(2 / 3)
    assert metrics["macro_f1"] == pytest.approx((6 / 7 + 2 / 3 + 1) / 3)
    assert metrics["ece"] == pytest.approx(1 / 6, abs=1e-6)


def test_a_class_the_test_side_lacks_is_left_out_but_predicting_it_is_still_wrong():
    label = np.array([0, 0, 1, 1])
    probability = np.array([[0.9, 0.1, 0.0], [0.2, 0.2, 0.6], [0.1, 0.9, 0.0], [0.3, 0.7, 0.0]])
    metrics = classification_metrics(label, probability, CLASSES)
    assert "f1_V" not in metrics
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert metrics["balanced_accuracy"] == pytest.approx(0.75)
    assert metrics["auroc"] == pytest.approx((0.75 + 1) / 2)


def test_one_class_alone_has_no_ranking_metric():
    metrics = classification_metrics(np.zeros(3, np.int64), np.tile([0.8, 0.1, 0.1], (3, 1)), CLASSES)
    assert "auroc" not in metrics
    assert metrics["accuracy"] == 1.0


def test_multilabel_metrics():
    label = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], np.float32)
    probability = np.array([[0.9, 0.2, 0.1], [0.8, 0.4, 0.1], [0.1, 0.9, 0.1], [0.2, 0.1, 0.2]])
    metrics = classification_metrics(label, probability, CLASSES)
    assert metrics["accuracy"] == pytest.approx(0.75)  # the second item misses one of its classes
    assert metrics["f1_N"] == 1.0
    assert metrics["f1_S"] == pytest.approx(2 / 3)
    assert "f1_V" not in metrics
    assert metrics["auroc"] == 1.0
    assert metrics["balanced_accuracy"] == pytest.approx((1 + 0.75) / 2), "V, which no item has, is no half"


@pytest.mark.filterwarnings("error")
def test_items_without_any_of_several_labels_have_no_macro_f1():
    metrics = classification_metrics(np.zeros((3, 2)), np.full((3, 2), 0.2), ("LBBB", "RBBB"))
    assert np.isnan(metrics["macro_f1"])
    assert metrics["accuracy"] == 1.0


def test_probabilities_off_by_rounding_are_not_taken_for_logits():
    over = PERFECT * (1 + 1e-7)
    assert classification_metrics(LABEL, over, CLASSES)["ece"] == pytest.approx(0.0, abs=1e-5)


def test_regression_metrics():
    target = np.array([1.0, 2.0, 3.0, 4.0])
    metrics = regression_metrics(target, target**2)
    assert metrics == {"mae": pytest.approx(5.0), "spearman": pytest.approx(1.0)}
    assert regression_metrics(target, np.ones(4))["spearman"] == 0.0


def test_selection_uses_decisions_and_ranking():
    ranked_but_shifted = PERFECT * 0.1 + np.array([0.5, 0.0, 0.0])
    assert selection_score(LABEL, PERFECT, CLASSES) == pytest.approx(1.0)
    assert 0.5 < selection_score(LABEL, ranked_but_shifted, CLASSES) < 1.0
