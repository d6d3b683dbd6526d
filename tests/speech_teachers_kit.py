"""Tiny teachers with random weights, and a small corpus of demo recordings to hear."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from omnipatch.core.blocks.corpus import Corpus
from omnipatch.core.data.store import WindowStore
from omnipatch.core.train.corpus import Origin, StoreCorpus
from omnipatch.core.train.model_io import Model
from omnipatch.modalities.speech import Speech, SpeechConfig
from omnipatch.modalities.speech.codes import CodeTarget

FAMILIES = ("Hubert", "Wav2Vec2", "WavLM")
_SIZE = {
    "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2, "feat_extract_norm": "layer",
}  # fmt: skip


def save_teacher(
    folder: Path, family: str = "Hubert", seed: int = 0, rate_hz: int = 16_000, depth: int = 2, **extractor
) -> Path:
    """A model of a family in a folder, as `save_pretrained` leaves it. Returns the folder."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(seed)
    model = getattr(transformers, f"{family}Model")(
        getattr(transformers, f"{family}Config")(num_hidden_layers=depth, **_SIZE)
    )
    model.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=rate_hz, **extractor).save_pretrained(folder)
    return folder


def demo_corpus(cache: Path | None = None, records: int = 6, windows: slice = slice(None), **options) -> StoreCorpus:
    """Words of the demo set. windows: which of them; options: of SpeechConfig and of `Origin.load`."""
    load = options.pop("load", _nothing_to_load)
    speech = Speech(SpeechConfig(**options))
    sources = speech.demo()[:records]
    store = WindowStore.prepare(speech, sources, None)
    return StoreCorpus(store, speech, np.arange(len(store))[windows], 4, Origin(sources, load), cache)


def code_target(corpus: Corpus, teacher, **options) -> CodeTarget:
    """A prepared target of small codebooks."""
    options = {"codebooks": 2, "entries": 4, "rounds": 1, **options}
    target = CodeTarget(corpus.modality.spec, None, {}, teacher=teacher, **options)
    target.prepare(corpus)
    return target


def _nothing_to_load(folder: str) -> Model:
    raise AssertionError(f"{folder} was loaded")
