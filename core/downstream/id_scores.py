"""Ids of windows as sparse matrices, and an encoder's scores of all ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse import csr_matrix

from ..blocks.encoder import Encoder
from ..ranking import Score
from ..train.precision import autocast

if TYPE_CHECKING:
    from ..data.store import WindowStore

_CHUNK = 1024  # windows read at a time where nothing is encoded


def shown_by(store: WindowStore, windows: np.ndarray) -> csr_matrix:
    """[row, id] float32 of ones: ids of the first column that the windows show as their content."""
    rows, ids = [], []
    for at in range(0, len(windows), _CHUNK):
        batch = store.batch(windows[at : at + _CHUNK])
        assert batch.ids is not None
        row, patch = batch.content.numpy().nonzero()
        rows.append(row + at)
        ids.append(batch.ids[..., 0].numpy()[row, patch])
    return _matrix(rows, ids, len(windows), store.spec.vocabulary[0])


def asked_of(store: WindowStore, windows: np.ndarray) -> csr_matrix:
    """[row, id] float32 of ones: ids that the windows are asked for."""
    assert store.asked is not None
    rows = np.repeat(np.arange(len(windows)), store.asked.counts[windows])
    return _matrix([rows], [store.asked.flat(windows)["ids"]], len(windows), store.spec.vocabulary[0])


def _matrix(rows: list[np.ndarray], ids: list[np.ndarray], n_rows: int, n_ids: int) -> csr_matrix:
    row, column = np.concatenate(rows), np.concatenate(ids)
    return csr_matrix((np.ones(len(row), np.float32), (row, column)), shape=(n_rows, n_ids))


@torch.no_grad()
def model_score(
    encoder: Encoder, store: WindowStore, windows: np.ndarray, batch_size: int = 256, precision: str = "32-true"
) -> Score:
    """Scores of all ids by an encoder: inner products of a window's pooled vector with the encoder's table of ids."""
    encoder = encoder.eval()
    parameter = next(encoder.parameters())
    vectors = np.empty((len(windows), encoder.width), np.float32)
    by_length = np.argsort(store.lengths[windows], kind="stable")  # little padding
    with autocast(parameter.device.type, precision):
        for at in range(0, len(windows), batch_size):
            rows = by_length[at : at + batch_size]
            pooled = encoder(store.batch(windows[rows]).to(parameter.device)).pooled
            vectors[rows] = pooled.float().cpu().numpy()
    table = np.ascontiguousarray(encoder.id_table().float().cpu().numpy().T)
    return lambda rows: vectors[rows] @ table
