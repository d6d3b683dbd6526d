"""The EEG maker: what a textbook would look for, and that the demo set is of people."""

from __future__ import annotations

import numpy as np
import pytest
from eeg_kit import places
from omnipatch.modalities.eeg import EEG
from omnipatch.modalities.eeg.demo import DEMO_HZ, STATES, make_recording
from omnipatch.modalities.eeg.sites import SITES_10_20
from omnipatch.modalities.eeg.spectral import log_bands
from scipy.signal import welch
from scipy.spatial.distance import pdist

SEEDS = range(12)


@pytest.fixture(scope="module")
def pairs():
    """Recordings of each subject at rest and at work."""
    return [[make_recording(np.random.default_rng(seed), state) for state in STATES] for seed in SEEDS]


def band(recording, low, high, names):
    rows = [recording.sensors.index(name) for name in names]
    return log_bands(recording.signals[rows], recording.sfreq_hz, (low, high)).mean()


def test_amplitudes_are_those_of_a_scalp(pairs):
    rms = [r.signals.std(axis=1).mean() for pair in pairs for r in pair]
    assert 5 < np.median(rms) < 30
    assert max(rms) < 60


def test_power_falls_with_the_frequency(pairs):
    for pair in pairs:
        frequency, density = welch(pair[0].signals[SITES_10_20.index("Cz")], DEMO_HZ, nperseg=800)
        slow, fast = (density[(frequency >= a) & (frequency < b)].mean() for a, b in ((2, 4), (30, 45)))
        assert 5 < slow / fast < 500


def test_near_electrodes_see_much_the_same(pairs):
    near = pdist(places())
    for pair in pairs[:4]:
        alike = np.corrcoef(pair[0].signals)[np.triu_indices(19, 1)]
        assert alike[near < 0.6].mean() > 0.55
        assert alike[near < 0.6].mean() > alike[near > 1.4].mean() + 0.3


def test_alpha_is_at_the_back_and_falls_with_work(pairs):
    back, front = ("O1", "O2"), ("F3", "F4")
    change = [band(work, 8, 13, back) - band(rest, 8, 13, back) for rest, work in pairs]
    assert np.mean(change) < -0.3
    assert np.mean([band(rest, 8, 13, back) - band(rest, 8, 13, front) for rest, _ in pairs]) > 0.5


def test_theta_is_in_the_middle_and_rises_with_work(pairs):
    change = [band(work, 5, 7, ("Fz",)) - band(rest, 5, 7, ("Fz",)) for rest, work in pairs]
    assert np.mean(change) > 0.2


def test_subjects_differ_more_than_states(pairs):
    """Else the height of one band would tell the class, and the demo would teach nothing about subjects."""
    rest = np.array([band(pair[0], 8, 13, ("O1", "O2")) for pair in pairs])
    work = np.array([band(pair[1], 8, 13, ("O1", "O2")) for pair in pairs])
    assert rest.std() > abs((work - rest).mean()) / 2
    assert np.corrcoef(rest, work)[0, 1] > 0.7


def test_the_demo_set_is_of_subjects_in_both_states():
    eeg = EEG()
    sources = eeg.demo()
    assert len(sources) == 48
    assert len({s.subject for s in sources}) == 24
    rest, work = (eeg.load(s) for s in sources[:2])
    assert (rest.label, work.label) == (("rest",), ("task",))
    assert rest.subject == work.subject == "demo00"
    assert not np.array_equal(rest.signals, work.signals)
