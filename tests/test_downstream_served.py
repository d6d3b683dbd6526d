"""Rankings in use are those of the table: the same ranker, variant and weight, and the model beside it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from omnipatch import InputError
from omnipatch.core.batching import collate
from omnipatch.core.downstream.rows import Evaluation, Row
from omnipatch.core.downstream.served import FILE, HistoryRanking, ServedBlend
from omnipatch.core.errors import CorruptFileError
from omnipatch.core.train.model_io import fresh_encoder
from omnipatch.modalities.recommender import Recommender, RecommenderConfig
from omnipatch.modalities.recommender.blend import mixed, standardised
from omnipatch.modalities.recommender.priors import Ease

BLEND = ServedBlend("ease", variant=1, variants=len(Ease.grid), weight=0.3, metric="ndcg@20", validation=0.2)


@pytest.fixture(scope="module")
def served():
    """(encoder, modality fitted to the demo market, batch of a few histories)."""
    modality = Recommender(RecommenderConfig(positions=4))
    modality = modality.fitted(modality.demo())
    encoder = fresh_encoder({"name": "set", "width": 8, "hidden": 8}, modality.spec, 0, modality.known_of_ids())
    windows = modality.windows(modality.load(modality.demo()[0]))[:5]
    return encoder.eval(), modality, collate([modality.patchify(window) for window in windows])


def test_scores_are_the_blend_of_both(served):
    encoder, modality, batch = served
    scores = HistoryRanking(encoder, modality, BLEND).of_histories(batch)
    shown = np.zeros(scores.shape, np.float32)
    for row, patch in batch.valid.nonzero().tolist():
        shown[row, batch.ids[row, patch, 0]] = 1
    ease = Ease(**Ease.grid[1]).fit(modality.catalogue.train)
    own = (encoder(batch).pooled @ encoder.id_table().T).detach().numpy()
    expected = mixed(standardised(ease.score(shown)), standardised(own), 0.3)
    assert np.allclose(scores[shown == 0], expected[shown == 0], atol=1e-4)
    assert (scores[shown == 1] == -np.inf).all()


def test_alone_means_the_model(served):
    encoder, modality, batch = served
    scores = HistoryRanking(encoder, modality, None).of_histories(batch)
    own = (encoder(batch).pooled @ encoder.id_table().T).detach().numpy()
    free = scores > -np.inf
    assert np.allclose(scores[free], own[free], atol=1e-5)
    everything = HistoryRanking(encoder, modality, replace(BLEND, weight=1.0)).of_histories(batch)
    assert np.array_equal(np.argsort(scores[0])[::-1][:9], np.argsort(everything[0])[::-1][:9])


def test_strangers_get_what_is_popular(served):
    encoder, modality, _ = served
    scores = HistoryRanking(encoder, modality, BLEND).of_strangers()
    popular = modality.catalogue.train.item_degree
    assert np.allclose(scores, (popular - popular.mean()) / popular.std(), atol=1e-5)  # on the scale of other scores


def test_nothing_is_said_to_strangers_where_nothing_is_known(served):
    encoder, _, _ = served
    blank = Recommender(RecommenderConfig(positions=4))
    with torch.no_grad(), pytest.raises(InputError, match="not known who took what"):
        HistoryRanking(encoder, blank, None).of_strangers()


def test_it_is_kept_beside_the_weights(tmp_path):
    assert ServedBlend.load(tmp_path) is None
    BLEND.save(tmp_path)
    assert ServedBlend.load(tmp_path) == BLEND
    (tmp_path / "model").mkdir()
    replace(BLEND, weight=0.5).save(tmp_path / "model")
    assert ServedBlend.load(tmp_path).weight == 0.5


def test_it_is_that_of_each_trained_model():
    rows = [Row("pretrained", "ranking", 1.0, seed, fold, {}) for fold in (0, 1) for seed in (3, 4)]
    found = Evaluation([], {}, {}, (), (), (), unit="ranking")
    for at, row in enumerate([*rows, Row("random-init", "ranking", 1.0, 3, 1, {})]):
        found.ranked.append((f"{row.model}, blended", row, None))
        chosen = {"blended_with": "ease", "variant": 1, "variants": 5, "weight": at / 10, "validation": 0.2}
        found.choices[row.key] = chosen
    blends = ServedBlend.of(found, "ndcg@20", fold=1)
    assert {seed: blend.weight for seed, blend in blends.items()} == {3: 0.2, 4: 0.3}


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"ranker": "ease"}', json.dumps({**BLEND.__dict__, "weight": 3})])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(CorruptFileError, match=FILE):
        ServedBlend.load(tmp_path)


def test_another_version_of_a_ranker_is_refused(served):
    encoder, modality, _ = served
    for other in (replace(BLEND, variants=99), replace(BLEND, ranker="never heard of")):
        with pytest.raises(InputError, match="--alone"):
            HistoryRanking(encoder, modality, other)
