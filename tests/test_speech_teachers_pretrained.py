"""Audio models of transformers as teachers: the same states as the model's own forward pass, at known times."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omnipatch.core.errors import InputError
from omnipatch.core.signals import resample
from omnipatch.modalities.speech import Speech, SpeechConfig
from omnipatch.modalities.speech.teachers import pretrained
from omnipatch.modalities.speech.teachers.pretrained import PretrainedTeacher
from omnipatch.modalities.speech.teachers.track import Track
from speech_kit import chirp, recording
from speech_teachers_kit import FAMILIES, demo_corpus, save_teacher


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("teachers")
    return {family: save_teacher(root / family, family) for family in FAMILIES}


@pytest.fixture(scope="module")
def corpus():
    return demo_corpus(records=2)


def listener(corpus, folder, **options):
    return PretrainedTeacher(model=str(folder), **options).load(corpus)


def of_channel(name: str):
    made = demo_corpus(records=2)
    made.modality = Speech(SpeechConfig(channel=name))
    return made


def own_states(folder, sound: np.ndarray, layer: int, rate_hz: int = 16_000) -> torch.Tensor:
    """What the model says when it is used by itself."""
    import transformers

    inputs = transformers.AutoFeatureExtractor.from_pretrained(folder)(
        sound, sampling_rate=rate_hz, return_tensors="pt"
    )
    with torch.no_grad():
        model = transformers.AutoModel.from_pretrained(folder).eval()
        return model(inputs["input_values"], output_hidden_states=True).hidden_states[layer][0]


class TestStates:
    @pytest.mark.parametrize("family", FAMILIES)
    @pytest.mark.parametrize("layer", [0, 1, -1])
    def test_are_those_of_the_model(self, folders, corpus, family, layer):
        found = listener(corpus, folders[family], layer=layer).listen(recording(chirp(1.0)))
        torch.testing.assert_close(found.states, own_states(folders[family], chirp(1.0), layer))
        assert found.known.all()

    def test_recordings_come_to_the_rate_of_the_model(self, tmp_path, corpus, folders):
        folder, slow = save_teacher(tmp_path / "m", rate_hz=8_000), recording(chirp(1.0, 8_000), 8_000)
        found = listener(corpus, folder).listen(recording(chirp(1.0)))
        expected = own_states(folder, resample(chirp(1.0)[None], 16_000, 8_000)[0], -1, 8_000)
        torch.testing.assert_close(found.states, expected)
        assert found.frame_s == 0.04  # the same strides at half the rate
        found = listener(corpus, folders["Hubert"]).listen(slow)
        assert found.time_s[-1] == pytest.approx(0.9725, abs=1e-3)

    def test_loudness_is_normalised_where_the_model_says_so(self, tmp_path, corpus, folders):
        plain = save_teacher(tmp_path / "m", do_normalize=False)
        loud, quiet = recording(chirp()), recording(0.1 * chirp())
        for folder, same in ((folders["Hubert"], True), (plain, False)):
            heard = listener(corpus, folder)
            one, other = heard.listen(loud).states, heard.listen(quiet).states
            assert torch.allclose(one, other, atol=1e-2) == same

    def test_one_of_two_channels_is_heard_as_the_student_hears_it(self, folders):
        two = recording(np.stack([chirp(), 0 * chirp()]), sensors=("left", "right"))
        left = listener(of_channel("left"), folders["Hubert"]).listen(two).states
        torch.testing.assert_close(left, own_states(folders["Hubert"], chirp(), -1))
        mixed = listener(demo_corpus(records=2), folders["Hubert"]).listen(two).states
        torch.testing.assert_close(mixed, own_states(folders["Hubert"], chirp() / 2, -1))

    def test_nothing_is_trained(self, folders, corpus):
        heard = listener(corpus, folders["WavLM"])
        assert not heard.model.training
        assert not any(p.requires_grad for p in heard.model.parameters())


class TestTimes:
    @pytest.mark.parametrize("samples", [16_000, 16_079, 16_080, 31_999])
    def test_lie_in_the_middle_of_what_a_state_sees(self, folders, corpus, samples):
        """The first of 400 samples, every next one 320 further, as many as the model itself counts."""
        heard = listener(corpus, folders["Wav2Vec2"])
        found = heard.listen(recording(chirp(2.0)[:samples]))
        assert len(found.time_s) == heard.model._get_feat_extract_output_lengths(samples)
        expected = (199.5 + 320 * torch.arange(len(found.time_s), dtype=torch.float64)) / 16_000
        torch.testing.assert_close(found.time_s, expected)

    def test_pieces_of_a_long_recording_are_as_the_whole(self, tmp_path, corpus, monkeypatch):
        folder, long = save_teacher(tmp_path / "m", do_normalize=False), recording(chirp(7.3))
        whole = listener(corpus, folder, layer=0).listen(long)
        monkeypatch.setattr(pretrained, "_PIECE_S", 2.0)
        pieces = listener(corpus, folder, layer=0).listen(long)
        torch.testing.assert_close(pieces.time_s, whole.time_s)
        torch.testing.assert_close(pieces.states, whole.states, atol=1e-4, rtol=1e-4)

    def test_states_in_a_gap_are_not_known(self, folders, corpus):
        x = chirp(1.0)
        x[8000:9600] = np.nan  # 0.5 to 0.6 s
        found: Track = listener(corpus, folders["Hubert"]).listen(recording(x))
        unknown = found.time_s[~found.known]
        assert 0.49 <= float(unknown.min()) < 0.52
        assert 0.58 < float(unknown.max()) <= 0.61
        assert torch.isfinite(found.states).all()

    @pytest.mark.parametrize("samples", [400, 700, 1601])
    def test_a_very_short_sound_has_a_state(self, folders, corpus, samples):
        found = listener(corpus, folders["Hubert"]).listen(recording(chirp(1.0)[:samples]))
        assert len(found.states) >= 1
        assert float(found.time_s.max()) <= samples / 16_000 + 0.01

    def test_models_of_spectra_share_their_stretch(self, tmp_path, corpus):
        """Whisper hears thirty seconds, whatever there is; only what belongs to the sound is used."""
        import transformers

        config = transformers.WhisperConfig(
            d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
            encoder_ffn_dim=32, decoder_ffn_dim=32, vocab_size=10, pad_token_id=0, bos_token_id=1, eos_token_id=2,
            decoder_start_token_id=1, suppress_tokens=None, begin_suppress_tokens=None,
        )  # fmt: skip
        transformers.WhisperModel(config).save_pretrained(tmp_path / "m")
        transformers.WhisperFeatureExtractor().save_pretrained(tmp_path / "m")
        found = listener(corpus, tmp_path / "m").listen(recording(chirp(3.0)))
        torch.testing.assert_close(found.time_s, 0.02 * (torch.arange(150, dtype=torch.float64) + 0.5))


class TestFingerprint:
    def test_tells_weights_layers_and_normalisation_apart(self, tmp_path, folders, corpus):
        folder = folders["Hubert"]
        other = save_teacher(tmp_path / "other", seed=1)
        plain = save_teacher(tmp_path / "plain", do_normalize=False)
        made = [listener(corpus, f).fingerprint for f in (folder, other, plain)]
        made.append(listener(corpus, folder, layer=1).fingerprint)
        made.append(listener(of_channel("left"), folder).fingerprint)
        assert len(set(made)) == len(made)

    def test_is_not_the_folder(self, tmp_path, folders, corpus):
        moved = shutil.copytree(folders["Hubert"], tmp_path / "moved")
        assert listener(corpus, moved, layer=2).fingerprint == listener(corpus, folders["Hubert"]).fingerprint


class TestRefusals:
    def refused(self, corpus, folder, **options) -> str:
        with pytest.raises(InputError) as caught:
            listener(corpus, folder, **options)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def test_no_model(self, tmp_path, corpus):
        (tmp_path / "empty").mkdir()
        assert "the teacher cannot be loaded, field teacher.model" in self.refused(corpus, tmp_path / "empty")

    def test_the_hub_is_not_asked(self, corpus, monkeypatch):
        def asked(*args, **kwargs):
            raise AssertionError("the hub was asked")

        monkeypatch.setattr("socket.socket.connect", asked)
        assert "cannot be loaded" in self.refused(corpus, "nobody/nothing", local_files_only=True)

    def test_weights_that_are_not_complete(self, tmp_path, corpus, folders, monkeypatch):
        from safetensors.torch import load_file, save_file

        folder = shutil.copytree(folders["Hubert"], tmp_path / "m")
        state = load_file(folder / "model.safetensors")
        del state["encoder.layers.1.attention.q_proj.weight"]
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        monkeypatch.chdir(tmp_path)  # a long path would leave no room for the name
        assert "without encoder.layers.1.attention.q_proj.weight" in self.refused(corpus, Path("m"))

    def test_pickled_weights(self, tmp_path, corpus, folders):
        from safetensors.torch import load_file

        folder = shutil.copytree(folders["Hubert"], tmp_path / "m")
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
        assert "safetensors" in self.refused(corpus, folder)

    def test_a_model_of_something_else(self, tmp_path, corpus, folders):
        import transformers

        config = transformers.BertConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
        )
        transformers.BertModel(config).save_pretrained(tmp_path / "m")
        shutil.copy(folders["Hubert"] / "preprocessor_config.json", tmp_path / "m")
        assert "no states along the time of a sound" in self.refused(corpus, tmp_path / "m")

    def test_no_such_layer(self, corpus, folders):
        assert "no such layer, field teacher.layer, got 3, expected 0 to 2" in self.refused(
            corpus, folders["Hubert"], layer=3
        )

    def test_transformers_is_not_installed(self, corpus, folders, monkeypatch):
        monkeypatch.setitem(sys.modules, "transformers", None)
        assert "pip install 'omnipatch[speech]'" in self.refused(corpus, folders["Hubert"])
