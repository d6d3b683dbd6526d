"""How much of a pretraining step goes to loading data; the goal is at most 5 %.

    OMP_NUM_THREADS=2 OMNIPATCH_DATA=DIR python benchmarks/loader.py ecg-jepa --data.name mitdb

Three figures, medians over steps: reading one batch from the window cache with nothing else running, waiting for
the batch in a training loop that reads ahead, and the step itself. Any key of a recipe may follow its name.
"""

from __future__ import annotations

import statistics
import sys
import time

import torch
from omnipatch.core.data.loader import StepLoader
from omnipatch.core.data.sources import resolve_sources
from omnipatch.core.data.splits import make_splits
from omnipatch.core.data.store import WindowStore
from omnipatch.core.objective import Objective
from omnipatch.core.settings import load
from omnipatch.core.train.model_io import fresh_encoder
from omnipatch.core.train.optimizer import build_adamw
from omnipatch.core.train.precision import autocast

READS, STEPS, WARMUP = 100, 30, 3


def main(name: str, overrides: list[str]) -> None:
    settings = load(name, overrides)
    recipe, modality = settings.recipe, settings.modality
    sources = resolve_sources(modality, recipe.data)
    store = WindowStore.prepare(modality, sources, sources.task, recipe.data.cache, recipe.data.jobs)
    windows = make_splits(store, recipe.split)[0].windows(store, "pretrain")
    loader = StepLoader(store, windows, recipe.trainer.batch_size, recipe.seed)

    reading = []
    for step in range(READS):
        start = time.perf_counter()
        store.batch(loader.indices(step))
        reading.append(time.perf_counter() - start)

    objective = Objective.from_config(recipe.objective, store.spec, fresh_encoder(recipe.encoder, store.spec, 0))
    objective.augment, objective.total_steps = modality.augment, recipe.trainer.max_steps
    optimizer = build_adamw(objective, recipe.optimizer)
    waiting, stepping = [], []
    batches = iter(loader)
    for step in range(WARMUP + STEPS):
        asked = time.perf_counter()
        batch = next(batches)
        got = time.perf_counter()
        with autocast("cpu", recipe.trainer.precision):
            loss = objective(batch, recipe.seed, step, taps=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        objective.after_step(step)
        waiting.append(got - asked)
        stepping.append(time.perf_counter() - got)

    read, wait, work = (statistics.median(part) * 1e3 for part in (reading, waiting[WARMUP:], stepping[WARMUP:]))
    print(f"{sources.name}: {len(windows)} windows, batch {len(batch)} x {batch.n_patches} patches x "
          f"{store.spec.patch_size} values, {torch.get_num_threads()} threads")  # fmt: skip
    print(f"reading a batch  {read:8.2f} ms  {read / work:6.1%} of a step's computation, done beside it by a thread")
    print(f"waiting for it   {wait:8.2f} ms  {wait / (wait + work):6.1%} of a step")
    print(f"the step         {work:8.2f} ms")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(sys.argv[1], sys.argv[2:])
