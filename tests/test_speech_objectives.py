"""Objectives of speech: each variant that a recipe's header names is a command, and one step of it is sound."""

from __future__ import annotations

import csv
import shlex
from functools import cache

import pytest
import torch
from cli_kit import omni
from omnipatch.core.batching import collate
from omnipatch.core.blocks.registry import build
from omnipatch.core.objective import Objective
from omnipatch.core.rng import RowRandom
from omnipatch.core.scope import Scope
from omnipatch.core.settings import load, shipped_recipes
from omnipatch.modalities.speech import Speech, SpeechConfig
from omnipatch.recipes.catalogue import header

RECIPES = [name for name in sorted(shipped_recipes()) if name.startswith("speech-")]
VARIANTS = [
    (name, key)
    for name in RECIPES
    for key, line in header(shipped_recipes()[name])[1].items()
    if line.startswith(f"omnipatch run {name}") and "codes.teacher" not in line  # those: test_speech_teachers_run
]


def settings_of(name, key):
    command = header(shipped_recipes()[name])[1][key].partition("  ")[0]
    return load(name, shlex.split(command)[3:])


@cache
def windows(token_hz):
    """A batch of six people who say two words each."""
    speech = Speech(SpeechConfig(token_hz=token_hz))
    sources = [source for source in speech.demo()[:36] if source.label[0] in ("ai", "ua")]
    rows = [speech.patchify(speech.windows(speech.load(source))[0]) for source in sources]
    people = sorted({source.subject for source in sources})
    return collate(rows).replace(
        window=1000 + torch.arange(len(rows)), subject=torch.tensor([people.index(s.subject) for s in sources])
    )


def corpus(batch):
    """What a target may look at, and an earlier run of finer tokens."""

    def batches():
        return iter([batch])

    batches.trained = lambda folder: (earlier(), None)
    batches.fingerprint = ""
    batches.kept = lambda kind, key, make: make()
    batches.modality, batches.device, batches.records = Speech(), "cpu", 0
    return batches


def earlier():
    return build("encoder", {"name": "transformer", "width": 32, "depth": 1, "heads": 2}, Speech().spec)


@pytest.mark.parametrize(("name", "key"), VARIANTS)
def test_a_step_of_each_variant(name, key):
    settings = settings_of(name, key)
    recipe, spec = settings.recipe, settings.modality.spec
    torch.manual_seed(0)
    objective = Objective.from_config(recipe.objective, spec, build("encoder", recipe.encoder, spec))
    objective.augment, objective.total_steps = settings.modality.augment, 10
    batch = windows(settings.modality.config.token_hz)
    objective.prepare(corpus(batch))
    outcome = objective(batch, 0, 0)
    outcome.loss.backward()
    objective.after_step(0)
    assert outcome.loss.isfinite()
    grads = [p.grad for p in objective.encoder.parameters() if p.grad is not None]
    assert grads
    assert all(g.isfinite().all() for g in grads)


def test_what_is_seen_is_mixed_and_the_codes_stay():
    modality = load("speech-mvq").modality
    batch, spec = windows(modality.config.token_hz), modality.spec
    clean = ["--objective.views.context.augment", "false"]
    loud = ["--objective.views.context.mix", "{name: log_power, spread: 4.0, share: 1.0, snr_db: [-5, -5]}"]
    plain, mixed = (
        Objective.from_config(load("speech-mvq", o).recipe.objective, spec, build("encoder", "transformer", spec))
        for o in (clean, clean + loud)
    )
    for objective in (plain, mixed):
        objective.prepare(corpus(batch))
    scopes = [Scope(o, batch, RowRandom(0, 0, batch.window)) for o in (plain, mixed)]
    codes = [scope.target(o.terms[0]) for scope, o in zip(scopes, (plain, mixed), strict=True)]
    torch.testing.assert_close(codes[0].values, codes[1].values, equal_nan=True)
    seen = [scope.view("context").batch.values for scope in scopes]
    changed = (seen[0] != seen[1])[batch.valid].any(dim=-1).float().mean()
    assert 0.1 < changed < 0.5
    assert ((seen[1] - seen[0])[batch.valid].nan_to_num() >= 0).all()  # powers add


@pytest.mark.slow
def test_contrast_learns_and_does_not_collapse(tmp_path):
    done = omni("pretrain", "speech-contrastive", "--trainer.max_steps", 40, "--trainer.monitor_every", 20,
                "--data.cache", tmp_path / "cache", "--out", tmp_path / "run")  # fmt: skip
    assert done.code == 0, done.err
    with open(tmp_path / "run" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["loss"]) < 0.8 * float(rows[0]["loss"])
    monitored = [row for row in rows if row["encoder/std"]]
    assert float(monitored[-1]["encoder/rankme"]) > 4
    assert float(monitored[-1]["encoder/cosine"]) < 0.95
