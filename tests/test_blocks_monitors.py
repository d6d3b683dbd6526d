"""Health metrics against slow versions, and the guard that stops a collapsed run."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from blocks_kit import batch, objective, run
from omnipatch.core.blocks.monitors import CollapseGuard, health, knn_accuracy, mean_cosine, rankme, relative_std
from omnipatch.core.errors import CollapseError
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_rankme_of_equal_singular_values_is_the_rank(rank):
    u, _ = torch.linalg.qr(normal(40, rank))
    v, _ = torch.linalg.qr(normal(10, rank, seed=1))
    assert rankme(5.0 * u @ v.T) == pytest.approx(rank, rel=1e-3)


def test_rankme_is_the_entropy_of_the_spectrum():
    z = normal(30, 7) * torch.arange(1.0, 8.0)
    s = np.linalg.svd(z.double().numpy(), compute_uv=False)
    p = s / s.sum()
    assert rankme(z) == pytest.approx(math.exp(-sum(x * math.log(x) for x in p)), rel=1e-4)
    assert rankme(100 * z) == pytest.approx(rankme(z), rel=1e-5)


def test_relative_std_is_the_loop():
    z = normal(9, 4) + 2.0
    mean = [sum(float(r[d]) for r in z) / 9 for d in range(4)]
    var = sum((float(r[d]) - mean[d]) ** 2 for r in z for d in range(4)) / 36
    rms = math.sqrt(sum(float(x) ** 2 for r in z for x in r) / 36)
    assert relative_std(z) == pytest.approx(math.sqrt(var) / rms, rel=1e-5)
    assert relative_std(z[:1].expand(9, 4)) == pytest.approx(0.0, abs=1e-6)
    assert relative_std(torch.zeros(9, 4)) == 0.0


def test_mean_cosine_is_the_loop():
    z = normal(8, 5)
    pairs = [float(a @ b / (a.norm() * b.norm())) for i, a in enumerate(z) for j, b in enumerate(z) if i != j]
    assert mean_cosine(z) == pytest.approx(sum(pairs) / len(pairs), abs=1e-5)
    assert mean_cosine(torch.ones(4, 3)) == pytest.approx(1.0, abs=1e-5)


def test_knn_is_sklearns_with_the_subject_left_out():
    label = torch.arange(60) % 3
    z, group = normal(60, 5) + 0.8 * torch.nn.functional.one_hot(label, 5), torch.arange(60) // 10
    guess = torch.zeros(60, dtype=torch.long)
    for subject in range(6):
        rest, own = group != subject, group == subject
        model = KNeighborsClassifier(7, metric="cosine", weights=lambda d: np.exp((1 - d) / 0.07))
        guess[own] = torch.from_numpy(model.fit(z[rest], label[rest]).predict(z[own]))
    assert knn_accuracy(z, label, group, k=7) == pytest.approx(balanced_accuracy_score(label, guess))


def test_knn_says_nothing_without_labels_classes_or_other_subjects():
    z, label, group = normal(12, 4), torch.arange(12) % 2, torch.arange(12) // 4
    assert knn_accuracy(z, torch.full((12,), -1), group) is None
    assert knn_accuracy(z, torch.zeros(12, dtype=torch.long), group) is None
    assert knn_accuracy(z, label, torch.zeros(12, dtype=torch.long)) is None
    assert knn_accuracy(z, label, torch.full((12,), -1)) is None
    assert knn_accuracy(z, label, group) is not None


def test_unlabelled_rows_do_not_vote():
    z, label, group = normal(20, 4), torch.arange(20) % 2, torch.arange(20) // 4
    more = knn_accuracy(torch.cat([z, z]), torch.cat([label, torch.full((20,), -1)]), torch.cat([group, group + 9]))
    assert more == knn_accuracy(z, label, group)


def test_health_names_every_tap():
    metrics = health({"encoder": normal(9, 4), "target.teacher": normal(9, 4)})
    assert set(metrics) == {f"{t}/{m}" for t in ("encoder", "target.teacher") for m in ("std", "rankme", "cosine")}


# ---- the guard ----------------------------------------------------------------------------------------------------


def test_the_guard_waits_for_its_patience_and_forgives():
    guard = CollapseGuard(patience=3)
    for value in (0.001, 0.001, 0.5, 0.001, 0.001):
        guard.check({"encoder/std": value, "head.decoder/std": 0.0, "encoder/rankme": 0.0}, 1)
    with pytest.raises(CollapseError, match=r"stopped at step 7.*collapsed.*encoder.*raise the weight"):
        guard.check({"encoder/std": 0.001}, 7)


UNGUARDED = {
    "name": "jepa",
    "targets": {"teacher": {"name": "self"}},  # gradient flows into both sides: the trivial solution is open
    "regularizers": {"guard": {"weight": 0.0}},
}


def _watch(options, steps=120) -> int:
    """Steps until the guard stops the run."""
    built, made, guard = objective(options), batch(16, 12), CollapseGuard()
    optimizer = torch.optim.AdamW(built.parameters(), 1e-2)
    for step in range(steps):
        outcome = built(made, 0, step, taps=step % 5 == 4)
        if outcome.taps:
            guard.check(health(outcome.taps), step)
        optimizer.zero_grad()
        outcome.loss.backward()
        optimizer.step()
        built.after_step(step)
    return steps


def test_a_run_made_to_collapse_is_stopped_in_plain_words():
    with pytest.raises(CollapseError) as caught:
        _watch(UNGUARDED)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith("pretraining stopped at step")
    assert "every window gets nearly the same vector" in sentence


def test_the_same_run_with_its_guard_is_not_stopped():
    assert _watch({**UNGUARDED, "regularizers": {"guard": {"weight": 1.0}}}) == 120


def test_the_loss_of_a_collapsing_run_looks_fine():
    """Why the guard exists: the loss only falls."""
    losses = run(objective(UNGUARDED), batch(16, 12), 60, lr=3e-3)
    assert losses[-1] < 0.1 * losses[0]
