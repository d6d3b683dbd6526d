"""Random lead presence: which leads a training window loses, and that a lost lead is really gone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ecg_kit import STANDARD_LEADS, adapter, patient, with_leads
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.batching import collate, pad
from omnipatch.core.blocks.encoder import TransformerEncoder
from omnipatch.core.errors import InputError
from omnipatch.core.rng import RowRandom
from omnipatch.core.testing import modality_checks
from omnipatch.modalities.ecg import ECG, ECGConfig
from omnipatch.modalities.ecg.lead_presence import LeadDropout, recorded_leads, without_leads
from omnipatch.modalities.ecg.leads import LIMB_LEADS

ROWS = 300
CHEST = STANDARD_LEADS[6:]
ALL = LeadDropout(1.0, tuple((lead,) for lead in STANDARD_LEADS))
LAYOUTS = [
    {"tokens": "joint"},
    {"tokens": "lead"},
    {"tokens": "joint", "residual": True},
    {"tokens": "lead", "residual": True},
    {"tokens": "joint", "scales": ("patch", "beat", "rhythm")},
    {"tokens": "lead", "scales": ("patch", "beat")},
    {"tokens": "joint", "scales": ("beat", "rhythm")},
]


def _rng(rows=ROWS, step=0):
    return RowRandom(0, step, torch.arange(rows))


def _batch(ecg, leads=STANDARD_LEADS, rows=4):
    row = ecg.patchify(ecg.windows(patient(0, leads, duration_s=4.0))[0])
    return collate([row] * rows).replace(window=torch.arange(rows))


def _lost(recorded, rng):
    return ALL.lost(torch.as_tensor(recorded), rng)


def _recorded(ecg, batch):
    return recorded_leads(batch, ecg._patch_spec, 12)


# ---- which leads --------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(recorded=st.lists(st.booleans(), min_size=12, max_size=12), step=st.integers(0, 1000))
def test_only_recorded_leads_are_lost_and_one_stays(recorded, step):
    there = torch.tensor(recorded).expand(20, -1)
    lost = _lost(there, _rng(20, step))
    assert not (lost & ~there).any()
    assert ((there & ~lost).any(dim=1) == there.any(dim=1)).all()


def test_any_number_of_leads_from_one_to_all_is_as_likely():
    kept = 6 - _lost(torch.tensor([lead in CHEST for lead in STANDARD_LEADS]).expand(6000, -1), _rng(6000)).sum(dim=1)
    share = torch.bincount(kept, minlength=7)[1:] / 6000
    torch.testing.assert_close(share, torch.full((6,), 1 / 6), atol=0.02, rtol=0.0)


def test_every_lead_is_lost_as_often_as_its_like():
    often = _lost(torch.ones(6000, 12, dtype=torch.bool), _rng(6000)).float().mean(dim=0)
    assert often[6:].max() - often[6:].min() < 0.03  # chest leads among themselves
    assert often[:6].max() - often[:6].min() < 0.03


def test_two_limb_leads_bring_the_others_back():
    kept = ~_lost(torch.ones(2000, 12, dtype=torch.bool), _rng(2000))[:, :6]
    assert set(kept.sum(dim=1).tolist()) == {0, 1, 6}
    few = torch.zeros(2000, 12, dtype=torch.bool)
    few[:, [0, 4, 6]] = True  # what was never recorded does not come back
    assert not (~_lost(few, _rng(2000)) & few).all(dim=1).all()
    assert set((few & ~_lost(few, _rng(2000)))[:, :6].sum(dim=1).tolist()) == {0, 1, 2}


def test_a_slot_of_several_leads_brings_nothing_back():
    slots = (("I", "II"), ("III", "aVR"), ("aVL", "aVF"))
    lost = LeadDropout(1.0, slots).lost(torch.ones(500, 3, dtype=torch.bool), _rng(500))
    assert 2 in (~lost).sum(dim=1)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_the_share_of_windows_that_lose_leads(share):
    dropout = LeadDropout(share, tuple((lead,) for lead in CHEST))
    lost = dropout.lost(torch.ones(6000, 6, dtype=torch.bool), _rng(6000)).any(dim=1).float().mean()
    assert float(lost) == pytest.approx(share * 5 / 6, abs=0.02)  # a random subset is everything once in six


# ---- that they are gone -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_view_holds_a_random_subset_of_the_leads(layout):
    ecg = adapter(lead_dropout=1.0, **layout)
    batch = _batch(ecg, rows=60)
    assert _recorded(ecg, batch).all()
    kept = _recorded(ecg, ecg.augment(batch, _rng(60)))
    assert kept.any(dim=1).all()
    assert len(kept.sum(dim=1).unique()) > 6
    assert len(kept.unique(dim=0)) > 30


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_what_a_lost_lead_held_changes_no_token(layout):
    """Two recordings that differ only in leads that are lost are one to the model."""
    ecg = adapter(**layout)
    batch = _batch(ecg, rows=2)
    lost = torch.tensor([lead in ("I", "V2", "V5") for lead in STANDARD_LEADS]).expand(2, -1)
    other = _batch(ecg, rows=2)
    changed = without_leads(other, ecg._patch_spec, ~lost)  # nothing but the leads to be lost, made absurd
    values = torch.where(changed.valid.unsqueeze(-1) & changed.values.isfinite(), 1e3, other.values)
    if "beat" in ecg.spec.kinds:  # intervals belong to no lead
        beats = (batch.kind == ecg.spec.kinds.index("beat")).unsqueeze(-1)
        values = torch.where(beats & ~_is_wave(ecg, batch), other.values, values)
    if "rhythm" in ecg.spec.kinds:
        values = torch.where((batch.kind == ecg.spec.kinds.index("rhythm")).unsqueeze(-1), other.values, values)
    other = other.replace(values=values)
    assert not torch.equal(other.values.nan_to_num(), batch.values.nan_to_num())
    torch.manual_seed(0)
    encoder = TransformerEncoder(ecg.spec, width=24, depth=2, heads=2, positions="rotary").eval()
    torch.nn.init.normal_(encoder.norm.bias)
    with torch.no_grad():
        seen = [encoder(without_leads(b, ecg._patch_spec, lost)) for b in (batch, other)]
        whole = [encoder(b) for b in (batch, other)]
    assert torch.equal(seen[0].pooled, seen[1].pooled)
    assert torch.equal(seen[0].tokens[seen[0].valid], seen[1].tokens[seen[1].valid])
    assert not torch.equal(whole[0].pooled, whole[1].pooled)


def _is_wave(ecg, batch):
    """[1, 1, value] numbers of a beat that are wave and not interval."""
    slots, points = ecg.spec.shape_of(ecg.spec.kinds.index("beat"))
    place = torch.arange(batch.values.shape[-1])
    return (place < (slots - 1) * points)[None, None]


@pytest.mark.parametrize("tokens", ["joint", "lead"])
def test_a_lost_lead_is_the_same_as_one_that_was_never_recorded(tokens):
    ecg, whole = adapter(tokens=tokens), patient(0, STANDARD_LEADS, duration_s=4.0)
    kept = [1, 6, 8]
    full, fewer = (ecg.patchify(ecg.windows(r)[0]) for r in (whole, with_leads(whole, kept)))
    lost = torch.tensor([[i not in kept for i in range(12)]])
    made = without_leads(full, ecg._patch_spec, lost)
    torch.manual_seed(0)
    encoder = TransformerEncoder(ecg.spec, width=24, depth=2, heads=2, positions="rotary").eval()
    with torch.no_grad():
        a, b = encoder(made), encoder(fewer)
    assert torch.equal(made.lengths, fewer.lengths)
    torch.testing.assert_close(a.pooled, b.pooled, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_window_loses_the_same_leads_in_any_batch(layout):
    ecg = adapter(lead_dropout=1.0, **layout)
    batch = _batch(ecg, ("I", "II", "V1", "V4", "V6"), rows=6)
    whole = ecg.augment(batch, _rng(6))
    part = pad(batch.rows([4, 2]), batch.n_patches + 7)
    some = ecg.augment(part, RowRandom(0, 0, torch.tensor([4, 2])))
    n = batch.n_patches
    assert torch.equal(some.valid[:, :n], whole.valid[[4, 2]])
    valid = some.valid[:, :n].unsqueeze(-1)
    a, b = (x.masked_fill(~valid, 0.0) for x in (some.values[:, :n], whole.values[[4, 2]]))
    torch.testing.assert_close(a, b, equal_nan=True)


def test_without_the_setting_views_are_as_before():
    plain, none = adapter(tokens="lead"), adapter(tokens="lead", lead_dropout=0.0)
    batch = _batch(plain)
    a, b = (ecg.augment(batch, _rng(4)) for ecg in (plain, none))
    assert torch.equal(a.values, b.values)
    assert b.valid is batch.valid


def test_a_window_without_its_only_lead_is_never_made():
    ecg = adapter(tokens="lead", lead_dropout=1.0)
    batch = _batch(ecg, ("V3",), rows=20)
    assert torch.equal(ecg.augment(batch, _rng(20)).valid, batch.valid)


def test_padding_does_not_look_like_a_recorded_lead():
    ecg = adapter()
    batch = _batch(ecg, ("V3",), rows=60)
    wide = pad(batch, batch.n_patches + 3)  # padded values are zeros, which are finite
    view = ecg.augment(wide, _rng(60))
    slot = view.values[:, : batch.n_patches].reshape(60, batch.n_patches, 12, -1)[:, :, STANDARD_LEADS.index("V3")]
    assert slot.isfinite().all()


def test_a_share_outside_zero_and_one_is_refused():
    with pytest.raises(InputError, match=r"modality\.lead_dropout"):
        ECGConfig(lead_dropout=1.5)


def test_limb_leads_are_the_first_six():
    assert np.array_equal(LIMB_LEADS, STANDARD_LEADS[:6])


@modality_checks(ECG(ECGConfig(lead_dropout=1.0)))
def test_joint_patches_meet_the_contract(check):
    check()


@modality_checks(ECG(ECGConfig(tokens="lead", scales=("patch", "beat", "rhythm"), lead_dropout=1.0)))
def test_three_scales_meet_the_contract(check):
    check()
