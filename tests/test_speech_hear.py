"""The interface of HEAR: shapes, times, and that a vector belongs to the sound at its time; codes of files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from omnipatch.core.cli import execute
from omnipatch.core.errors import InputError
from omnipatch.modalities.speech import get_scene_embeddings, get_timestamp_embeddings, load_model
from omnipatch.modalities.speech.mvq import Quantizer


def pretrain(recipe, folder):
    steps = ["--trainer.max_steps", "2", "--trainer.batch_size", "8"]
    assert execute(["pretrain", recipe, *steps, "--out", str(folder), "--quiet"]) == 0


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hear") / "run"
    pretrain("speech-mvq", folder)
    return folder


@pytest.fixture(scope="module")
def model(run):
    return load_model(run)


def tones(seconds, count=3, rate=16_000):
    time = torch.arange(round(seconds * rate)) / rate
    return torch.stack([0.3 * torch.sin(2 * torch.pi * (200 + 150 * i) * time) for i in range(count)])


@pytest.mark.parametrize("seconds", [0.2, 1.0, 2.37])
def test_every_sound_has_a_vector_at_every_time(model, seconds):
    audio = tones(seconds)
    embeddings, at = get_timestamp_embeddings(audio, model)
    times = round(seconds * 50)
    assert embeddings.shape == (3, times, model.timestamp_embedding_size)
    assert at.shape == (3, times)
    np.testing.assert_allclose(np.diff(at[0].numpy()), 20.0, atol=1e-3)
    assert 0 < float(at[0, 0]) < float(at[0, -1]) < 1000 * seconds + 10
    assert torch.isfinite(embeddings).all()
    assert (embeddings.abs().sum(dim=-1) > 0).all()
    scene = get_scene_embeddings(audio, model)
    assert scene.shape == (3, model.scene_embedding_size)
    torch.testing.assert_close(scene, embeddings.mean(dim=1))


def test_a_sound_is_the_same_alone_and_beside_others(model):
    audio = tones(1.3)
    torch.testing.assert_close(
        get_scene_embeddings(audio[1:2], model), get_scene_embeddings(audio, model)[1:2], atol=1e-5, rtol=1e-4
    )


def test_silence_is_no_error(model):
    audio = tones(1.0, 2)
    audio[1] = 0.0
    embeddings, _ = get_timestamp_embeddings(audio, model)
    assert (embeddings[1] == 0).all()
    assert (embeddings[0] != 0).any()


def test_a_change_in_the_second_window_stays_there(model):
    """Loudness is that of the whole sound, so both halves have the same one; the first is seen by the first alone."""
    one = torch.cat([tones(1.0, 1), tones(1.0, 2)[1:]], dim=1)
    other = torch.cat([tones(1.0, 1), tones(1.0, 3)[2:]], dim=1)
    a, b = (get_timestamp_embeddings(x, model)[0][0] for x in (one, other))
    # windows overlap by a frame of 25 ms, and what is normalised differs a little
    before, after = (a - b)[:40].norm(dim=1).mean(), (a - b)[60:].norm(dim=1).mean()
    assert after > 2 * before


def test_audio_of_another_shape_and_models_of_others_are_refused(model, tmp_path):
    with pytest.raises(InputError, match="shape"):
        get_scene_embeddings(torch.zeros(16_000), model)
    with pytest.raises(InputError, match="no model here"):
        load_model(tmp_path)


def write(path, seconds=1.6, seed=0):
    import soundfile

    rng = np.random.default_rng(seed)
    time = np.arange(round(16_000 * seconds)) / 16_000
    soundfile.write(
        path, 0.2 * np.sin(2 * np.pi * 300 * time * (1 + time)) + 0.02 * rng.standard_normal(len(time)), 16_000
    )
    return path


def test_codes_of_files_are_those_of_the_codebooks_beside_the_model(run, tmp_path, capsys):
    files = [write(tmp_path / f"{i}.wav", seed=i) for i in range(2)]
    target = tmp_path / "codes.npz"
    assert execute(["embed", "--from", str(run), "--codes", "--out", str(target), *map(str, files)]) == 0
    assert "tokens of 8 codes" in capsys.readouterr().out
    quantizer = Quantizer.load(run / "model/targets/codes/codebooks.safetensors")
    with np.load(target) as found:
        codes, time_s, path = found["codes"], found["time_s"], found["path"]
    assert codes.shape[1] == quantizer.codebooks
    assert codes.min() >= 0
    assert codes.max() < quantizer.entries
    for file in files:
        mine = time_s[path == str(file)]
        # windows overlap by half: each token once, in order
        np.testing.assert_allclose(np.diff(mine), 0.02, atol=1e-3)
        assert len(mine) > 50
    assert len(np.unique(codes, axis=0)) > 10


def test_a_model_without_codebooks_says_so(tmp_path, capsys):
    folder = tmp_path / "run"
    pretrain("speech-mae", folder)
    assert not (folder / "model/targets").exists()
    words = ["embed", "--from", folder, "--codes", "--out", tmp_path / "c.npz", write(tmp_path / "a.wav")]
    assert execute([str(word) for word in words]) == 2
    assert "keeps no codebooks" in capsys.readouterr().err
