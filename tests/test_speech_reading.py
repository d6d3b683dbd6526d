"""Audio files of every format and kind: what is read, which stretch of it, and what is refused in one sentence."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.crop import crop
from omnipatch.core.errors import CorruptFileError, InputError
from omnipatch.modalities.speech import reading
from omnipatch.modalities.speech.quality import channel_quality, is_silent
from omnipatch.modalities.speech.reading import read_audio
from speech_kit import FORMATS, RATE_HZ, chirp, tone, write

LOSSLESS = (".wav", ".flac")


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_its_samples_back(tmp_path, suffix):
    x = chirp()
    found = read_audio(write(tmp_path / f"x{suffix}", x))
    assert (found.sensors, found.sfreq_hz, found.unit, found.record) == (("mono",), RATE_HZ, "FS", "x")
    assert found.signals.dtype == np.float32
    assert found.signals.shape == (1, RATE_HZ)
    inner = slice(1000, -1000)  # lossy codecs smear the edges
    if suffix in LOSSLESS:
        np.testing.assert_allclose(found.signals[0], x, atol=2**-15)
    else:
        assert np.corrcoef(found.signals[0, inner], x[inner])[0, 1] > 0.98


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_stretch_is_what_the_whole_file_holds_there(tmp_path, suffix):
    path = write(tmp_path / f"x{suffix}", chirp(2.0))
    whole, part = read_audio(path), read_audio(path, 0.75, 1.5)
    np.testing.assert_allclose(part.signals, whole.signals[:, 12_000:24_000], atol=1e-6)


@given(st.floats(0, 1.9), st.floats(0.01, 1.0))
@settings(max_examples=30, deadline=None)
def test_reading_a_stretch_is_cropping_the_whole(tmp_path_factory, start, length):
    path = tmp_path_factory.getbasetemp() / "crop.flac"
    if not path.exists():
        write(path, chirp(2.0))
    stop = start + length
    part = read_audio(path, start, stop)
    cut = crop(read_audio(path), start, stop)
    np.testing.assert_array_equal(part.signals, cut.signals)


def test_only_the_stretch_is_read(tmp_path, monkeypatch):
    path = write(tmp_path / "long.wav", tone(60.0))
    taken = []
    plain = soundfile.SoundFile.read

    def counted(self, *args, **options):
        block = plain(self, *args, **options)
        taken.append(len(block))
        return block

    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    read_audio(path, 30.0, 31.0)
    assert sum(taken) == RATE_HZ


@pytest.mark.parametrize(
    ("channels", "names"), [(2, ("left", "right")), (8, tuple(f"channel {i}" for i in range(1, 9)))]
)
def test_channels_have_names(tmp_path, channels, names):
    x = np.stack([(i + 1) / 10 * tone(0.1) for i in range(channels)])
    found = read_audio(write(tmp_path / "x.wav", x, subtype="FLOAT"))
    assert found.sensors == names
    np.testing.assert_allclose(found.signals, x)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 44_100, 192_000])
def test_any_rate_is_read_as_it_is(tmp_path, rate_hz):
    found = read_audio(write(tmp_path / "x.flac", tone(0.2, rate_hz=rate_hz), rate_hz))
    assert (found.sfreq_hz, found.signals.shape[1]) == (rate_hz, round(0.2 * rate_hz))


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_any_width_of_sample_is_full_scale(tmp_path, subtype):
    found = read_audio(write(tmp_path / "x.wav", tone(), subtype=subtype))
    np.testing.assert_allclose(found.signals[0], tone(), atol=0.01)


def test_numbers_that_are_not_finite_are_missing(tmp_path):
    x = tone()
    x[100], x[200], x[300] = np.nan, np.inf, -np.inf
    found = read_audio(write(tmp_path / "x.wav", x, subtype="FLOAT"))
    assert np.flatnonzero(np.isnan(found.signals[0])).tolist() == [100, 200, 300]


class TestRefused:
    @pytest.mark.parametrize("suffix", FORMATS)
    @pytest.mark.parametrize("share", [0.4, 0.95])
    def test_a_truncated_file(self, tmp_path, suffix, share):
        raw = write(tmp_path / f"x{suffix}", chirp(3.0)).read_bytes()
        (tmp_path / f"cut{suffix}").write_bytes(raw[: int(share * len(raw))])
        with pytest.raises(CorruptFileError, match="cut") as caught:
            read_audio(tmp_path / f"cut{suffix}")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
    def test_an_ogg_file_of_many_pages_that_lacks_its_last(self, tmp_path, subtype):
        """Cut at a page, inside one, inside its header: to libsndfile all of these are shorter sounds."""
        noise = 0.1 * np.random.default_rng(0).standard_normal(16_000 * 20).astype(np.float32)
        raw = write(tmp_path / "x.ogg", noise, subtype=subtype).read_bytes()
        assert read_audio(tmp_path / "x.ogg").signals.shape[1] == len(noise)
        last = raw.rfind(b"OggS")
        assert raw.count(b"OggS") > 3
        for size in (len(raw) // 2, last, last + 3, last + 20, last + 27, len(raw) - 1):
            (tmp_path / "cut.ogg").write_bytes(raw[:size])
            with pytest.raises(CorruptFileError, match="ends early"):
                read_audio(tmp_path / "cut.ogg")

    def test_truncated_says_how_much_is_there(self, tmp_path):
        raw = write(tmp_path / "x.wav", tone()).read_bytes()
        (tmp_path / "x.wav").write_bytes(raw[:-1000])
        with pytest.raises(CorruptFileError, match="ends early, got 31000 bytes of samples, expected 32000 bytes"):
            read_audio(tmp_path / "x.wav")

    def test_garbage_nothing_and_absence(self, tmp_path):
        (tmp_path / "empty.wav").touch()
        (tmp_path / "noise.mp3").write_bytes(np.random.default_rng(0).bytes(4096))
        for name, words in (("empty.wav", "cannot be read as audio"), ("noise.mp3", "as audio"), ("no.wav", "no such")):
            with pytest.raises(CorruptFileError, match=words):
                read_audio(tmp_path / name)

    @pytest.mark.parametrize(
        ("head", "words"),
        [
            (b"", "got an empty file; copy it again"),
            (b"\0\0\0 ftypM4A \0\0\0\0", r"got MPEG-4.*; convert it: ffmpeg -i"),
            (b"\x1a\x45\xdf\xa3" + bytes(60), r"got Matroska or WebM; convert it"),
            (b"#!AMR\n" + bytes(60), r"got AMR; convert it"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", r"Git LFS.*; fetch.*git lfs pull"),
            (b"<html>404</html>" * 9, r"not recognised.*; copy it again.*, or convert it"),
        ],
    )
    def test_what_is_no_sound_is_named_with_a_remedy(self, tmp_path, head, words):
        (tmp_path / "x.wav").write_bytes(head)
        with pytest.raises(CorruptFileError, match=f"x.wav: cannot be read as audio, .*{words}"):
            read_audio(tmp_path / "x.wav")

    def test_a_file_without_samples(self, tmp_path):
        with pytest.raises(CorruptFileError, match="no samples"):
            read_audio(write(tmp_path / "x.wav", np.zeros(0, np.float32)))

    def test_a_stretch_outside(self, tmp_path):
        path = write(tmp_path / "x.wav", tone())
        for start, stop in ((1.0, None), (0.5, 0.5), (-1.0, None)):
            with pytest.raises(InputError, match="inside 0 to 1 s"):
                read_audio(path, start, stop)

    def test_an_implausible_rate(self, tmp_path):
        with pytest.raises(CorruptFileError, match="implausible rate, got 10 Hz"):
            read_audio(write(tmp_path / "x.wav", tone(), 10))

    def test_raw_samples(self, tmp_path):
        (tmp_path / "x.raw").write_bytes(b"\0" * 100)
        with pytest.raises(InputError, match="without a header"):
            read_audio(tmp_path / "x.raw")

    def test_more_than_fits(self, tmp_path, monkeypatch):
        monkeypatch.setattr(reading, "_MOST_SAMPLES", 10_000)
        path = write(tmp_path / "x.wav", tone())
        with pytest.raises(InputError, match="start_s and stop_s"):
            read_audio(path)
        assert read_audio(path, 0.0, 0.5).signals.shape == (1, 8000)

    def test_without_soundfile_the_extra_is_named(self, tmp_path, monkeypatch):
        path = write(tmp_path / "x.wav", tone())
        monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
        with pytest.raises(InputError, match=r"omnipatch\[speech\]"):
            read_audio(path)


def test_a_recorder_on_a_pipe_could_not_know_the_length(tmp_path):
    raw = bytearray(write(tmp_path / "x.wav", tone()).read_bytes())
    at = raw.index(b"data") + 4
    raw[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    (tmp_path / "x.wav").write_bytes(raw)
    assert read_audio(tmp_path / "x.wav").signals.shape == (1, RATE_HZ)


def test_one_sample_is_a_recording(tmp_path):
    assert read_audio(write(tmp_path / "x.wav", np.array([0.5], np.float32))).signals.shape == (1, 1)


class TestQuality:
    def test_good_sound_has_no_fault(self):
        loud = np.random.default_rng(0).normal(size=16_000).clip(-4, 4) / 4.1
        assert channel_quality(np.stack([tone(), loud.astype(np.float32)]), ("left", "right")) == {}

    @pytest.mark.parametrize(
        ("x", "words"),
        [
            (np.zeros(1000), "silent"),
            (np.full(1000, 0.3), "silent"),
            (np.full(1000, np.nan), "no finite sample"),
            (np.clip(3 * tone(), -0.5, 0.5), "clipped, "),
            (tone(size=0.01) + 0.5, "constant offset of 0.5"),
            (np.where(np.arange(16_000) < 4000, np.nan, tone()), "25 % of the samples are missing"),
        ],
    )
    def test_each_fault_is_named(self, x, words):
        assert words in channel_quality(np.atleast_2d(x), ("mono",))["mono"]

    def test_the_last_bit_is_not_silence(self):
        assert not is_silent(np.array([0.0, 2**-15, 0.0]))
