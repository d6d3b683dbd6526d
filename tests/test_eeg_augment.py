"""Views of EEG tokens: gains and losses belong to electrodes, time goes round, labels are safe."""

from __future__ import annotations

import numpy as np
import torch
from eeg_kit import window
from omnipatch.core.batching import collate
from omnipatch.core.rng import RowRandom
from omnipatch.modalities.eeg import EEG, EEGConfig
from omnipatch.modalities.eeg import augment as room
from omnipatch.modalities.eeg.augment import augment_tokens


def made(rows=6, **options):
    """An adapter and a batch of windows of its tokens."""
    eeg = EEG(EEGConfig(**options))
    batch = collate([eeg.patchify(window(seed=i)) for i in range(rows)])
    return batch.replace(window=torch.arange(rows) * 7919)


def view(batch, lose=0.0, step=0):
    return augment_tokens(batch, RowRandom(0, step, batch.window), lose, {"spectrum": 32, "profile": 32})


def by_electrode(batch, values):
    """{electrode: values of its tokens} of the first row."""
    return {int(g): values[0, batch.valid[0] & (batch.group[0] == g)] for g in batch.group[0].unique()}


def quiet(monkeypatch):
    monkeypatch.setattr(room, "WAVE_NOISE", 0.0)
    monkeypatch.setattr(room, "BAND_NOISE", 0.0)


def test_a_gain_is_of_an_electrode_and_the_same_in_waves_and_spectra(monkeypatch):
    quiet(monkeypatch)
    batch = made(content=("wave", "spectrum"))
    changed = view(batch)
    gains = []
    for number in by_electrode(batch, batch.values):
        own = batch.group[0] == number
        wave, bands = own & (batch.kind[0] == 0), own & (batch.kind[0] == 1)
        ratio = changed.values[0, wave] / batch.values[0, wave]
        gain = ratio.nanmedian().log()
        torch.testing.assert_close(ratio.log(), gain.expand_as(ratio), atol=1e-3, rtol=0)
        shift = (changed.values[0, bands] - batch.values[0, bands])[:, :32]
        torch.testing.assert_close(shift, (2 * gain).expand_as(shift), atol=1e-3, rtol=0)
        gains.append(float(gain))
    assert 0.03 < np.std(gains) < 0.25


def test_lost_electrodes_are_missing_with_all_their_tokens():
    batch = made(rows=40, content=("wave", "spectrum"))
    changed = view(batch, lose=0.5)
    share = 1 - changed.valid.float().mean(dim=1) / batch.valid.float().mean(dim=1)
    assert share.max() < 0.75
    assert 0.15 < share.mean() < 0.35
    for row in range(5):
        for group in batch.group[row].unique():
            alive = changed.valid[row, batch.group[row] == group]
            assert alive.all() or not alive.any()


def test_a_lost_electrode_of_a_tubelet_is_nan_beside_the_others():
    batch = made(rows=20, layout="tubelet")
    changed = view(batch, lose=0.5)
    slots = torch.isfinite(changed.values).view(*batch.valid.shape, 4, -1)
    before = torch.isfinite(batch.values).view(*batch.valid.shape, 4, -1)
    assert (slots.all(-1) | ~slots.any(-1)).all()
    assert not (slots & ~before).any()
    some = slots.any(-1).any(-1) & ~(slots.any(-1) == before.any(-1)).all(-1)
    assert some.any()
    assert changed.valid[some].all()


def test_a_row_never_loses_everything():
    batch = made(rows=30)
    only = batch.patches(torch.arange(2).expand(30, -1))
    assert view(only, lose=0.99).valid.any(dim=1).all()


def test_time_goes_round_by_whole_stretches(monkeypatch):
    quiet(monkeypatch)
    batch = made(rows=12)
    changed = view(batch)
    turns = ((changed.coords[..., 0] - batch.coords[..., 0]) / 0.5).round() % 10
    assert (turns == turns[:, :1]).all()
    assert len(turns[:, 0].unique()) > 3
    assert torch.equal(changed.coords[..., 0].sort(dim=1).values, batch.coords[..., 0].sort(dim=1).values)
    assert torch.equal(changed.coords[..., 1:], batch.coords[..., 1:])


def test_polarity_and_sides_are_kept():
    batch = made()
    changed = view(batch)
    large = batch.values.abs() > 1
    assert (changed.values.sign() == batch.values.sign())[large & changed.valid.unsqueeze(-1)].float().mean() > 0.999
    assert torch.equal(changed.group, batch.group)
