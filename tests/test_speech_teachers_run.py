"""A second round: an encoder of an earlier run as the teacher, through the command line and by itself."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from cli_kit import omni
from omnipatch.core.errors import InputError
from omnipatch.core.settings import shipped_recipes
from omnipatch.core.train.model_io import load_model
from omnipatch.modalities.speech import Speech, SpeechConfig
from omnipatch.modalities.speech.teachers.own_run import RunListener, RunTeacher
from omnipatch.recipes.catalogue import header
from speech_kit import chirp, recording
from speech_teachers_kit import code_target, demo_corpus, save_teacher

SHORT = ("--fast-dev-run", "--data.limit", 24, "--encoder.width", 16, "--encoder.depth", 2, "--encoder.heads", 2,
         "--objective.targets.codes.rounds", 1, "--objective.heads.predictor.width", 16,
         "--objective.heads.predictor.heads", 2)  # fmt: skip
TEACHER = "--objective.targets.codes.teacher"


@pytest.fixture(scope="module")
def first_round(tmp_path_factory):
    """The run folder of a first round at 50 tokens a second."""
    folder = tmp_path_factory.mktemp("round1") / "run"
    done = omni("pretrain", "speech-mvq", "--out", folder, *SHORT, "--modality.token_hz", 50)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def model(first_round):
    return load_model(first_round)


class TestCommandLine:
    def second_round(self, folder, *options):
        return omni("pretrain", "speech-mvq", "--out", folder, *SHORT, *options)

    def test_a_dry_run(self, first_round):
        options = (f"{TEACHER}.name", "run", f"{TEACHER}.folder", first_round)
        done = omni("run", "speech-mvq", "--dry-run", *SHORT, *options)
        assert done.code == 0, done.err

    def test_a_teacher_that_knows_test_subjects_is_refused(self, first_round, tmp_path):
        options = (f"{TEACHER}.name", "run", f"{TEACHER}.folder", first_round, "--split.seed", 1)
        done = self.second_round(tmp_path / "run", *options)
        assert done.code == 2
        assert "this run must not be learned from" in done.complaint
        assert "test subjects" in done.complaint
        done = self.second_round(tmp_path / "named", *options, "--split.pretrain_on_test", "true")
        assert done.code == 0, done.err

    def test_a_model_folder_without_its_split_is_refused(self, first_round, tmp_path):
        shutil.copytree(first_round / "model", tmp_path / "model")
        done = self.second_round(tmp_path / "run", f"{TEACHER}.name", "run", f"{TEACHER}.folder", tmp_path / "model")
        assert done.code == 2
        assert "not known which subjects" in done.complaint

    def test_no_run(self, tmp_path):
        done = self.second_round(tmp_path / "run", f"{TEACHER}.name", "run", f"{TEACHER}.folder", tmp_path / "none")
        assert done.code == 2
        assert "no model here" in done.complaint

    @pytest.mark.parametrize("key", ["Teacher", "Again", "Finer", "Pair"])
    def test_what_the_recipe_names_is_a_command(self, first_round, tmp_path, key):
        command = header(shipped_recipes()["speech-mvq"])[1][key].partition("  ")[0]
        if "FOLDER" in command:
            command = command.replace("FOLDER", str(save_teacher(tmp_path / "teacher", depth=9)))
        command = command.replace("runs/speech-mvq", str(first_round))
        done = self.second_round(tmp_path / "run", *shlex.split(command)[3:])
        assert done.code == 0, done.err
        teacher = load_model(tmp_path / "run").recipe.objective["targets"]["codes"]["teacher"]
        assert teacher["name"] == ("run" if key == "Again" else "transformers")

    def test_a_mistyped_key_names_the_nearest(self, tmp_path):
        done = self.second_round(tmp_path / "run", f"{TEACHER}.name", "run", f"{TEACHER}.folde", tmp_path)
        assert done.code == 2
        assert "did you mean 'folder'" in done.complaint


class TestStates:
    def test_are_those_of_the_encoder_at_the_times_of_its_tokens(self, model):
        """Two windows of half a second, of which the second is found in its place."""
        heard, found = recording(chirp(1.0)), []
        short = Speech(replace(model.modality.config, window_s=0.5, stride_s=0.5))
        track = RunListener(model.encoder, short, 2).listen(heard)
        for window in short.windows(heard):
            row = short.patchify(window)
            with torch.no_grad():
                found.append(model.encoder(row, keep_layers=1).layers[0][0])
        torch.testing.assert_close(track.states, torch.cat(found), atol=1e-5, rtol=1e-5)
        assert (len(found), track.frame_s) == (2, 0.02)
        torch.testing.assert_close(track.time_s, 0.02 * (torch.arange(len(track.time_s), dtype=torch.float64) + 0.5))

    def test_layer_zero_is_the_embedding(self, model):
        row = model.modality.patchify(model.modality.windows(recording(chirp(0.4)))[0])
        expected = model.encoder.embed(row.values, row.ids, row.kind, row.valid)
        track = RunListener(model.encoder, model.modality, 0).listen(recording(chirp(0.4)))
        torch.testing.assert_close(track.states, expected[0].detach())

    def test_quiet_ends_have_no_states(self, model):
        """The teacher trims them; times are those of the recording."""
        x = np.concatenate([np.zeros(8000, np.float32), chirp(0.5), np.zeros(8000, np.float32)])
        track = RunListener(model.encoder, model.modality, -1).listen(recording(x))
        assert 0.4 < float(track.time_s[0]) < 0.5
        assert 1.0 < float(track.time_s[-1]) < 1.1

    def test_too_short_for_it_is_nothing_heard(self, model):
        slow = Speech(SpeechConfig(token_hz=6.25))
        listener = RunListener(model.encoder, slow, -1)
        assert len(listener.listen(recording(chirp(0.05))).states) == 0

    def test_fingerprint(self, model):
        other = Speech(replace(model.modality.config, trim_db=0.0))
        made = [RunListener(model.encoder, *rest).fingerprint
                for rest in ((model.modality, -1), (model.modality, 1), (other, -1))]  # fmt: skip
        assert len(set(made)) == 3
        assert RunListener(model.encoder, model.modality, 2).fingerprint == made[0]


class TestCodes:
    def test_two_states_of_the_first_round_make_a_token_of_the_second(self, model):
        corpus = demo_corpus(records=4, load=lambda folder: model)
        target = code_target(corpus, {"name": "run", "folder": "round1"}, align="concat")
        assert target.quantizer.dim == 16
        listener, found = RunListener(model.encoder, model.modality, -1), corpus.record(0)
        track = listener.listen(found.recording)
        start = round((found.start_s[0] - float(track.time_s[0]) + 0.01) / 0.02)  # states before the window
        tokens = int(found.batch.valid[0].sum()) - 1  # the last one may have a rest of a state
        expected = target.quantizer.encode(track.states[start : start + 2 * tokens], target.width)
        first, length = target._places[int(found.batch.window[0])]
        codes = target._codes[first : first + length][:tokens]
        assert torch.equal(codes.long(), expected.view(tokens, 4))

    def test_a_teacher_of_another_modality(self, model):
        corpus = demo_corpus(records=2, load=lambda folder: model)
        corpus.modality = type("Other", (Speech,), {"name": "other"})()
        with pytest.raises(InputError, match=r"of another modality, field teacher.folder, got round1 \(speech\)"):
            RunTeacher(folder="round1").load(corpus)
