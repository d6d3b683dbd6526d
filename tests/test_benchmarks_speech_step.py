"""The comparison with wav2vec 2.0: both sides are of the size they say, hear the same clips and learn from them."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
OURS = ("speech-mae", "speech-jepa", "speech-mvq")


@pytest.fixture
def script(monkeypatch):
    """`script("name")` imports benchmarks/name.py as the scripts import each other."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture
def step_of(script, monkeypatch):
    """`step_of(side)`: a step of a small contestant, and the optimisers that were made for it."""
    benchmark, made = script("speech_step"), []
    monkeypatch.setattr(benchmark, "SIZES", {"small": (192, 1)})
    plain = torch.optim.AdamW.__init__

    def kept(self, *args, **options):
        plain(self, *args, **options)
        made.append(self)

    monkeypatch.setattr(torch.optim.AdamW, "__init__", kept)
    return lambda side: (benchmark.contestant(side, 25.0, contextlib.nullcontext, "small", 2), made)


def weights(optimizer) -> list[torch.Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


@pytest.mark.parametrize("side", [*OURS, "transformers"])
def test_a_step_learns(step_of, side):
    if side == "transformers":
        pytest.importorskip("transformers")
    step, made = step_of(side)
    before = [p.detach().clone() for p in weights(made[0])]
    step()
    moved = [bool((a != b).any()) for a, b in zip(before, weights(made[0]), strict=True)]
    assert sum(moved) > len(moved) / 2
    assert all(p.isfinite().all() for p in weights(made[0]))


def test_waveforms_are_heard_whole(script):
    benchmark = script("speech_step")
    for rate, tokens in ((25, 50), (50, 100)):
        modality = benchmark.load("speech-mae", benchmark.cut(rate)).modality
        batch = benchmark.heard(modality, benchmark.clips(3))
        assert batch.values.shape[:2] == (3, tokens)
        assert batch.valid.all()
        assert batch.values.isfinite().all()


def test_rows_as_shipped_have_the_recipes_tokens(script):
    benchmark = script("speech_step")
    for worker in (worker for name, worker in benchmark.ROWS.items() if "as shipped" in name and "speech" in name):
        side, token_hz, _ = worker.split(":")
        assert float(token_hz) == benchmark.load(side, []).modality.config.token_hz


def test_each_step_of_codes_searches_them_and_learns_no_new_centres(script, step_of, monkeypatch):
    step, _ = step_of("speech-mvq")
    codes = importlib.import_module("omnipatch.modalities.speech.codes")
    searched = []
    plain = codes.Quantizer.encode
    monkeypatch.setattr(
        codes.Quantizer, "encode", lambda self, x, *rest: searched.append(len(x)) or plain(self, x, *rest)
    )
    monkeypatch.setattr(codes, "train_quantizer", None)
    step()
    step()
    assert searched == [100, 100]  # two clips of 50 tokens


def test_the_peer_is_the_base_model_at_the_width_and_depth_asked_for(script):
    transformers = pytest.importorskip("transformers")
    with torch.device("meta"):
        base = transformers.Wav2Vec2ForPreTraining(transformers.Wav2Vec2Config())
    found = script("wav2vec2").config(768, 12).to_dict()
    assert {k: v for k, v in base.config.to_dict().items() if found[k] != v} == {}
    small = script("wav2vec2").config(192, 4)
    assert (small.hidden_size, small.num_hidden_layers, small.num_attention_heads) == (192, 4, 3)
    assert small.conv_dim == base.config.conv_dim


def test_rounds_are_timed_by_the_clock_that_is_given(script, monkeypatch, capsys):
    ticks = iter(range(100))
    monkeypatch.setattr(sys, "stdin", io.StringIO("round\nround\n"))
    script("bench").serve(lambda: None, steps=4, clock=lambda: float(next(ticks)))
    seconds = [float(line.split()[0]) for line in capsys.readouterr().out.splitlines()[1:]]
    assert seconds == [0.25, 0.25]
