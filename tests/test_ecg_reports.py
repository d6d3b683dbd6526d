"""Alignment of an ECG's beats with the sentences of its report, on the shipped recipe."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")

from omnipatch.core.blocks.targets import Request
from omnipatch.core.blocks.views import IndexSet, View
from omnipatch.core.data.store import WindowStore
from omnipatch.core.objective import Objective
from omnipatch.core.sequence import PatchSequence
from omnipatch.core.settings import load
from omnipatch.core.train.model_io import fresh_encoder

TINY = ("--encoder.width", 16, "--encoder.depth", 1, "--encoder.heads", 2, "--objective.text.width", 16,
        "--objective.text.depth", 1, "--objective.heads.captioner.depth", 1,
        "--objective.heads.decoder.depth", 1)  # fmt: skip
SCALES = ("[patch]", "[patch, beat]", "[patch, beat, rhythm]", "[beat, rhythm]")


def aligned(scales: str, cache) -> tuple[Objective, PatchSequence]:
    """The recipe's objective and a batch of the demo."""
    settings = load("ecg-report", [str(x) for x in (*TINY, "--modality.scales", scales)])
    store = WindowStore.prepare(settings.modality, settings.modality.demo()[:4], None, cache)
    encoder = fresh_encoder(settings.recipe.encoder, store.spec, 0)
    objective = Objective.from_config(settings.recipe.objective, store.spec, encoder, store.texts)
    objective.augment = settings.modality.augment
    return objective, store.batch(np.arange(0, len(store), 3))


@pytest.mark.parametrize("scales", SCALES)
def test_sentences_are_compared_with_beats_where_there_are_any(scales, tmp_path):
    objective, batch = aligned(scales, tmp_path)
    every = IndexSet(torch.arange(batch.n_patches).expand(len(batch), -1), batch.valid)
    tokens = objective.targets["sentences"]._signal_tokens(Request(View(batch), None, None, every))
    kinds = batch.spec.kinds
    expected = batch.valid & (batch.kind == kinds.index("beat")) if "beat" in kinds else batch.valid
    assert expected.sum(dim=1).min() > 3
    assert torch.equal(tokens, expected)


@pytest.mark.parametrize("scales", SCALES)
def test_every_scale_learns_from_what_was_written(scales, tmp_path):
    objective, batch = aligned(scales, tmp_path)
    outcome = objective(batch, 0, 0)
    assert all(torch.isfinite(value) and value > 0 for value in outcome.terms.values())
    (outcome.loss - outcome.terms["reconstruction"]).backward()
    maps = [content.project.weight for content in getattr(objective.encoder.embed, "contents", [])]
    assert len(maps) == (0 if scales == "[patch]" else len(batch.spec.kinds))
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in maps)


def test_a_beat_that_is_not_there_changes_no_sentence(tmp_path):
    """What a sentence is compared with are beats: other tokens of the row may be anything."""
    objective, batch = aligned("[patch, beat]", tmp_path)
    loss, target = objective.losses["sentence"], objective.targets["sentences"]
    words = objective.text.of(batch.record)
    states = objective.text(words)
    every = IndexSet(torch.arange(batch.n_patches).expand(len(batch), -1), batch.valid)
    made = target(Request(View(batch), None, None, every, lambda: words, lambda: states))
    prediction = torch.randn(*batch.valid.shape, made.values.shape[-1], generator=torch.Generator().manual_seed(0))
    other = torch.where((batch.kind == 0).unsqueeze(-1), 7.0, prediction)
    one, two = (loss(x, made, batch.subject)[0] for x in (prediction, other))
    torch.testing.assert_close(one, two)
