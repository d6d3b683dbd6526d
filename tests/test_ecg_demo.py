"""The demo heart: waves in order and of normal length, plausible rhythms, early wide ectopic beats, own shapes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ecg_kit import STANDARD_LEADS
from omnipatch.modalities.ecg import ECG
from omnipatch.modalities.ecg.demo import make_recording
from omnipatch.modalities.ecg.filters import band_pass
from omnipatch.modalities.ecg.quality import lead_quality
from omnipatch.modalities.ecg.tasks import AAMI_CLASSES

SFREQ_HZ = 500.0
SUBJECTS = 24
BEFORE_S, AFTER_S = 0.35, 0.5


@pytest.fixture(scope="module")
def hearts():
    """[(marks, R times, lead signals in mV without wander, rhythm)] of many subjects, leads I, II, V1, V5."""
    found = []
    for seed in range(SUBJECTS):
        r = make_recording(np.random.default_rng(seed), SFREQ_HZ, 60.0, ("I", "II", "V1", "V5"))
        beats = [a for a in r.annotations if a.duration_s == 0]
        signals = band_pass(r.signals.astype(float), SFREQ_HZ, 0.5, 40.0, None)
        at = np.array([a.onset_s for a in beats])
        found.append(([a.label for a in beats], at, signals, r.annotations[0].label))
    return found


def _cut(signals, at_s):
    """[beat, lead, sample] around marks that lie inside."""
    start = np.round((at_s - BEFORE_S) * SFREQ_HZ).astype(int)
    length = round((BEFORE_S + AFTER_S) * SFREQ_HZ)
    start = start[(start >= 0) & (start + length <= signals.shape[1])]
    return np.stack([signals[:, s : s + length] for s in start]) if len(start) else np.zeros((0, len(signals), length))


def _typical(heart, mark, at_least=3):
    """[lead, sample] median beat of one kind, None when there are too few."""
    marks, at, signals, _ = heart
    cut = _cut(signals, at[[m == mark for m in marks]])
    return np.median(cut, axis=0) if len(cut) >= at_least else None


def _span(t0, t1):
    return slice(round((t0 + BEFORE_S) * SFREQ_HZ), round((t1 + BEFORE_S) * SFREQ_HZ))


def _qrs_width_s(beat):
    """How long the leads together are steep."""
    steep = np.linalg.norm(np.diff(beat[:, _span(-0.12, 0.18)], axis=1), axis=0)
    above = np.flatnonzero(steep > 0.2 * steep.max())
    return (above[-1] - above[0]) / SFREQ_HZ


def _bump(beat, t0, t1):
    """Height in mV and time in s of what stands out between two times, in the lead that shows it best."""
    x = beat[:, _span(t0, t1)]
    x = x - np.linspace(x[:, 0], x[:, -1], x.shape[1], axis=1)
    lead = np.ptp(x, axis=1).argmax()
    return np.ptp(x[lead]), np.abs(x[lead]).argmax() / SFREQ_HZ + t0


def test_a_normal_beat_is_p_then_qrs_then_t(hearts):
    for heart in hearts:
        if heart[3] == "(AFIB":
            continue
        beat = _typical(heart, "N")
        (p, p_s), (qrs, qrs_s), (t, t_s) = (_bump(beat, *span) for span in ((-0.25, -0.08), (-0.08, 0.08), (0.1, 0.45)))
        rest, _ = _bump(beat, -0.34, -0.28)
        assert rest < 0.3 * p
        assert p < t < qrs
        assert -0.22 < p_s < -0.12  # a PR interval of 0.12 to 0.2 s begins one half P wave earlier
        assert abs(qrs_s) < 0.04
        assert 0.17 < t_s < 0.36


def test_durations_are_normal_and_a_ventricular_beat_is_wide(hearts):
    found = [(_typical(h, "N"), _typical(h, "V")) for h in hearts]
    pairs = [(_qrs_width_s(n), _qrs_width_s(v)) for n, v in found if n is not None and v is not None]
    assert len(pairs) >= 8
    normal, wide = np.array(pairs).T
    assert normal.min() > 0.04
    assert normal.max() < 0.11
    assert wide.min() > 0.12
    assert (wide / normal).min() > 1.4


def test_fibrillation_has_no_p_wave_and_no_regular_beat(hearts):
    height, spread = {"(AFIB": [], "(N": []}, {"(AFIB": [], "(N": []}
    for heart in hearts:
        marks, at, _, rhythm = heart
        rhythm = "(N" if rhythm == "(SBR" else rhythm
        beat = _typical(heart, "N")
        height[rhythm].append(_bump(beat, -0.25, -0.08)[0] / _bump(beat, -0.08, 0.08)[0])
        steps = np.diff(at)[[a == b == "N" for a, b in itertools.pairwise(marks)]]
        spread[rhythm].append(steps.std() / steps.mean())
    assert np.median(height["(AFIB"]) < 0.4 * np.median(height["(N"])
    assert min(spread["(AFIB"]) > max(spread["(N"])


def test_rates_are_those_of_people(hearts):
    for marks, at, _, rhythm in hearts:
        steps = np.diff(at)
        assert steps.min() >= 0.29
        assert steps.max() < 2.5
        normal = steps[[a == b == "N" for a, b in itertools.pairwise(marks)]]
        rate = 60 / np.median(normal)
        assert 38 < rate < 130
        if rhythm == "(SBR":
            assert rate < 65


def test_ectopic_beats_come_early_and_ventricular_ones_pause(hearts):
    early, pause = {"A": [], "V": []}, {"A": [], "V": []}
    for marks, at, _, rhythm in hearts:
        if rhythm == "(AFIB":
            continue
        steps = np.diff(at)
        normal = np.median(steps[[a == b == "N" for a, b in itertools.pairwise(marks)]])
        for i in range(1, len(marks) - 1):
            if marks[i] in early and marks[i - 1] == marks[i + 1] == "N":
                early[marks[i]].append(steps[i - 1] / normal)
                pause[marks[i]].append(steps[i] / normal)
    for mark in "AV":
        assert len(early[mark]) > 20
        assert np.max(early[mark]) < 0.92
    # the sinus node is not reset by a ventricular beat: two intervals make two
    assert np.median(np.add(early["V"], pause["V"])) == pytest.approx(2.0, abs=0.1)
    assert np.median(np.add(early["A"], pause["A"])) < 1.9


def test_several_rhythms_and_all_classes_occur(hearts):
    assert {h[3] for h in hearts} == {"(N", "(AFIB", "(SBR"}
    assert {m for h in hearts for m in h[0]} == {"N", "A", "V", "F"}


def test_a_fusion_beat_lies_between_a_normal_and_a_ventricular_one(hearts):
    compared = 0
    for heart in hearts:
        n, v, f = (_typical(heart, mark) for mark in "NVF")
        if n is None or v is None or f is None:
            continue
        compared += 1
        near = _span(-0.1, 0.15)
        n, v, f = n[:, near], v[:, near], f[:, near]
        apart = np.linalg.norm(n - v)
        assert max(np.linalg.norm(f - n), np.linalg.norm(f - v)) < apart
    assert compared >= 2


def test_marks_lie_on_the_complex(hearts):
    for marks, at, signals, _ in hearts:
        peaks = np.argmax(np.abs(_cut(signals, at)[:, :, _span(-0.12, 0.12)]).max(axis=1), axis=1) / SFREQ_HZ - 0.12
        inside = (at > BEFORE_S + 0.01) & (at < 60 - AFTER_S - 0.01)
        kinds = np.array(marks)[inside][: len(peaks)]
        assert np.mean(np.abs(peaks[kinds == "N"]) <= 0.04) > 0.97
        if (kinds == "V").sum() >= 5:
            assert np.median(np.abs(peaks[kinds == "V"])) <= 0.04


def test_subjects_look_like_themselves(hearts):
    """The first half of a recording finds its own second half among all others."""
    halves = []
    for part in (0, 1):
        beats = []
        for marks, at, signals, _ in hearts:
            chosen = np.array([m == "N" for m in marks]) & ((at > 30) == bool(part))
            beat = np.median(_cut(signals, at[chosen]), axis=0).ravel()
            beats.append((beat - beat.mean()) / beat.std())
        halves.append(np.stack(beats))
    alike = halves[0] @ halves[1].T
    assert np.mean(alike.argmax(axis=1) == np.arange(len(alike))) > 0.8
    own, other = np.diag(alike), alike[~np.eye(len(alike), dtype=bool)]
    assert np.median(own) > np.quantile(other, 0.9)


def test_twelve_leads_belong_to_one_body():
    r = make_recording(np.random.default_rng(1), 250.0, 20.0, STANDARD_LEADS)
    x = dict(zip(r.sensors, band_pass(r.signals.astype(float), 250.0, 0.5, 40.0, None), strict=True))
    for name, other in (("III", x["II"] - x["I"]), ("aVR", -(x["I"] + x["II"]) / 2), ("aVF", x["II"] - x["I"] / 2)):
        assert np.corrcoef(x[name], other)[0, 1] > 0.9, name
        assert np.ptp(x[name]) == pytest.approx(np.ptp(other), rel=0.2), name
    assert lead_quality(r.signals, r.sensors, r.sfreq_hz) == {}


def test_a_recording_is_a_pure_function_of_its_seed():
    a, b, c = (make_recording(np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(a.signals, b.signals)
    assert a.annotations == b.annotations
    assert a.annotations != c.annotations
    assert a.signals.dtype == np.float32


@pytest.mark.parametrize(("sfreq_hz", "duration_s"), [(100.0, 2.0), (1000.0, 3.0), (360.0, 1.0), (250.0, 0.5)])
def test_any_rate_and_length(sfreq_hz, duration_s):
    r = make_recording(np.random.default_rng(0), sfreq_hz, duration_s, ("V6",))
    assert r.signals.shape == (1, round(sfreq_hz * duration_s))
    assert np.isfinite(r.signals).all()
    assert all(0 <= a.onset_s <= duration_s for a in r.annotations)


def test_the_demo_set_has_every_class_in_many_subjects():
    ecg = ECG()
    sources = ecg.demo(0)
    assert len({s.subject for s in sources}) == len(sources) >= 20
    assert {s.seed for s in ecg.demo(0)}.isdisjoint({s.seed for s in ecg.demo(1)})
    subjects = {name: set() for name in AAMI_CLASSES}
    for source in sources:
        for window in ecg.windows(ecg.load(source), "beats"):
            for label in window.events.label:
                if label:
                    subjects[label].add(source.subject)
    assert min(len(found) for found in subjects.values()) >= 8, {k: len(v) for k, v in subjects.items()}
