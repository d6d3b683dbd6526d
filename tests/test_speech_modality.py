"""The speech adapter: the contract at every token rate, windows and labels, segments, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from omnipatch.core.config import DataConfig
from omnipatch.core.data.check import check_sources
from omnipatch.core.data.sources import resolve_sources
from omnipatch.core.data.store import WindowStore
from omnipatch.core.errors import InputError
from omnipatch.core.modality import Source
from omnipatch.core.testing import modality_checks
from omnipatch.core.testing.checks import all_checks, run_check
from omnipatch.modalities.speech import Speech, SpeechConfig
from omnipatch.modalities.speech.features import mfcc, mfcc_statistics
from scipy.fft import idct
from speech_kit import RATE_HZ, chirp, recording, tone, write

OF_TOKENS = [c.name for c in all_checks().values() if c.theme in ("patches", "patchify", "augmentation", "maskers")]
SETTINGS = {
    "50 Hz": {"token_hz": 50.0},
    "6.25 Hz": {"token_hz": 6.25, "bands": 64},
    "per band, narrow": {"normalize": "band", "sfreq_hz": 8000.0, "highest_hz": 4000.0},
}


@modality_checks(Speech)
def test_the_contract(check):
    check()


@pytest.mark.parametrize("check", OF_TOKENS)
@pytest.mark.parametrize("name", SETTINGS)
def test_the_contract_of_tokens_holds_in_other_settings(name, check):
    outcome = run_check(Speech(SpeechConfig(**SETTINGS[name])), check)
    assert outcome.state in ("passed", "skipped"), outcome.message


class TestWindows:
    def starts(self, seconds, **options):
        speech = Speech(SpeechConfig(trim_db=0.0, **options))
        return [(w.start_s, w.values.shape[2]) for w in speech.windows(recording(tone(seconds)))]

    def test_they_follow_each_other_and_a_long_rest_is_one_more(self):
        assert self.starts(4.0) == [(0.0, 200), (2.0, 200)]
        assert self.starts(4.9) == [(0.0, 200), (2.0, 200)]
        assert self.starts(5.2) == [(0.0, 200), (2.0, 200), (4.0, 120)]
        assert self.starts(4.0, stride_s=1.0) == [(0.0, 200), (1.0, 200), (2.0, 200), (3.0, 100)]

    def test_a_short_recording_is_one_short_window(self):
        assert self.starts(0.3) == [(0.0, 30)]

    def test_too_short_is_one_sentence(self):
        with pytest.raises(
            InputError, match=r"r: recording is too short, got 0\.020 s of sound, expected at least half"
        ):
            Speech(SpeechConfig(trim_db=0.0, token_hz=6.25)).windows(recording(tone(0.026)))

    def test_trimming_moves_the_start(self):
        x = np.concatenate([np.zeros(RATE_HZ), chirp()])
        (window,) = Speech().windows(recording(x))
        assert window.start_s == pytest.approx(0.95, abs=0.021)

    def test_a_task_brings_label_and_hand_features(self):
        made = replace(recording(chirp()), label=("three", "ai"))
        (plain,), (word,), (digit,) = (Speech().windows(made, task) for task in (None, "word", "digit"))
        assert (plain.label, word.label, digit.label) == (("three", "ai"), ("ai",), ("three",))
        assert plain.hand is None
        assert word.hand.shape == (80,)


class TestSegments:
    def test_a_manifest_of_stretches_reads_only_them(self, tmp_path):
        path = write(tmp_path / "long.wav", np.concatenate([tone(2.0, 300.0), tone(2.0, 3000.0)]))
        sources = [Source(path, f"r{i}", "s", start_s=2.0 * i, stop_s=2.0 * i + 1.5) for i in range(2)]
        speech = Speech()
        low, high = (speech.load(s) for s in sources)
        assert (low.signals.shape, high.signals.shape) == ((1, 24_000), (1, 24_000))
        assert (high.record, high.subject) == ("r1", "s")
        store = WindowStore.prepare(speech, sources, None, tmp_path / "cache")
        assert store.start_s.tolist() == [0.0, 2.0]
        assert store.lengths.tolist() == [38, 38]


def test_bad_files_are_counted_and_the_rest_goes_on(tmp_path):
    good = write(tmp_path / "good.wav", chirp())
    write(tmp_path / "silent.flac", np.zeros(RATE_HZ, np.float32))
    write(tmp_path / "clipped.wav", np.clip(5 * tone(), -0.9, 0.9))
    write(tmp_path / "array.wav", np.stack([tone()] * 8))
    write(tmp_path / "one.wav", np.ones(1, np.float32) / 2)
    write(tmp_path / "fast.flac", chirp(rate_hz=192_000), 192_000)
    (tmp_path / "cut.wav").write_bytes(good.read_bytes()[:-5000])
    (tmp_path / "empty.mp3").touch()
    sources = [Source(p, p.stem, p.stem) for p in sorted(tmp_path.iterdir())]
    store = WindowStore.prepare(Speech(), sources, None, tmp_path / "cache")
    assert sorted(store.records) == ["clipped", "fast", "good"]
    assert list(store.quality) == ["clipped"]
    reasons = {entry.record: entry.reason for entry in store.skipped}
    words = {"array": "more than two channels", "cut": "ends early", "empty": "cannot be read", "one": "too short",
             "silent": "no sound"}  # fmt: skip
    assert set(reasons) == set(words)
    assert all(word in reasons[name] for name, word in words.items())


def test_a_check_of_the_files_meets_what_a_run_would_leave_out(tmp_path):
    write(tmp_path / "array.wav", np.stack([chirp()] * 4))
    write(tmp_path / "balanced.wav", np.stack([chirp(), -chirp()]))
    write(tmp_path / "good.wav", np.stack([chirp(), chirp()]))
    found = check_sources(Speech(), [Source(p, p.stem, p.stem) for p in sorted(tmp_path.iterdir())])
    said = {record: reason for record, _, reason in found.doubts()}
    assert said.keys() == {"array", "balanced"}
    assert "more than two channels; choose one by --modality.channel 'channel 1'" in said["array"]
    assert "the channels cancel each other; choose one by --modality.channel 'left'" in said["balanced"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window_s": 0.0}, "must be positive"),
        ({"window_s": 0.1, "token_hz": 6.25}, "a token is longer than a window"),
        ({"token_hz": 33.0}, "no whole number of frames"),
        ({"highest_hz": 9000.0}, "do not fit the rate"),
    ],
)
def test_bad_settings_are_one_sentence(options, words):
    with pytest.raises(InputError, match=words):
        SpeechConfig(**options)


class TestHandFeatures:
    def test_cepstra_of_a_cosine_over_the_bands_are_one_coefficient(self):
        shape = idct(np.eye(40)[3] * 7.0, norm="ortho")
        np.testing.assert_allclose(
            mfcc(np.stack([shape, shape], axis=1)), np.outer(7.0 * np.eye(20)[3], [1, 1]), atol=1e-9
        )

    def test_statistics_by_hand(self):
        power = np.random.default_rng(0).normal(size=(40, 30))
        c, found = mfcc(power), mfcc_statistics(power)
        steps = np.diff(c, axis=1)
        expected = np.concatenate([c.mean(1), c.std(1), steps.mean(1), steps.std(1)])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("frames", [0, 1])
    def test_none_or_one_frame(self, frames):
        found = mfcc_statistics(np.ones((40, frames)))
        assert found.shape == (80,)
        assert np.isfinite(found).all()

    def test_missing_bands_leave_finite_features(self):
        power = np.random.default_rng(0).normal(size=(40, 30))
        power[30:] = np.nan
        power[:, 4] = np.nan
        assert np.isfinite(mfcc_statistics(power)).all()


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "classes", "subjects"), [("fsdd", 10, 6), ("als", 2, 64)])
def test_real_sets_become_tokens(name, classes, subjects):
    speech = Speech()
    found = resolve_sources(speech, DataConfig(name=name))
    assert len({s.subject for s in found}) == subjects
    assert len({s.label[0] for s in found}) == classes
    for source in list(found)[:: len(found) // 12]:
        made = speech.load(source)
        assert not speech.quality(made)
        for window in speech.windows(made, found.task.name):
            tokens = speech.patchify(window)
            assert tokens.valid.float().mean() > 0.7
            missing = tokens.values[tokens.valid].isnan().view(-1, 40, 4).all(dim=0)[:, 0]
            # 8 kHz recordings say nothing about the upper bands
            assert int(missing.sum()) == (11 if name == "fsdd" else 0)
