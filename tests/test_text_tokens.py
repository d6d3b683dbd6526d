"""Sentences, tokens and the text model behind a batch."""

import itertools
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch import InputError
from omnipatch.core.blocks.text_tokens import learn_tokenizer, sentence_spans, tokenize
from text_kit import SMALL_TEXT, TEXTS

transformers = pytest.importorskip("transformers")
from omnipatch.core.blocks.text import TextEncoder  # noqa: E402

OPTIONS = {key: value for key, value in SMALL_TEXT.items() if key != "name"}


@pytest.fixture(scope="module")
def text():
    return TextEncoder(TEXTS, **OPTIONS)


@pytest.mark.parametrize(
    ("report", "sentences"),
    [
        ("Sinus rhythm. Normal ECG.", ["Sinus rhythm", "Normal ECG"]),
        ("QRS 0.12 s; left axis", ["QRS 0.12 s", "left axis"]),
        ("Rhythm: sinus\nLVH", ["Rhythm: sinus", "LVH"]),
        ("...", []),
        ("", []),
    ],
)
def test_sentences(report, sentences):
    assert [report[start:stop].strip() for start, stop in sentence_spans(report)] == sentences


@given(st.text(alphabet="aB1 .;\n", max_size=40))
@settings(max_examples=30, deadline=None)
def test_spans_are_in_order_and_hold_something(report):
    spans = sentence_spans(report)
    assert all(a < b for a, b in spans)
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(spans))
    assert all(any(c.isalnum() for c in report[a:b]) for a, b in spans)


class TestTokens:
    def test_each_word_knows_its_sentence(self, text):
        tokens = text.tokenize(["Sinus rhythm. Normal ECG."])
        words = text.tokenizer.convert_ids_to_tokens(tokens.ids[0])
        first = [w for w, s in zip(words, tokens.sentence[0], strict=True) if s == 0]
        assert "sinus" in "".join(first).replace("Ġ", "")
        assert "." not in first
        assert "[CLS]" not in first
        assert tokens.sentence.max() == 1

    def test_equal_texts_have_one_code_and_empty_ones_none(self, text):
        code = text.of(torch.arange(len(TEXTS))).code
        assert code[0] == code[2]
        assert code[3] == -1
        assert len(set(code.tolist())) == 5
        assert text.pairs == 5

    def test_rows_without_a_text(self, text):
        tokens = text.of(torch.tensor([3, -1, 99]))
        assert not tokens.valid.any()
        assert (tokens.code == -1).all()
        assert torch.isfinite(text(tokens)).all()

    def test_long_texts_are_cut(self, text):
        assert text.tokenize(["sinus " * 100]).ids.shape[1] == OPTIONS["max_tokens"]

    def test_the_vocabulary_is_a_function_of_the_texts(self):
        one, two = (learn_tokenizer(texts, 300).get_vocab() for texts in (TEXTS, TEXTS[::-1]))
        assert one == two

    def test_no_text_at_all(self):
        assert len(tokenize(learn_tokenizer(["a"], 300), [], 8)) == 0


class TestModel:
    def test_padding_changes_nothing(self, text):
        alone, beside = text.of(torch.tensor([1])), text.of(torch.tensor([1, 5]))
        kept = alone.ids.shape[1]
        torch.testing.assert_close(text(alone)[0], text(beside)[0, :kept], rtol=1e-4, atol=1e-5)

    def test_it_stays_in_evaluation_mode(self, text):
        assert not text.train().model.training

    def test_a_model_of_ones_own(self, text, tmp_path):
        text.model.save_pretrained(tmp_path)
        text.tokenizer.save_pretrained(tmp_path)
        given = TextEncoder(TEXTS, model=str(tmp_path), max_tokens=24, trained_layers=0, local_files_only=True)
        assert not any(p.requires_grad for p in given.parameters())
        tokens = text.of(torch.tensor([1, 4]))
        torch.testing.assert_close(given(tokens), text(tokens), rtol=1e-4, atol=1e-5)

    def test_part_of_it_is_trained(self, text, tmp_path):
        text.model.save_pretrained(tmp_path)
        text.tokenizer.save_pretrained(tmp_path)
        given = TextEncoder(TEXTS, model=str(tmp_path), trained_layers=1)
        trained = {name for name, p in given.named_parameters() if p.requires_grad}
        assert trained
        assert all("layer.0." in name for name in trained)

    def test_weights_that_may_run_code_are_refused(self, text, tmp_path):
        text.model.save_pretrained(tmp_path)
        text.tokenizer.save_pretrained(tmp_path)
        torch.save(text.model.state_dict(), tmp_path / "pytorch_model.bin")
        (tmp_path / "model.safetensors").unlink()
        with pytest.raises(InputError, match="safetensors"):
            TextEncoder(TEXTS, model=str(tmp_path))

    def test_no_such_model(self, tmp_path):
        shutil.rmtree(tmp_path / "none", ignore_errors=True)
        with pytest.raises(InputError, match=r"objective.text.model"):
            TextEncoder(TEXTS, model=str(tmp_path / "none"), local_files_only=True)

    def test_no_text_to_read(self):
        with pytest.raises(InputError, match="no recording has one"):
            TextEncoder(["", ""], **OPTIONS)
