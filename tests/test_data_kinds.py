"""The window store keeps of each patch only what its kind uses, and gives it back."""

from __future__ import annotations

import numpy as np
import torch
from ecg_kit import adapter
from omnipatch.core.data.store import WindowStore
from omnipatch.core.testing.compare import sequence_difference


def test_kinds_of_different_size_come_back_and_cost_what_they_hold(tmp_path):
    modality = adapter(scales=("patch", "beat", "rhythm"), tokens="lead")
    sources = modality.demo()[:2]
    store = WindowStore.prepare(modality, sources, "beats", tmp_path)
    windows = [w for s in sources for w in modality.windows(modality.load(s), "beats")]
    rows = [modality.patchify(w) for w in windows]
    assert len(store) == len(rows)
    for i, row in enumerate(rows):
        assert not sequence_difference(store.batch([i]), row)
    wide = store.batch(np.arange(len(rows)))
    assert (
        wide.values[~wide.valid & (torch.arange(wide.n_patches) >= torch.tensor(store.lengths)[:, None])] == 0
    ).all()
    stored = (store.folder / "values.bin").stat().st_size / 4
    assert stored < 0.1 * sum(row.values.numel() for row in rows)
