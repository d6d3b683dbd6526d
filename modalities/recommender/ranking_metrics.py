"""Metrics of a ranking, a value for each user: means and intervals come later.

Definitions, with h_i = 1 where the i-th of k ranked items is relevant, and R relevant items in all
- recall@k = sum(h) / R and precision@k = sum(h) / k; hit_rate@k = 1 when there is any hit.
- ndcg@k = sum(h_i / log2(i + 1)) / sum over i <= min(k, R) of 1 / log2(i + 1).
- mrr@k = 1 / place of the first hit, 0 without one; map@k = sum(h_i * precision@i) / min(k, R).
These are those of LightGCN's evaluation (recall is not capped at k), so published figures compare. torchmetrics has
most of them for one query at a time; at 30,000 users that takes minutes.

Of all lists together
- coverage@k: share of items that anybody is shown; gini@k: how unevenly items are shown, 0 = all alike;
- novelty@k: mean of log2(users / users who took it) of what is shown (an item nobody took counts as one taken once).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .ranking import NO_ITEM


def user_metrics(hits: np.ndarray, relevant: np.ndarray, ks: Sequence[int]) -> dict[str, np.ndarray]:
    """{metric@k: [row] float64}.

    hits: [row, most of ks] bool in order of rank. relevant: [row] number of relevant items, at least one.
    """
    hit = hits.astype(np.float64)
    place = np.arange(1, hit.shape[1] + 1)
    gain = 1 / np.log2(place + 1)
    found = np.cumsum(hit, axis=1)
    dcg, ideal = np.cumsum(hit * gain, axis=1), np.cumsum(gain)
    gathered = np.cumsum(hit * found / place, axis=1)
    first = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, np.inf)
    metrics = {}
    for k in ks:
        most = np.minimum(relevant, k)
        metrics[f"recall@{k}"] = found[:, k - 1] / relevant
        metrics[f"ndcg@{k}"] = dcg[:, k - 1] / ideal[most - 1]
        metrics[f"precision@{k}"] = found[:, k - 1] / k
        metrics[f"hit_rate@{k}"] = (found[:, k - 1] > 0).astype(np.float64)
        metrics[f"mrr@{k}"] = np.where(first <= k, 1 / first, 0.0)
        metrics[f"map@{k}"] = gathered[:, k - 1] / most
    return metrics


def exposure_metrics(best: np.ndarray, item_degree: np.ndarray, n_users: int, ks: Sequence[int]) -> dict[str, float]:
    """{metric@k: value} of all lists together.

    best: [row, most of ks] items. item_degree: [item] users who took each in training.
    """
    metrics = {}
    rarity = np.log2(n_users / np.maximum(item_degree, 1))
    for k in ks:
        shown = best[:, :k][best[:, :k] != NO_ITEM]
        times = np.bincount(shown, minlength=len(item_degree))
        metrics[f"coverage@{k}"] = float((times > 0).mean())
        metrics[f"gini@{k}"] = gini(times)
        metrics[f"novelty@{k}"] = float(rarity[shown].mean()) if len(shown) else float("nan")
    return metrics


def gini(counts: np.ndarray) -> float:
    """Inequality of non-negative counts: 0 = all alike, (n - 1) / n = one has all."""
    ordered, n = np.sort(counts), len(counts)
    if not ordered.sum():
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * ordered.sum()))


def slice_recall(
    hits: np.ndarray, best: np.ndarray, chosen: np.ndarray, relevant_chosen: np.ndarray, k: int
) -> np.ndarray:
    """[row] recall@k over the items of a slice only; NaN for rows that have no relevant item in it.

    chosen: [item] bool, the slice. relevant_chosen: [row] how many relevant items of each row are in it.
    """
    found = (hits[:, :k] & chosen[best[:, :k]]).sum(axis=1)
    return np.divide(found, relevant_chosen, out=np.full(len(hits), np.nan), where=relevant_chosen > 0)
