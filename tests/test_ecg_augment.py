"""Views of ECG patches: what they may change and what a label rests on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ecg_kit import STANDARD_LEADS, adapter, patient, with_leads
from omnipatch.core.batching import collate, pad
from omnipatch.core.rng import RowRandom

ROWS = 200


def _batch(ecg, leads=STANDARD_LEADS, rows=ROWS):
    row = ecg.patchify(ecg.windows(patient(0, leads, duration_s=10.0))[0])
    return collate([row] * rows).replace(window=torch.arange(rows))


def _rng(rows=ROWS, step=0):
    return RowRandom(0, step, torch.arange(rows))


def _correlation(a, b):
    """[row, slot] over time, NaN where a slot was lost."""
    a, b = (np.asarray(x) - np.asarray(x).mean(axis=-1, keepdims=True) for x in (a, b))
    return (a * b).sum(axis=-1) / np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))


@pytest.mark.parametrize("tokens", ["joint", "lead"])
@pytest.mark.parametrize("residual", [False, True])
def test_no_lead_is_ever_inverted(tokens, residual):
    ecg = adapter(tokens=tokens, residual=residual)
    batch = _batch(ecg)
    before, after = ecg.unpatchify(batch), ecg.unpatchify(ecg.augment(batch, _rng()))
    correlation = _correlation(np.stack(after)[:, :12], np.stack(before)[:, :12])
    assert np.nanmin(correlation) > 0.5
    assert np.nanmedian(correlation) > 0.9


@pytest.mark.parametrize("tokens", ["joint", "lead"])
def test_only_values_change(tokens):
    ecg = adapter(tokens=tokens)
    batch = _batch(ecg, rows=4)
    kept = batch.values.clone()
    view = ecg.augment(batch, _rng(4))
    assert not torch.equal(view.values.nan_to_num(), batch.values.nan_to_num())
    assert torch.equal(batch.values, kept)
    for name in ("coords", "valid", "group", "kind", "window", "label"):
        assert getattr(view, name) is getattr(batch, name)


def test_gains_stay_small_and_differ_between_leads():
    ecg = adapter()
    batch = _batch(ecg)
    gain = np.stack(ecg.unpatchify(ecg.augment(batch, _rng()))).std(axis=-1)
    gain = gain / np.stack(ecg.unpatchify(batch)).std(axis=-1)
    assert np.nanmin(gain) > 0.5
    assert np.nanmax(gain) < 2.0
    assert np.nanstd(gain, axis=1).mean() > 0.05


def test_a_row_loses_one_lead_at_most_and_never_its_only_one():
    ecg = adapter()
    lost = torch.isnan(torch.from_numpy(np.stack(ecg.unpatchify(ecg.augment(_batch(ecg), _rng()))))).all(dim=-1)
    assert set(lost.sum(dim=1).tolist()) == {0, 1}
    assert 0.05 < (lost.sum(dim=1) == 1).float().mean() < 0.3
    assert len(lost.nonzero()[:, 1].unique()) > 5
    one = ecg.augment(_batch(ecg, ("V3",)), _rng())
    slot = one.values.reshape(one.flat_value_shape())[:, :, STANDARD_LEADS.index("V3")]
    assert slot.isfinite().all()


def test_a_lost_lead_takes_its_residual_along():
    ecg = adapter(residual=True)
    view = np.stack(ecg.unpatchify(ecg.augment(_batch(ecg), _rng())))
    lost = np.isnan(view).all(axis=-1)
    assert lost.any()
    np.testing.assert_array_equal(lost[:, :12], lost[:, 12:])


def test_what_was_missing_stays_missing():
    ecg = adapter()
    batch = _batch(ecg, ("II", "V1"))
    view = ecg.augment(batch, _rng())
    assert (view.values.isnan() | ~batch.values.isnan()).all()


@pytest.mark.parametrize("tokens", ["joint", "lead"])
def test_a_window_gets_the_same_view_in_any_batch(tokens):
    ecg = adapter(tokens=tokens)
    batch = _batch(ecg, ("II", "V1"), rows=6)
    whole = ecg.augment(batch, _rng(6))
    part = pad(batch.rows([4, 2]), batch.n_patches + 7)
    some = ecg.augment(part, RowRandom(0, 0, torch.tensor([4, 2])))
    n = batch.n_patches
    # noise is drawn patch by patch, so padding may not shift it
    torch.testing.assert_close(some.values[:, :n], whole.values[[4, 2]], equal_nan=True)
    other = ecg.augment(batch, _rng(6, step=1))
    assert not torch.equal(other.values.nan_to_num(), whole.values.nan_to_num())


def test_views_of_a_permuted_recording_are_the_same():
    ecg = adapter()
    recording = patient(0, ("II", "V1", "V5"), duration_s=10.0)
    rows = [ecg.patchify(ecg.windows(r)[0]) for r in (recording, with_leads(recording, [2, 0, 1]))]
    a, b = (ecg.augment(row, _rng(1)).values for row in rows)
    torch.testing.assert_close(a, b, equal_nan=True)
