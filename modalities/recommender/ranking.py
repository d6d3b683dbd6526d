"""Full ranking: the best unseen items of each user among *all* items, without a dense user x item matrix.

- Users are scored in blocks of bounded memory. Seen items are struck out by their CSR index, and hits are found by
  looking up sorted (row, item) keys: nothing of the size users x items is ever made but one block of scores.
- Ties between equal scores fall as torch's `topk` lets them, the same way every time. A scorer that gives many equal
  scores should break them itself.
- `score` is any function from user codes [row] to scores [row, item]: a prior, a blend, a model.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse

from ...core.errors import NonFiniteError
from ...core.ranking import Score
from .interactions import in_sorted

NO_ITEM = -1
BLOCK_BYTES = 2**25  # of one block of scores


def blocks(users: np.ndarray, n_items: int, block_bytes: int = BLOCK_BYTES) -> list[np.ndarray]:
    """Users in pieces whose scores take at most `block_bytes` (one user at least)."""
    rows = max(1, block_bytes // (4 * max(n_items, 1)))
    return [users[at : at + rows] for at in range(0, len(users), rows)]


def rank(
    score: Score, users: np.ndarray, seen: sparse.csr_matrix, k: int, block_bytes: int = BLOCK_BYTES
) -> np.ndarray:
    """[user, k] int32 best items that are not `seen` [user code, item], best first; NO_ITEM where none is left.

    Raises NonFiniteError when a score among the best is no number.
    """
    found = [best_unseen(score(part), seen, part, k) for part in blocks(users, seen.get_shape()[1], block_bytes)]
    return np.concatenate(found) if found else np.empty((0, k), np.int32)


def best_unseen(scores: np.ndarray, seen: sparse.csr_matrix, users: np.ndarray, k: int) -> np.ndarray:
    """[row, k] int32 of one block of scores [row, item], which are written into."""
    rows, items = entries(seen, users)
    scores[rows, items] = -np.inf
    wanted = min(k, scores.shape[1])
    value, best = torch.topk(torch.from_numpy(scores), wanted, dim=1)
    if value.isnan().any():  # a NaN counts as the largest number there is
        row = int(value.isnan().any(dim=1).nonzero()[0])
        raise NonFiniteError(f"scores of user {int(users[row])} are not numbers; lower the learning rate")
    found = np.full((len(users), k), NO_ITEM, np.int32)
    found[:, :wanted] = np.where(value.numpy() == -np.inf, NO_ITEM, best.numpy())
    return found


def find_hits(best: np.ndarray, relevant: sparse.csr_matrix, users: np.ndarray) -> np.ndarray:
    """[row, k] bool, which of the ranked items are `relevant` [user code, item] for the row's user."""
    _, n_items = relevant.get_shape()
    rows, items = entries(relevant, users)
    keys = np.sort(rows * n_items + items)  # indices of a matrix need not be sorted
    asked = np.arange(len(users))[:, None] * n_items + best
    return in_sorted(asked, keys) & (best != NO_ITEM)


def entries(matrix: sparse.csr_matrix, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(row, item) int64 of all entries of the users' rows; the row is the place in `users`."""
    start, stop = matrix.indptr[users].astype(np.int64), matrix.indptr[np.asarray(users) + 1].astype(np.int64)
    lengths = stop - start
    rows = np.repeat(np.arange(len(users)), lengths)
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return rows, matrix.indices[np.repeat(start, lengths) + within].astype(np.int64)
