"""Beat intervals, the record's normal beat and what is left without it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omnipatch.modalities.ecg.beats import correlation, cut_beats, find_beats, hand_features, residual
from omnipatch.modalities.ecg.features import RHYTHM_FEATURES, rhythm_features

SFREQ_HZ = 120.0


def column(features: np.ndarray, name: str) -> np.ndarray:
    return features[:, RHYTHM_FEATURES.index(name)]


def regular(n: int = 60, rr_s: float = 0.8) -> np.ndarray:
    return 1.0 + rr_s * np.arange(n)


def wave(t: np.ndarray, width: float = 0.03, sign: float = 1.0) -> np.ndarray:
    return sign * np.exp(-0.5 * (t / width) ** 2)


def record(r_s: np.ndarray, odd: np.ndarray) -> np.ndarray:
    """[2, sample]: a narrow wave at every R mark, a wide inverted one where `odd`."""
    t = np.arange(round((r_s[-1] + 2) * SFREQ_HZ)) / SFREQ_HZ
    lead = sum(wave(t - r, 0.06, -1.5) if wide else wave(t - r) for r, wide in zip(r_s, odd, strict=True))
    return np.stack([lead, 0.5 * lead]).astype(np.float32)


def test_ratios_of_a_steady_rhythm_are_zero():
    features = rhythm_features(regular())
    ratios = [i for i, name in enumerate(RHYTHM_FEATURES) if "over" in name]
    np.testing.assert_allclose(features[:, ratios], 0, atol=1e-5)
    np.testing.assert_allclose(column(features, "rr_before"), np.log(0.8), atol=1e-5)


def test_a_premature_beat_is_early_by_every_measure():
    r_s = regular()
    r_s[30] -= 0.3
    features = rhythm_features(r_s)
    for name in ("near_mean", "local_mean", "record_mean", "local", "record", "after", "previous"):
        early = column(features, f"rr_before_over_{name}")
        assert early.argmin() == 30, name
    assert column(features, "rr_after_over_record_mean").argmax() == 30


def test_means_see_the_ectopic_majority_that_medians_do_not():
    """Three in four beats come early and the fourth after a pause, as in MIT-BIH 232."""
    rr = np.tile([0.7, 0.7, 0.7, 2.0], 40)
    features = rhythm_features(np.cumsum(rr))
    early = slice(41, 43)
    np.testing.assert_allclose(column(features, "rr_before_over_record")[early], 0, atol=1e-5)
    assert (column(features, "rr_before_over_record_mean")[early] < -0.3).all()
    assert (column(features, "rr_before_over_local_mean")[early] < -0.3).all()


@given(st.lists(st.floats(0.3, 1.8), min_size=2, max_size=60), st.floats(0.7, 1.4), st.floats(0, 1000))
def test_ratios_do_not_depend_on_the_unit_or_origin_of_time(rr, scale, shift):
    r_s = np.cumsum(rr)
    ratios = [i for i, name in enumerate(RHYTHM_FEATURES) if "over" in name]
    there, here = rhythm_features(shift + scale * r_s), rhythm_features(r_s)
    np.testing.assert_allclose(there[:, ratios], here[:, ratios], atol=2e-3)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_beats_are_described_too(n):
    r_s = regular(n)
    assert rhythm_features(r_s).shape == (n, len(RHYTHM_FEATURES))
    x = np.random.default_rng(0).normal(size=(2, 600)).astype(np.float32)
    hand = hand_features(find_beats(x, r_s, SFREQ_HZ))
    assert len(hand) == n
    assert np.isfinite(hand).all()


def test_cut_beats_are_interpolated_between_samples():
    x = np.arange(600, dtype=np.float32)[None]
    window = cut_beats(x, np.array([2.0025]), SFREQ_HZ)[0, 0]
    np.testing.assert_allclose(np.diff(window), 1.0, atol=1e-3)
    assert window[round(0.4 * SFREQ_HZ)] == pytest.approx(2.0025 * SFREQ_HZ, abs=1e-3)


def test_correlation_is_numpys_and_zero_for_a_flat_side():
    a, b = np.random.default_rng(0).normal(size=(2, 5, 40))
    expected = [np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(correlation(a, b), expected, rtol=1e-4)
    assert correlation(np.ones(9), np.arange(9.0)) == 0


def test_the_normal_beat_is_the_one_of_the_late_beats():
    r_s, odd = regular(90), np.zeros(90, bool)
    odd[5::4] = True
    r_s[odd] -= 0.25
    beats = find_beats(record(r_s, odd), r_s, SFREQ_HZ)
    t = np.arange(beats.normal.shape[1]) / SFREQ_HZ - 0.4
    near = np.abs(t) < 0.1
    np.testing.assert_allclose(beats.normal[0, near], wave(t)[near], atol=0.12)


def test_the_normal_beat_is_not_the_ectopic_majority():
    """Three in four beats come early and the fourth after a pause, as in MIT-BIH 232."""
    odd = np.tile([True, True, True, False], 30)
    r_s = np.cumsum(np.where(odd, 0.7, 2.0))
    beats = find_beats(record(r_s, odd), r_s, SFREQ_HZ)
    t = np.arange(beats.normal.shape[1]) / SFREQ_HZ - 0.4
    near = np.abs(t) < 0.1
    np.testing.assert_allclose(beats.normal[0, near], wave(t)[near], atol=0.12)


def test_what_is_left_is_what_differs_from_the_normal_beat():
    r_s, odd = regular(60), np.zeros(60, bool)
    odd[[20, 40]] = True
    x = record(r_s, odd)
    x[1, :50] = np.nan
    rest = residual(x, find_beats(x, r_s, SFREQ_HZ))
    assert np.isnan(rest[1, :50]).all()
    size = np.abs(cut_beats(rest, r_s, SFREQ_HZ)[:, 0]).max(axis=1)
    assert set(size.argsort()[-2:]) == {20, 40}
    assert size[odd].min() > 1.5
    assert np.median(size) < 0.05


def test_hand_features_survive_a_lead_that_is_flat_or_missing():
    r_s, odd = regular(50), np.zeros(50, bool)
    x = record(r_s, odd)
    for broken in (0.0, np.nan):
        x[1] = broken
        hand = hand_features(find_beats(x, r_s, SFREQ_HZ))
        assert np.isfinite(hand).all()
