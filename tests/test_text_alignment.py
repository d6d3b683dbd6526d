"""Losses between signals and texts, the composition `report`, and what it learns."""

import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("transformers")

from omnipatch import InputError
from omnipatch.core.blocks.alignment import ReportContrast, SentenceContrast, pair_scores, symmetric_cross_entropy
from omnipatch.core.blocks.targets import Request
from omnipatch.core.blocks.text_targets import TextTarget
from omnipatch.core.blocks.views import IndexSet, View
from omnipatch.core.objective import Objective
from text_kit import SPEC, TEXTS, report_objective, signals, small_encoder


def slow_scores(tokens, token_valid, sentences, sentence_valid, attention, pool):
    """The definition: one pair of rows and one sentence at a time."""
    scores = torch.zeros(len(tokens), len(sentences))
    for i in range(len(tokens)):
        t = F.normalize(tokens[i][token_valid[i]], dim=-1)
        for j in range(len(sentences)):
            found = []
            for sentence in F.normalize(sentences[j][sentence_valid[j]], dim=-1):
                share = torch.softmax(attention * t @ sentence, dim=0)
                found.append(F.cosine_similarity(share @ t, sentence, dim=0))
            scores[i, j] = torch.stack([(pool * c).exp() for c in found]).mean().log() / pool
    return scores


class TestSentenceScores:
    def test_parity_with_a_double_loop(self):
        rng = torch.Generator().manual_seed(0)
        tokens, sentences = torch.randn(4, 7, 5, generator=rng), torch.randn(4, 3, 5, generator=rng)
        token_valid, sentence_valid = torch.rand(4, 7, generator=rng) > 0.3, torch.rand(4, 3, generator=rng) > 0.4
        token_valid[:, 0], sentence_valid[:, 0] = True, True
        arguments = (tokens, token_valid, sentences, sentence_valid, 4.0, 5.0)
        torch.testing.assert_close(pair_scores(*arguments), slow_scores(*arguments), rtol=1e-4, atol=1e-5)

    def test_what_is_invalid_has_no_effect(self):
        tokens, sentences = torch.randn(2, 3, 4), torch.randn(2, 2, 4)
        valid, parts = torch.tensor([[True, True, False]] * 2), torch.tensor([[True, False]] * 2)
        one = pair_scores(tokens, valid, sentences, parts, 4.0, 5.0)
        tokens[:, 2], sentences[:, 1] = 100.0, -100.0
        torch.testing.assert_close(pair_scores(tokens, valid, sentences, parts, 4.0, 5.0), one)


class TestContrast:
    def test_equal_texts_are_no_negatives(self):
        scores = torch.tensor([[1.0, 9.0, 0.0], [9.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        alike = symmetric_cross_entropy(scores, torch.tensor([5, 5, 6]))
        one, three = (F.cross_entropy(torch.tensor([1.0, *others]), torch.tensor(0)) for others in ([0.0], [0.0, 0.0]))
        torch.testing.assert_close(alike, torch.stack([one, one, three]))
        assert symmetric_cross_entropy(scores, torch.arange(3))[0] > 5

    def test_rows_without_a_text_take_no_part(self):
        loss, prediction, words = ReportContrast(), torch.randn(4, 8), torch.randn(4, 8)
        valid = torch.tensor([True, False, True, True])
        values, weights = loss(prediction, TextTarget(words, valid, torch.arange(4)), torch.arange(4))
        kept = TextTarget(words[valid], valid[valid], torch.arange(3))
        torch.testing.assert_close(values, loss(prediction[valid], kept, torch.arange(3))[0])
        assert len(weights) == 3

    def test_the_temperature_starts_where_it_is_told_and_is_bounded(self):
        assert float(ReportContrast(temperature=0.2).scale.detach()) == pytest.approx(5.0, rel=1e-4)
        loss = SentenceContrast()
        loss.sharpness.data.fill_(50.0)
        assert float(loss.scale.detach()) <= 100.0

    def test_two_widths(self):
        target = TextTarget(torch.randn(2, 4), torch.ones(2, dtype=torch.bool), torch.arange(2))
        with pytest.raises(InputError, match="one space"):
            ReportContrast()(torch.randn(2, 8), target, torch.arange(2))


@pytest.fixture(scope="module")
def aligned():
    """The composition, overfitted to six records."""
    objective, batch = report_objective(), signals([0, 1, 2, 3, 4, 5, -1, 1])
    optimizer = torch.optim.AdamW(objective.parameters(), lr=5e-3)
    history = []
    for step in range(40):
        outcome = objective(batch, 0, step)
        optimizer.zero_grad()
        outcome.loss.backward()
        optimizer.step()
        history.append({name: float(value) for name, value in outcome.terms.items()})
    return objective, history


class TestComposition:
    def test_every_weight_learns(self):
        objective = report_objective()
        objective(signals([0, 1, 4, 5]), 0, 0).loss.backward()
        assert [name for name, p in objective.named_parameters() if p.requires_grad and p.grad is None] == []

    def test_each_scale_is_learned(self, aligned):
        _, history = aligned
        for name in ("record", "sentence", "caption"):
            assert history[-1][name] < 0.6 * history[0][name], name

    def test_other_signals_of_the_same_records_find_their_texts(self, aligned):
        objective, _ = aligned
        found = objective.alignment()
        records = [0, 1, 4, 5]
        with torch.no_grad():
            vectors = found.signals(objective.encoder(signals(records, seed=9)))
        cosine = vectors @ found.texts([TEXTS[r] for r in records]).T
        assert cosine.argmax(dim=1).tolist() == [0, 1, 2, 3]

    def test_a_batch_without_any_text_still_learns_from_the_signal(self):
        objective = report_objective()
        outcome = objective(signals([3, -1, 3]), 0, 0)
        assert float(outcome.terms["record"]) == float(outcome.terms["caption"]) == 0.0
        assert outcome.terms["reconstruction"] > 0
        outcome.loss.backward()

    def test_sentences_look_at_beats_only(self):
        objective, batch = report_objective(), signals([0, 1, 4, 5])
        target = objective.targets["sentences"]
        index = IndexSet(torch.arange(6).expand(4, -1), torch.ones(4, 6, dtype=torch.bool))
        beats = target._signal_tokens(Request(View(batch), None, None, index))
        assert beats.tolist() == [[False] * 4 + [True] * 2] * 4
        plain = signals([0, 1, 4, 5], beats=False)
        assert target._signal_tokens(Request(View(plain), None, None, index)).all()

    def test_without_texts(self):
        with pytest.raises(InputError, match="no recording has one"):
            report_objective(("", ""))

    def test_words_need_a_captioner(self):
        options = {"name": "report", "text": {"width": 16, "heads": 2}, "terms": {"caption": {"head": "token"}},
                   "heads": {"captioner": None}}  # fmt: skip
        with pytest.raises(InputError, match="captioner"):
            Objective.from_config(options, SPEC, small_encoder(), TEXTS)

    def test_an_unknown_option_of_the_text_model(self):
        with pytest.raises(InputError, match="did you mean 'vocabulary'"):
            report_objective(vocabullary=100)
