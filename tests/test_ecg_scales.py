"""Three scales in one sequence: beats of any length, rhythm, and what links them; any leads, rate and length."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from ecg_kit import STANDARD_LEADS, adapter, patient, with_leads
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from omnipatch.core.batching import collate
from omnipatch.core.blocks.registry import build
from omnipatch.core.errors import InputError
from omnipatch.core.rng import RowRandom
from omnipatch.core.sequence import PatchSequence
from omnipatch.core.testing import check_modality
from omnipatch.modalities.ecg.beat_track import BeatTrack
from omnipatch.modalities.ecg.beats import beat_height, find_beats
from omnipatch.modalities.ecg.features import RHYTHM_FEATURES
from omnipatch.modalities.ecg.intervals import RHYTHM_STATISTICS, rhythm_statistics
from omnipatch.modalities.ecg.leads import derive_limb_leads
from omnipatch.modalities.ecg.quality import lead_quality
from omnipatch.modalities.ecg.scales import POINTS, owner_of, sample_beats

THREE = ("patch", "beat", "rhythm")
TWO_LEADS = ("II|I", "V1|V5")
PATCH, BEAT, RHYTHM = range(3)

INTERVALS = st.lists(st.floats(0.2, 3.0), min_size=1, max_size=30)


def ecg(**config):
    return adapter(**({"scales": THREE, "leads": TWO_LEADS} | config))


def beats_of(row: PatchSequence, slots: int) -> torch.Tensor:
    """[beat, slot + 1, point] of one row."""
    own = row.valid[0] & (row.kind[0] == BEAT)
    return row.values[0][own][:, : (slots + 1) * POINTS].reshape(-1, slots + 1, POINTS)


# ---- where beats are ----------------------------------------------------------------------------------------------


@given(rr=INTERVALS, start_s=st.floats(0, 20), length_s=st.floats(2, 20))
@settings(max_examples=100, deadline=None)
def test_every_moment_belongs_to_one_beat_and_each_r_mark_to_its_own(rr, start_s, length_s):
    r_s = np.cumsum(rr)
    beats = BeatTrack(r_s).window(start_s, length_s, (10.0,))
    inside = r_s[(r_s >= start_s) & (r_s < start_s + length_s)]
    np.testing.assert_allclose(beats.r_s, inside - start_s)
    np.testing.assert_array_equal(owner_of(beats.r_s, beats), beats.group)
    assert len(set(beats.group.tolist())) == len(beats.group)
    assert (np.diff(beats.edges_s) > 0).all()
    # neighbours share a border: no moment is in two beats, none in no beat
    np.testing.assert_allclose(beats.stop_s[:-1], beats.start_s[1:], atol=1e-9)
    assert ((beats.start_s < beats.r_s) & (beats.r_s < beats.stop_s)).all()


def test_equal_and_single_marks_are_no_reason_to_fail():
    for r_s in ([], [1.0], [1.0, 1.0, 1.0], [0.0, 0.001]):
        beats = BeatTrack(np.array(r_s)).window(0.0, 10.0, (10.0,))
        assert len(beats.r_s) == len(r_s)
        assert np.isfinite(beats.features).all()


@given(rr=INTERVALS)
@settings(max_examples=50, deadline=None)
def test_points_of_a_beat_are_aligned_at_r_and_in_order(rr):
    """On a signal that is its own time, a beat's points are the times at which it was read."""
    sfreq_hz, r_s = 120.0, np.cumsum([1.0, *rr])
    time = np.arange(round((r_s[-1] + 3) * sfreq_hz)) / sfreq_hz
    beats = BeatTrack(r_s).window(0.0, time[-1], (10.0,))
    read = sample_beats(time[None].astype(np.float32), sfreq_hz, beats)[:, 0].astype(float) - beats.r_s[:, None]
    known = np.isfinite(read)
    assert known.all(axis=1)[1:-1].all()
    steps = np.diff(read, axis=1)
    assert (steps[known[:, 1:] & known[:, :-1]] > -1e-5).all()
    # the QRS complex keeps its speed in any beat that is long enough to hold one
    long = np.flatnonzero((beats.r_s - beats.start_s > 0.12) & (beats.stop_s - beats.r_s > 0.2) & known.all(axis=1))
    np.testing.assert_allclose(np.diff(read[long, 14:31], axis=1), 0.01, atol=1e-4)


def test_what_lies_outside_the_window_is_missing():
    beats = BeatTrack(np.array([0.1, 0.9, 1.7])).window(0.0, 2.0, (10.0,))
    read = sample_beats(np.ones((2, 240), np.float32), 120.0, beats)
    assert np.isnan(read[0, :, :5]).all()
    assert np.isfinite(read[1]).all()
    assert np.isnan(read[2, :, -3:]).all()


# ---- rhythm -------------------------------------------------------------------------------------------------------


def test_rhythm_sees_beyond_the_window_and_says_what_is_irregular():
    regular = np.arange(0, 300, 0.8)
    irregular = np.cumsum(np.random.default_rng(0).uniform(0.4, 1.2, 375))
    a, b = (rhythm_statistics(r, 150.0, (10.0, 60.0, 0.5)) for r in (regular, irregular))
    assert a.shape == (3, len(RHYTHM_STATISTICS))
    assert np.isnan(a[2]).all()
    at = {name: i for i, name in enumerate(RHYTHM_STATISTICS)}
    np.testing.assert_allclose(a[:2, at["median_interval"]], np.log(0.8), atol=1e-5)
    assert (b[:2, at["spread"]] > a[:2, at["spread"]] + 1).all()
    assert (b[:2, at["early_share"]] > 0.1).all()
    assert a[0, at["covered_s"]] < a[1, at["covered_s"]]


# ---- tokens -------------------------------------------------------------------------------------------------------


def test_a_window_has_patches_beats_and_rhythm_linked_by_group():
    modality, recording = ecg(), patient(0, duration_s=30.0)
    window = modality.windows(recording, "beats")[1]
    row = modality.patchify(window)
    r_s = np.array([a.onset_s for a in recording.annotations if a.duration_s == 0]) - window.start_s
    r_s = r_s[(r_s >= 0) & (r_s < 10)]
    assert row.kind[0].bincount().tolist() == [100, len(r_s), 1]
    is_beat = row.kind[0] == BEAT
    np.testing.assert_allclose(row.coords[0, is_beat, 0], r_s, atol=1e-5)
    assert row.coords[0, row.kind[0] == RHYTHM].tolist() == [[0.0]]
    for group, at in zip(row.group[0, is_beat].tolist(), r_s, strict=True):
        own = (row.group[0] == group) & (row.kind[0] == PATCH)
        assert (row.coords[0, own, 0] - at).abs().min() <= 0.051
        assert len(own.nonzero()) < 25
    assert (row.group[0] == row.group[0, -1]).sum() == 1
    # intervals stand in the last row of a beat
    features = beats_of(row, 4)[:, -1, : len(RHYTHM_FEATURES)]
    assert features.isfinite().all()
    assert torch.isnan(beats_of(row, 4)[:, -1, len(RHYTHM_FEATURES) :]).all()


def test_masking_groups_hides_a_beat_with_its_patches():
    modality = ecg()
    row = modality.patchify(modality.windows(patient(0))[0]).replace(window=torch.tensor([3]))
    view = build("mask", modality.maskers()["beats"])(row, RowRandom(0, 0, row.window))
    hidden = set(view.targets.index[0][view.targets.valid[0]].tolist())
    groups = [set((row.group[0] == g).nonzero().flatten().tolist()) for g in row.group[0].unique()]
    assert sum(bool(g & hidden) and not g <= hidden for g in groups) <= 1  # the surplus of the last one is kept
    assert sum(g <= hidden for g in groups) >= 3


def test_a_beat_is_in_units_of_the_records_normal_beat():
    modality, recording = ecg(), patient(3, duration_s=30.0)
    louder = replace(recording, signals=recording.signals * np.float32([[3.0], [0.4]]))
    a, b = (beats_of(modality.patchify(modality.windows(r)[0]), 4) for r in (recording, louder))
    torch.testing.assert_close(a, b, atol=2e-3, rtol=1e-2, equal_nan=True)
    height = a[:, 0].nan_to_num().amax(dim=1) - a[:, 0].nan_to_num().amin(dim=1)
    assert 0.7 < float(height.median()) < 1.4
    # the difference to the normal beat is smaller than the beat
    assert a[:, 2].nan_to_num().square().mean() < 0.3 * a[:, 0].nan_to_num().square().mean()


@given(
    leads=st.lists(st.sampled_from(STANDARD_LEADS), min_size=1, max_size=12, unique=True),
    sfreq_hz=st.sampled_from([100.0, 128.0, 360.0, 500.0, 1000.0]),
    duration_s=st.floats(2.0, 15.0),
    tokens=st.sampled_from(["joint", "lead"]),
    seed=st.integers(0, 5),
)
@settings(max_examples=12, deadline=None)
def test_any_leads_in_any_order_at_any_rate_and_length(leads, sfreq_hz, duration_s, tokens, seed):
    modality = ecg(leads=STANDARD_LEADS, tokens=tokens)
    recording = patient(seed, leads, duration_s, sfreq_hz)
    # any two limb leads give the others; a lead that is mostly noise counts as not recorded
    signals, sensors = derive_limb_leads(np.asarray(recording.signals), recording.sensors)
    there = set(sensors) - set(lead_quality(signals, sensors, sfreq_hz))
    assume(there)
    turned = with_leads(recording, range(len(leads))[::-1])
    for a, b in zip(modality.windows(recording), modality.windows(turned), strict=True):
        x, y = modality.patchify(a), modality.patchify(b)
        assert x.valid.any()
        assert not x.values[x.valid].isinf().any()
        assert x.coords.equal(y.coords)
        assert x.group.equal(y.group)
        torch.testing.assert_close(x.values, y.values, atol=1e-3, rtol=1e-3, equal_nan=True)
        known = beats_of(x, 24).isfinite().any(dim=-1).any(dim=0)[:12]
        if len(beats_of(x, 24)):
            assert known.tolist() == [lead in there for lead in STANDARD_LEADS]


def test_rows_of_other_leads_rates_and_lengths_make_one_batch():
    modality = ecg(leads=STANDARD_LEADS)
    parts = [
        patient(0, ("II", "V1"), 12.0, 360.0),
        patient(1, STANDARD_LEADS, 5.0, 500.0),
        patient(2, ("I",), 2.0, 100.0),
    ]
    batch = collate([modality.patchify(modality.windows(p)[0]) for p in parts])
    encoder = build("encoder", {"name": "transformer", "width": 24, "depth": 2, "heads": 2}, batch.spec).eval()
    with torch.no_grad():
        together = encoder(batch).pooled
        alone = torch.cat([encoder(batch.rows([i])).pooled for i in range(3)])
    assert together.isfinite().all()
    torch.testing.assert_close(together, alone, atol=2e-5, rtol=1e-4)


def test_the_signal_comes_back_from_the_time_patches():
    for tokens in ("joint", "lead"):
        modality = ecg(tokens=tokens)
        window = modality.windows(patient(0))[0]
        (signal,) = modality.unpatchify(modality.patchify(window))
        np.testing.assert_array_equal(signal, window.values)
    only = ecg(scales=("beat",))
    with pytest.raises(NotImplementedError):
        only.unpatchify(only.patchify(only.windows(patient(0))[0]))


@pytest.mark.parametrize("scales", [("beat",), ("rhythm",), ("rhythm", "beat"), ("patch", "rhythm")])
def test_a_recipe_chooses_scales(scales):
    modality = ecg(scales=scales)
    row = modality.patchify(modality.windows(patient(0))[0])
    assert row.spec.kinds == tuple(name for name in THREE if name in scales)
    assert set(row.kind[row.valid].tolist()) == set(range(len(scales)))


def test_patches_alone_are_the_sequence_of_before():
    plain, spec = adapter(leads=TWO_LEADS, residual=True), adapter(leads=TWO_LEADS, residual=True).spec
    assert (spec.kinds, spec.kind_shapes, spec.patch_shape) == (("patch",), (), (4, 12))
    assert all(not window.extras for window in plain.windows(patient(0)))


def test_mistyped_scales_name_the_nearest():
    with pytest.raises(InputError, match=r"modality\.scales, got beets.*did you mean 'beat'"):
        ecg(scales=("patch", "beets"))
    with pytest.raises(InputError, match=r"modality\.rhythm_s"):
        ecg(rhythm_s=(0.0,))


# ---- where the marks come from ------------------------------------------------------------------------------------


def test_beats_are_detected_where_nobody_marked_them():
    modality, recording = ecg(), patient(0, duration_s=20.0)
    bare = replace(recording, annotations=())
    given_, found = (modality.patchify(modality.windows(r)[0]) for r in (recording, bare))
    a, b = (row.coords[0, row.kind[0] == BEAT, 0] for row in (given_, found))
    assert abs(len(a) - len(b)) <= 1
    assert (torch.cdist(a[:, None], b[:, None]).amin(dim=1) < 0.05).float().mean() > 0.9
    assert all(not w.events.at.size or not any(w.events.label) for w in modality.windows(bare, "beats"))


def test_a_recording_without_beats_keeps_its_patches():
    noise = np.random.default_rng(0).normal(0, 1e-5, (2, 3000)).astype(np.float32)
    recording = replace(patient(0), signals=noise + np.float32(0.5), annotations=())
    try:
        rows = [ecg().patchify(w) for w in ecg().windows(recording)]
    except InputError:
        return  # refused in one sentence is fine too
    assert all((row.kind[row.valid] != BEAT).all() for row in rows)


# ---- a long recording ---------------------------------------------------------------------------------------------


def test_half_an_hour_has_each_beat_once_and_bounded_memory():
    modality, recording = ecg(), patient(1, duration_s=1800.0, sfreq_hz=128.0)
    tracemalloc.start()
    windows = modality.windows(recording, "beats")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * recording.signals.nbytes
    r_s = [a.onset_s for a in recording.annotations if a.duration_s == 0]
    stitched = np.concatenate([w.events.at + w.start_s for w in windows])
    np.testing.assert_allclose(np.sort(stitched), r_s, atol=1e-6)
    assert (np.diff(stitched) > 0).all()  # windows in order give the beats in order
    # each event is read from a token of its own in the window that owns it
    for window in windows[::40]:
        row = modality.patchify(window)
        places = row.coords[0, row.valid[0] & (row.kind[0] == BEAT), 0].numpy()
        assert (np.abs(window.events.at[:, None] - places).min(axis=1) < 1e-4).all()


# ---- views --------------------------------------------------------------------------------------------------------


def test_a_view_changes_a_lead_alike_in_patches_and_beats():
    modality = ecg()
    windows = modality.windows(patient(2, duration_s=60.0))
    batch = collate([modality.patchify(w) for w in windows * 4]).replace(window=torch.arange(4 * len(windows)))
    view = modality.augment(batch, RowRandom(0, 0, batch.window))
    lost = 0
    for row in range(len(batch)):
        a, b = batch.rows([row]), view.rows([row])
        x, y = beats_of(a, 4), beats_of(b, 4)
        gone = y[:, :4].isnan().all(dim=-1).all(dim=0)
        assert gone[:2].equal(gone[2:])
        lost += int(gone[0] | gone[1])
        is_patch = a.kind[0] == PATCH
        p, q = (s.values[0, is_patch][:, :48].reshape(-1, 4, 12) for s in (a, b))
        assert q.isnan().all(dim=-1).all(dim=0).equal(gone)
        for slot in (~gone[:2]).nonzero().flatten().tolist():  # residuals are too small beside wander and noise
            u, v = x[:, slot].flatten(), y[:, slot].flatten()
            known = u.isfinite()
            gain = float((u[known] * v[known]).sum() / u[known].square().sum())
            other = float((p[:, slot] * q[:, slot]).nansum() / p[:, slot].square().nansum())
            assert gain == pytest.approx(other, abs=0.08)
        assert (y[:, 4, :25] - x[:, 4, :25]).abs().max() < 0.2
        assert b.values[0, a.kind[0] == RHYTHM][:, :30].equal(a.values[0, a.kind[0] == RHYTHM][:, :30])
    assert 0 < lost < len(batch)


@pytest.mark.slow
@pytest.mark.parametrize("config", [{}, {"tokens": "lead"}, {"scales": ("beat", "rhythm")}], ids=str)
def test_the_contract_holds_at_every_scale(config):
    check_modality(ecg(**config))


# ---- each idea alone ----------------------------------------------------------------------------------------------


def test_normal_heights_alone_and_not_at_all():
    recording = patient(3, duration_s=30.0)
    asked = (
        {"normal_heights": True},
        {"scales": ("patch", "beat")},
        {},
        {"scales": ("patch", "beat"), "normal_heights": False},
    )
    r_s = np.array([a.onset_s for a in recording.annotations if not a.duration_s])
    for config, in_units in zip(asked, (True, True, False, False), strict=True):
        x = adapter(leads=TWO_LEADS, **config).windows(recording)[0].values[:2]
        height = beat_height(find_beats(x, r_s[(r_s > 1) & (r_s < 9)], 120.0))
        assert np.allclose(height, 1.0, atol=0.1) == in_units, (config, height)


def test_beats_without_their_intervals():
    told, untold = (adapter(beat_intervals=known) for known in (True, False))
    for one, number in ((told, len(RHYTHM_FEATURES)), (untold, 0)):
        (window, *_) = one.windows(patient(0), "beats")
        assert window.events is not None
        assert window.events.features.shape == (len(window.events.at), number)
        assert len(one.tasks()["beats"].event_features) == number
    check_modality(untold)
