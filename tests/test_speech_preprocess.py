"""Preprocessing of sound: what must not matter does not, what is missing stays missing, no sound is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.errors import InputError
from omnipatch.modalities.speech.mel import log_mel
from omnipatch.modalities.speech.preprocess import PreprocessConfig, normalized, one_channel, preprocess
from speech_kit import RATE_HZ, chirp, recording, tone, write

CONFIG = PreprocessConfig()
WHOLE = PreprocessConfig(trim_db=0.0)


@given(st.floats(-40, 5))
@settings(max_examples=20, deadline=None)
def test_loudness_does_not_matter(gain_db):
    x = chirp() + 1e-3 * np.random.default_rng(0).normal(size=RATE_HZ).astype(np.float32)
    plain, other = (preprocess(recording(g * x), CONFIG) for g in (1.0, 10 ** (gain_db / 20)))
    assert plain.start_s == other.start_s
    np.testing.assert_allclose(plain.values, other.values, atol=2e-3)


def test_a_fixed_scale_keeps_loudness():
    quiet, loud = (preprocess(recording(g * chirp()), PreprocessConfig(normalize="fixed")).values for g in (0.1, 1.0))
    np.testing.assert_allclose(np.nanmedian(loud - quiet), 2 * np.log(10) / 4, atol=0.02)


@pytest.mark.parametrize("rate_hz", [22_050, 44_100, 48_000, 192_000])
def test_any_rate_gives_the_same_spectrum(rate_hz):
    plain = preprocess(recording(chirp()), WHOLE).power
    other = preprocess(recording(chirp(rate_hz=rate_hz), rate_hz), WHOLE).power
    assert other.shape == plain.shape
    loud = plain > plain.max() - 7  # 30 dB
    assert np.abs(plain - other)[loud].mean() < 0.05


def test_bands_that_a_slow_recording_cannot_hold_are_missing():
    found = preprocess(recording(chirp(rate_hz=8000), 8000), WHOLE)
    missing = WHOLE.edges_hz[2:] > 4000
    assert 8 < missing.sum() < 13
    assert np.isnan(found.values[missing]).all()
    assert np.isfinite(found.values[~missing]).all()
    same = preprocess(recording(chirp()), WHOLE).power[~missing]
    loud = same > same.max() - 7
    assert np.abs(found.power[~missing] - same)[loud].mean() < 0.1


def test_frames_that_touch_a_gap_are_missing():
    x = chirp()
    x[4000:4800] = np.nan
    missing = np.isnan(preprocess(recording(x), WHOLE).values).all(axis=0)
    # frames of 25 ms around the centres of hops
    assert np.flatnonzero(missing).tolist() == [i for i in range(100) if abs((i + 0.5) * 160 - 4400) < 400 + 200]
    fast = np.repeat(x, 3)
    np.testing.assert_array_equal(np.isnan(preprocess(recording(fast, 48_000), WHOLE).values).all(axis=0), missing)


class TestTrimming:
    def test_quiet_ends_are_cut_and_the_start_is_kept_in_mind(self):
        x = np.concatenate([np.zeros(8000), chirp(0.5), np.zeros(4000), chirp(0.5), np.zeros(16_000)])
        found = preprocess(recording(x), CONFIG)
        assert found.start_s == pytest.approx(0.45, abs=0.021)
        assert found.values.shape[1] == pytest.approx(125 + 10, abs=4)
        np.testing.assert_array_equal(
            found.power,
            preprocess(recording(x), WHOLE).power[:, round(found.start_s * 100) :][:, : found.power.shape[1]],
        )

    def test_nothing_is_cut_from_a_steady_sound(self):
        assert preprocess(recording(tone()), CONFIG).values.shape[1] == 100

    @pytest.mark.parametrize("offset", [0.1, -0.6])
    def test_an_offset_of_the_recorder_is_no_sound(self, offset):
        """It would stand in the lowest bands of all frames, and in the quiet ends."""
        hiss = 1e-4 * np.random.default_rng(0).normal(size=3 * RATE_HZ)
        x = hiss + np.concatenate([np.zeros(RATE_HZ), 0.3 * chirp(), np.zeros(RATE_HZ)])
        plain, moved = (preprocess(recording(y), CONFIG) for y in (x, x + offset))
        assert moved.start_s == plain.start_s
        assert np.abs(moved.values - plain.values).mean() < 0.01  # the hiss has a mean of its own


class TestNormalisation:
    @given(st.integers(0, 1000), st.floats(0.5, 5.0), st.floats(-20, 5))
    @settings(max_examples=20, deadline=None)
    def test_mean_and_spread_are_taken_out(self, seed, spread, mean):
        x = spread * np.random.default_rng(seed).normal(size=(8, 50)) + mean
        x[np.random.default_rng(seed).random(x.shape) < 0.1] = np.nan
        for how, axis in (("record", None), ("band", 1)):
            found = normalized(x, how)
            assert found.dtype == np.float32
            np.testing.assert_allclose(np.nanmean(found, axis=axis), 0.0, atol=1e-4)
            np.testing.assert_allclose(np.nanstd(found, axis=axis), 1.0, atol=1e-3)

    def test_per_record_the_steady_spectrum_is_kept_and_per_band_it_is_lost(self):
        x = np.repeat(np.linspace(0, 6, 64)[:, None], 50, axis=1) + np.random.default_rng(0).normal(size=(64, 50)) / 10
        assert np.corrcoef(normalized(x, "record").mean(axis=1), np.arange(64))[0, 1] > 0.99
        np.testing.assert_allclose(normalized(x, "band").mean(axis=1), 0.0, atol=1e-5)


class TestChannels:
    def test_two_are_mixed_and_one_can_be_chosen(self):
        both = recording(np.stack([tone(), 0.5 * tone(hz=1000.0)]), sensors=("left", "right"))
        np.testing.assert_allclose(one_channel(both, "mix"), both.signals.mean(axis=0), atol=1e-7)
        np.testing.assert_array_equal(one_channel(both, "right"), both.signals[1])

    def test_what_one_channel_lacks_the_other_has(self):
        x = np.stack([tone(), tone()])
        x[0, :4000] = np.nan
        np.testing.assert_allclose(one_channel(recording(x, sensors=("left", "right")), "mix"), tone(), atol=1e-7)

    @pytest.mark.parametrize("noise", [0.0, 1e-3])
    def test_channels_that_cancel_are_no_silence_and_no_noise(self, noise):
        """A balanced microphone on a stereo input: what the mix leaves is the noise of both."""
        hiss = noise * np.random.default_rng(0).normal(size=(2, RATE_HZ)).astype(np.float32)
        both = recording(np.stack([tone(), -tone()]) + hiss, sensors=("left", "right"))
        with pytest.raises(InputError, match=r"r: the channels cancel each other.*--modality\.channel 'left'"):
            preprocess(both, CONFIG)
        assert preprocess(both, replace(CONFIG, channel="left")).values.shape == (40, 100)
        one_sided = recording(np.stack([tone(), 0 * tone()]) + hiss, sensors=("left", "right"))
        assert preprocess(one_sided, CONFIG).values.shape == (40, 100)

    def test_an_array_of_microphones_must_be_chosen_from(self):
        eight = recording(np.stack([tone()] * 8), sensors=tuple(f"channel {i}" for i in range(1, 9)))
        with pytest.raises(InputError, match=r"more than two channels, got 8, expected one or two.*'channel 1'"):
            preprocess(eight, CONFIG)
        assert preprocess(eight, replace(CONFIG, channel="channel 3")).values.shape == (40, 100)

    def test_a_channel_that_is_not_there(self):
        with pytest.raises(InputError, match=r"no such channel, field modality\.channel, got left, expected mono"):
            preprocess(recording(tone()), replace(CONFIG, channel="left"))


class TestRefused:
    @pytest.mark.parametrize("x", [np.zeros(16_000), np.full(16_000, 0.25), np.full(16_000, np.nan)])
    def test_silence(self, x):
        with pytest.raises(InputError, match="r: no sound in the recording"):
            preprocess(recording(x), CONFIG)

    @pytest.mark.parametrize("samples", [0, 1, 2, 399])
    def test_less_than_a_frame(self, samples):
        with pytest.raises(InputError, match="too short"):
            preprocess(recording(tone()[:samples]), CONFIG)

    def test_another_unit(self):
        with pytest.raises(InputError, match="wrong unit, got mV, expected FS"):
            preprocess(replace(recording(tone()), unit="mV"), CONFIG)

    def test_gaps_everywhere(self):
        x = tone()
        x[::100] = np.nan
        with pytest.raises(InputError, match="no frame without a gap"):
            preprocess(recording(x), CONFIG)


@pytest.mark.parametrize("name", ["trim_db", "trim_margin_s", "range_db"])
def test_settings_that_cannot_be(name):
    with pytest.raises(InputError, match=f"modality.{name}: must not be negative"):
        PreprocessConfig(**{name: -1.0})


def test_quantisation_and_codecs_change_little(tmp_path):
    from omnipatch.modalities.speech.reading import read_audio

    x = chirp() + 0.01 * np.random.default_rng(0).normal(size=RATE_HZ).astype(np.float32)
    plain = log_mel(x, CONFIG)
    for suffix, most in ((".wav", 0.01), (".flac", 0.01), (".ogg", 0.8), (".mp3", 0.8)):
        found = log_mel(read_audio(write(tmp_path / f"x{suffix}", x)).signals[0], CONFIG)
        assert np.abs(found - plain)[:25, 10:-10].mean() < most, suffix
