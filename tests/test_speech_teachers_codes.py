"""Codes of a teacher as targets: the right code at each token, made once and kept, from one or several teachers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from omnipatch.core.blocks.registry import build
from omnipatch.core.blocks.targets import Request
from omnipatch.core.blocks.views import IndexSet, View
from omnipatch.core.compose import resolve_objective
from omnipatch.core.errors import InputError
from omnipatch.core.objective import Objective
from omnipatch.modalities.speech.codes import CodeTarget
from omnipatch.modalities.speech.mvq import Quantizer
from omnipatch.modalities.speech.teachers.align import aligned
from omnipatch.modalities.speech.teachers.pretrained import PretrainedListener
from speech_teachers_kit import code_target, demo_corpus, save_teacher


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> dict:
    return {"name": "transformers", "model": str(save_teacher(tmp_path_factory.mktemp("hubert")))}


@pytest.fixture
def heard(monkeypatch) -> list[str]:
    """Names of the recordings that a teacher hears."""
    names, listen = [], PretrainedListener.listen

    def counted(self, recording):
        names.append(recording.record)
        return listen(self, recording)

    monkeypatch.setattr(PretrainedListener, "listen", counted)
    return names


def codes_of(target: CodeTarget, batch) -> torch.Tensor:
    """[row, patch, code] of all tokens of a batch, NaN = none."""
    index = torch.arange(batch.n_patches).expand(len(batch), -1)
    chosen = IndexSet(index, batch.valid)
    return target(Request(View(batch), lambda *_: None, None, chosen)).values  # type: ignore[arg-type]


class TestRightCodes:
    @pytest.mark.parametrize(("align", "ratio"), [("nearest", 1), ("concat", 2)])
    def test_each_token_gets_the_code_of_what_is_heard_there(self, teacher, align, ratio):
        corpus = demo_corpus()
        target = code_target(corpus, teacher, align=align)
        listener = target.teacher.load(corpus)
        for number in range(corpus.records):
            found = corpus.record(number)
            middle = torch.from_numpy(found.start_s).unsqueeze(1) + found.batch.coords[..., 0].double()
            states, known = aligned(listener.listen(found.recording), middle, 0.04, ratio)
            expected = target.quantizer.encode(states, target.width).flatten(2)
            codes = codes_of(target, found.batch)
            there = known.all(dim=-1) & found.batch.valid
            assert codes.shape[-1] == 2 * ratio
            assert there.sum() > 5
            assert torch.equal(codes[there].long(), expected[there])

    def test_all_tokens_of_short_words_have_codes(self, teacher):
        """Also the last one, which the teacher's convolutions do not reach."""
        corpus = demo_corpus()
        target = code_target(corpus, teacher, align="concat")
        for batch in corpus():
            assert torch.isfinite(codes_of(target, batch)[batch.valid]).all()

    @pytest.mark.parametrize(("token_hz", "codes"), [(50.0, 2), (25.0, 4), (12.5, 8), (6.25, 16)])
    def test_at_any_rate_of_tokens(self, teacher, token_hz, codes):
        corpus = demo_corpus(records=3, token_hz=token_hz)
        assert codes_of(code_target(corpus, teacher, align="concat"), next(corpus())).shape[-1] == codes
        assert codes_of(code_target(corpus, teacher), next(corpus())).shape[-1] == 2

    def test_windows_that_are_not_trained_on_are_not_heard(self, teacher, heard):
        every, some = demo_corpus(), demo_corpus(windows=slice(0, 3))
        target = code_target(some, teacher)
        assert len(set(heard)) == some.records < every.records
        rest = every.store.batch(every.windows[3:])
        assert torch.isnan(codes_of(target, rest)).all()

    def test_recordings_are_heard_once_whatever_the_sample(self, teacher, heard):
        corpus = demo_corpus()
        code_target(corpus, teacher, sample=20)  # some learn the quantiser, the others are encoded only
        assert len(heard) == len(set(heard)) == corpus.records

    def test_log_mel_is_as_without_a_teacher(self):
        corpus = demo_corpus()
        one = code_target(corpus, "mel")
        two = CodeTarget(corpus.modality.spec, None, {}, codebooks=2, entries=4, rounds=1)
        two.prepare(lambda: list(corpus()))
        for batch in corpus():
            torch.testing.assert_close(codes_of(one, batch), codes_of(two, batch), equal_nan=True)
        assert one.quantizer.dim == corpus.modality.spec.patch_size

    def test_usage_counts_states(self, teacher):
        corpus = demo_corpus()
        single, double = (code_target(corpus, teacher, align=align) for align in ("nearest", "concat"))
        assert double.usage.frames == 2 * single.usage.frames

    def test_a_quantiser_of_ones_own(self, teacher, tmp_path):
        corpus = demo_corpus()
        learned = code_target(corpus, teacher)
        learned.quantizer.save(tmp_path / "q.safetensors")
        given = code_target(corpus, teacher, quantizer=str(tmp_path / "q.safetensors"))
        batch = next(corpus())
        torch.testing.assert_close(codes_of(given, batch), codes_of(learned, batch), equal_nan=True)
        assert not given.state_dict()  # nothing of it is part of a checkpoint
        Quantizer(torch.randn(2, 4, 9)).save(tmp_path / "other.safetensors")
        with pytest.raises(InputError, match="got 2 codebooks in 9 dimensions, expected 2 in 16"):
            code_target(corpus, teacher, quantizer=str(tmp_path / "other.safetensors"))


class TestKept:
    def kept(self, folder) -> set[str]:
        return {path.name for path in (folder / "codes").iterdir() if path.is_dir()}

    def test_a_second_time_nothing_is_heard(self, teacher, heard, tmp_path):
        first = code_target(demo_corpus(tmp_path), teacher)
        count = len(heard)
        again = demo_corpus(tmp_path)
        second = code_target(again, teacher)
        assert count == len(heard) == again.records
        assert second.quantizer.fingerprint == first.quantizer.fingerprint
        assert second.usage.frames == first.usage.frames
        for batch in again():
            torch.testing.assert_close(codes_of(second, batch), codes_of(first, batch), equal_nan=True)

    def test_what_they_depend_on_is_in_the_key(self, teacher, tmp_path):
        other = {**teacher, "model": str(save_teacher(tmp_path / "other", seed=1))}
        variants = (
            {}, {"windows": slice(0, 3)}, {"token_hz": 50.0}, {"normalize": "band"}, {"teacher": other},
            {"teacher": {**teacher, "layer": 1}}, {"teacher": "mel"}, {"align": "concat"}, {"codebooks": 3},
            {"entries": 5}, {"seed": 1}, {"sample": 30}, {"rounds": 2}, {"width": 2},
        )  # fmt: skip
        for made, changes in enumerate(variants, 1):
            of_corpus = {k: changes.pop(k) for k in ("windows", "token_hz", "normalize") if k in changes}
            code_target(demo_corpus(tmp_path / "cache", **of_corpus), **{"teacher": teacher, **changes})
            assert len(self.kept(tmp_path / "cache")) == made, (of_corpus, changes)

    @pytest.mark.parametrize("name", ["codes.bin", "meta.json", "centres.bin"])
    @pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
    def test_a_damaged_file_is_made_again(self, teacher, heard, tmp_path, name, damage):
        first, corpus = code_target(demo_corpus(tmp_path, records=2), teacher), demo_corpus(tmp_path, records=2)
        (folder,) = (tmp_path / "codes" / kept for kept in self.kept(tmp_path))
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 0xFF
        if damage == "gone":
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content if damage == "flip" else content[:-5])
        with pytest.warns(RuntimeWarning, match="damaged"):
            second = code_target(corpus, teacher)
        assert len(heard) == 2 * corpus.records
        batch = next(corpus())
        torch.testing.assert_close(codes_of(second, batch), codes_of(first, batch), equal_nan=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            code_target(corpus, teacher)

    def test_a_teacher_that_fails_leaves_nothing(self, teacher, tmp_path, monkeypatch):
        def fails(self, recording):
            raise InputError("no")

        with monkeypatch.context() as patch:
            patch.setattr(PretrainedListener, "listen", fails)
            with pytest.raises(InputError, match="no"):
                code_target(demo_corpus(tmp_path), teacher)
        assert self.kept(tmp_path) == set()
        code_target(demo_corpus(tmp_path), teacher)


def composition(teacher: dict) -> dict:
    """Content of hidden tokens from a pretrained teacher, and with less weight the codes of all tokens' log-mel: two
    teachers with heads, sites, losses and weights of their own."""
    return {
        "name": "pair",
        "views": {"context": {"mask": {"name": "random", "ratio": 0.5}}},
        "heads": {
            "far": {"name": "decoder", "out": 12, "width": 16, "heads": 2},
            "near": {"name": "decoder", "out": 12, "width": 16, "heads": 2},
        },
        "targets": {
            "content": {
                "name": "codes", "codebooks": 2, "entries": 4, "rounds": 1, "teacher": teacher, "align": "concat"
            },
            "sound": {"name": "codes", "codebooks": 3, "entries": 4, "rounds": 1, "teacher": {"name": "mel"}},
        },
        "terms": {
            "content": {
                "site": "target", "source": "context", "head": "far", "target": "content",
                "loss": {"name": "joint_codes", "codebooks": 4, "entries": 4, "width": 12},
            },
            "sound": {
                "site": "all", "source": "context", "head": "near", "target": "sound", "loss": "codes", "weight": 0.25
            },
        },
    }  # fmt: skip


class TestSeveralTeachers:
    def objective(self, options, corpus) -> Objective:
        torch.manual_seed(0)
        encoder = build("encoder", {"name": "transformer", "width": 16, "depth": 1, "heads": 2}, corpus.modality.spec)
        made = Objective.from_config(options, corpus.modality.spec, encoder)
        made.prepare(corpus)
        return made

    def test_learn_together_each_with_its_weight(self, teacher):
        corpus = demo_corpus()
        made, batch = self.objective(composition(teacher), corpus), next(corpus())
        outcome = made(batch, seed=0, step=0)
        torch.testing.assert_close(outcome.loss, outcome.terms["content"] + 0.25 * outcome.terms["sound"])
        adam = torch.optim.Adam([p for p in made.parameters() if p.requires_grad], lr=3e-3)
        for _ in range(25):
            adam.zero_grad()
            made(batch, seed=0, step=0).loss.backward()
            adam.step()
        after = made(batch, seed=0, step=0)
        for name in ("content", "sound"):
            assert after.terms[name] < 0.97 * outcome.terms[name]

    def test_a_joint_loss_of_another_number_of_codes_is_one_sentence(self, teacher):
        options, corpus = composition(teacher), demo_corpus()
        options["terms"]["content"]["loss"]["codebooks"] = 2
        made = self.objective(options, corpus)
        with pytest.raises(InputError, match="got width 12, 4 codebooks, expected width 12, 2 codebooks"):
            made(next(corpus()), seed=0, step=0)

    @pytest.mark.parametrize(
        ("teacher", "said"),
        [
            ("hubert", r"unknown teacher 'hubert' at objective\.targets\.content\.teacher; known names"),
            ({"name": "transformer", "model": "x"}, "did you mean 'transformers'"),
            ({"name": "transformers"}, "needs model"),
            ({"name": "transformers", "model": "x", "layers": 3}, r"content\.teacher\.layers .*did you mean 'layer'"),
            ({"name": "run", "folder": "x", "model": "y"}, "unknown option .*teacher.model of teacher 'run'"),
        ],
    )
    def test_a_mistyped_teacher_is_told_before_anything_is_read(self, teacher, said):
        with pytest.raises(InputError, match=said):
            resolve_objective(composition(teacher))

    def test_an_unknown_alignment(self, teacher):
        with pytest.raises(InputError, match="field align, got mean, expected nearest or concat"):
            code_target(demo_corpus(), teacher, align="mean")

    def test_a_listening_teacher_needs_recordings(self, teacher):
        corpus = demo_corpus()
        target = CodeTarget(corpus.modality.spec, None, {}, teacher=teacher)
        with pytest.raises(InputError, match="needs to know where they lie"):
            target.prepare(lambda: list(corpus()))
        corpus.origin = None
        with pytest.raises(InputError, match="needs the recordings themselves"):
            target.prepare(corpus)


def test_windows_of_one_recording_come_together():
    """However they were chosen."""
    corpus = demo_corpus(records=4, window_s=0.2, stride_s=0.2)
    corpus.windows = np.random.default_rng(0).permutation(corpus.windows)
    seen = []
    for number in range(corpus.records):
        found = corpus.record(number)
        assert len({*found.batch.record.tolist()}) == 1
        assert found.recording.record == corpus.store.records[int(found.batch.record[0])]
        seen += found.batch.window.tolist()
    assert sorted(seen) == sorted(corpus.store.window_ids.tolist())
