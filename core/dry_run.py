"""`--dry-run`: build everything, take one training step on one batch, say what it costs; leaves no file behind."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from .config import Recipe
from .console import Voice
from .settings import Settings

if TYPE_CHECKING:
    from torch import nn

# fewer recordings than this cannot be told apart from all of them by a look at one batch
_RECORDINGS = 4


def dry_run(settings: Settings, voice: Voice) -> None:
    """Print parameters, tokens, and memory and time of a step."""
    import numpy as np
    import torch

    from .data.sources import resolve_sources
    from .data.store import WindowStore
    from .objective import Objective
    from .train.corpus import Origin, StoreCorpus
    from .train.model_io import fresh_encoder
    from .train.precision import autocast, resolve_precision
    from .trained import load_trained

    recipe = settings.recipe
    sources = resolve_sources(settings.modality, recipe.data)
    total = len(sources)
    few = resolve_sources(settings.modality, replace(recipe.data, limit=min(total, _RECORDINGS), pretrain_with=()))
    modality = settings.modality.fitted(few.sources)
    recipe, shorter = _as_trained(settings)
    with tempfile.TemporaryDirectory() as cache:
        store = WindowStore.prepare(modality, few, few.task, cache)
        size = recipe.trainer.batch_size // recipe.trainer.accumulate_grad_batches
        batch = store.batch([i % len(store) for i in range(size)])
    origin = Origin(few.sources, lambda source: load_trained(source).models[0])
    corpus = StoreCorpus(store, modality, np.arange(min(size, len(store))), size, origin)
    known = modality.known_of_ids()
    encoder = fresh_encoder(recipe.encoder, store.spec, recipe.seed, known)
    objective = Objective.from_config(recipe.objective, store.spec, encoder, store.texts)
    if known is not None:
        objective.tell(known)
    objective.augment, objective.total_steps = modality.augment, recipe.trainer.max_steps
    objective.prepare(corpus)
    precision = resolve_precision(recipe.trainer.precision, recipe.trainer.accelerator)
    device = torch.device(
        "cuda" if precision and torch.cuda.is_available() and recipe.trainer.accelerator != "cpu" else "cpu"
    )
    objective, batch = objective.to(device), batch.to(device)
    optimizer = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad])
    seconds = []
    for step in range(2):  # the second step is not slowed by first-time set-up
        began = time.perf_counter()
        with autocast(device.type, precision):
            outcome = objective(batch, recipe.seed, step)
        outcome.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        objective.after_step(step)
        seconds.append(time.perf_counter() - began)

    valid = batch.lengths.float()
    voice.table(
        ("dry run", recipe.name),
        [
            ("modality", f"{recipe.modality['name']}, {total} recordings of {sources.name}"),
            ("task", few.task.name if few.task else "none"),
            ("window", f"{int(valid.mean())} patches of {' x '.join(map(str, store.spec.patch_shape))}"),
            ("batch", f"{len(batch)} windows, {int(valid.sum())} tokens before masking"),
            ("encoder", f"{recipe.encoder['name']}, {_millions(encoder)} parameters"),
            ("objective", f"{recipe.objective['name']}, {_millions(objective)} in all ({_trained(objective)} trained)"),
            ("loss", f"{float(outcome.loss.detach()):.4f}"),
            ("precision", precision),
            ("memory", f"{_peak_gib(device):.2f} GiB at most in this dry run"),
            ("step", f"{seconds[-1]:.2f} s, {recipe.trainer.max_steps} steps take about "
                     f"{seconds[-1] * recipe.trainer.accumulate_grad_batches * recipe.trainer.max_steps / 60:.1f} min"),
            *([("passes", shorter)] if shorter else []),
        ],
    )  # fmt: skip


def _as_trained(settings: Settings) -> tuple[Recipe, str]:
    """The recipe with the steps that a run would take, and why they are fewer, "" = they are not. Where passes are
    capped, windows are counted as a run counts them (of the first fold): in all data, not in those of one batch."""
    from .prepared import prepare
    from .train.passes import shortening, within_passes

    recipe = settings.recipe
    if not recipe.trainer.max_passes:
        return recipe, ""
    with tempfile.TemporaryDirectory() as cache:
        data = replace(recipe.data, cache=cache)
        prepared = prepare(replace(settings, recipe=replace(recipe, data=data)), Voice(quiet=True))
        windows = len(prepared.splits[0].windows(prepared.store, "pretrain"))
    capped = within_passes(recipe, windows)
    return capped, shortening(recipe, capped, windows)


def _millions(module: nn.Module) -> str:
    return f"{sum(p.numel() for p in module.parameters()) / 1e6:.2f} M"


def _trained(module: nn.Module) -> str:
    return f"{sum(p.numel() for p in module.parameters() if p.requires_grad) / 1e6:.2f} M"


def _peak_gib(device) -> float:
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)
