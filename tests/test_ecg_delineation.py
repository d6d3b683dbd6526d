"""Waves as dense labels: the vote of the leads, windows of a recording, the demo's own marks, and LUDB."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ecg_kit import Annotation, adapter
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.config import DataConfig
from omnipatch.core.data.sources import resolve_sources
from omnipatch.core.data.store import WindowStore
from omnipatch.core.downstream.segments import find_boundaries
from omnipatch.modalities.ecg.delineation import MARGIN_S, TASK, find_waves, vote

HZ = 100.0


def _p(onset, duration, sensor=""):
    return Annotation(onset, "P", duration, sensor)


def test_more_than_half_of_the_leads_make_a_wave():
    leads = [[_p(1.0, 0.10)], [_p(1.02, 0.10)], [_p(1.06, 0.10)]]
    (wave,) = vote(leads, HZ, 300)
    assert (wave.onset_s, wave.duration_s) == (pytest.approx(1.02), pytest.approx(0.10))
    assert vote([[_p(1.0, 0.1)], []], HZ, 300) == []


def test_the_shown_leads_vote_and_marks_without_a_lead_hold_for_all():
    r = adapter().example(np.random.default_rng(2))
    both = (_p(1.0, 0.1, "II"), _p(1.2, 0.1, "V1"))
    marked = replace(r, annotations=both)
    assert find_waves(marked, ("II",)).onset_s.tolist() == [pytest.approx(1.0)]
    assert find_waves(marked, ("V1",)).onset_s.tolist() == [pytest.approx(1.2)]
    assert find_waves(marked, ("II", "V1")).label == ()
    assert find_waves(replace(r, annotations=(*both, _p(2.0, 0.1))), ("V1",)).onset_s.tolist() == [
        pytest.approx(1.2), pytest.approx(2.0),
    ]  # fmt: skip


def test_nothing_is_known_before_the_first_and_after_the_last_wave():
    r = replace(adapter().example(np.random.default_rng(2)), annotations=(_p(3.0, 0.1), _p(31.0, 0.1)))
    windows = adapter().windows(r, "delineation")
    known = [w.segments.known + w.start_s for w in windows]
    assert known[0].tolist() == [[pytest.approx(3.0 - MARGIN_S), pytest.approx(9.0)]]
    assert known[3].tolist() == [[pytest.approx(25.0), pytest.approx(31.1 + MARGIN_S)]]
    assert [len(k) for k in known[4:]] == [0] * (len(windows) - 4)


def test_without_marks_nothing_is_labelled():
    r = replace(adapter().example(np.random.default_rng(2)), annotations=())
    assert all(not len(w.segments.known) and not w.segments.label for w in adapter().windows(r, "delineation"))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(10.0, 8.0), (4.0, 1.5), (6.0, 6.0)]))
def test_every_moment_belongs_to_one_window_and_has_the_label_of_its_wave(seed, lengths):
    from omnipatch.core.data.dense import dense_labels

    ecg = adapter(window_s=lengths[0], stride_s=lengths[1])
    r = ecg.example(np.random.default_rng(seed))
    track = np.full(round(60 / TASK.step), -1)
    for window in ecg.windows(r, "delineation"):
        label = dense_labels(window, TASK)
        at = np.flatnonzero(label >= 0)
        place = at + round(window.start_s / TASK.step)
        assert (track[place] == -1).all()
        track[place] = label[at]
    waves = find_waves(r, ("II", "V1"))
    centre = (np.arange(len(track)) + 0.5) * TASK.step
    inside = (centre > waves.onset_s[0]) & (centre < waves.offset_s.max())
    assert (track[inside] >= 0).all()
    for onset, offset, label in zip(waves.onset_s, waves.offset_s, waves.label, strict=True):
        middle = int((onset + offset) / 2 / TASK.step)
        assert TASK.classes[track[middle]] == label


def test_demo_waves_follow_the_rhythm():
    seen = Counter()
    for seed in range(8):
        r = adapter().example(np.random.default_rng(seed))
        waves, beats = find_waves(r, ("II",)), [a for a in r.annotations if a.duration_s == 0]
        count = Counter(waves.label)
        assert (np.diff(waves.onset_s) > 0).all()
        assert (waves.offset_s[:-1] <= waves.onset_s[1:] + 1e-9).all()
        assert abs(count["QRS"] - len(beats)) <= 1
        fibrillating = any(a.label == "(AFIB" for a in r.annotations)
        seen[fibrillating] += 1
        if fibrillating:
            assert count["P"] == 0
        for a in beats:  # the peak lies inside its complex
            k = np.flatnonzero((waves.onset_s <= a.onset_s) & (waves.offset_s >= a.onset_s))
            assert waves.label[k[0]] == "QRS"
    assert len(seen) == 2


def test_a_store_gives_steps_as_items_that_a_perfect_prediction_finds(tmp_path):
    ecg = adapter()
    store = WindowStore.prepare(ecg, ecg.demo()[:3], "delineation", cache=tmp_path)
    items = store.items()
    assert items.unit == "dense"
    assert set(np.unique(items.label)) == {0, 1, 2, 3}
    every = np.arange(len(items))
    bounds = find_boundaries(TASK, items, every, np.eye(4)[items.label])
    assert (bounds.outcome == 0).all()
    labelled = sum(len(find_waves(ecg.load(s), ("II",)).label) for s in ecg.demo()[:3])
    # a wave that meets another of its own kind shares an edge with it
    assert 2 * labelled - 6 <= len(bounds.code) <= 2 * labelled


@pytest.mark.real_data
def test_ludb_strips_have_waves_of_physiological_length():
    assert os.environ["OMNIPATCH_DATA"]
    ecg = adapter()
    counts, lengths = Counter(), {"P": [], "QRS": [], "T": []}
    for source in list(resolve_sources(ecg, DataConfig(name="ludb", task="delineation")))[:20]:
        waves = find_waves(ecg.load(source), ecg.load(source).sensors)
        counts.update(waves.label)
        for onset, offset, label in zip(waves.onset_s, waves.offset_s, waves.label, strict=True):
            lengths[label].append(offset - onset)
    assert counts["QRS"] >= counts["T"] >= counts["P"] > 100
    medians = {label: float(np.median(found)) for label, found in lengths.items()}
    assert 0.07 < medians["P"] < 0.13
    assert 0.07 < medians["QRS"] < 0.13
    assert 0.12 < medians["T"] < 0.30
