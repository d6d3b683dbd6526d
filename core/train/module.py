"""One LightningModule for every objective.

Design decisions
- Automatic optimisation, so every Lightning strategy and precision works.
- Nothing depends on what happened before a step: the learning rate is a function of the step, masks and augmentations
  of (seed, step, window), torch's random state is re-seeded from (seed, step, rank), the data position is the step.
  Together with the weights, buffers and optimiser state of the checkpoint that makes a resumed run bit-equal.
- Numbers leave the device only when they are logged; the one exception is the finiteness check of each step.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from ..config import Recipe
from ..distributed import sum_across, world_size
from ..errors import InputError
from ..objective import Objective, Outcome
from ..sequence import PatchSequence
from .guard import stop_on_non_finite
from .monitor import Monitor
from .optimizer import build_adamw, learning_rate
from .seeding import seed_step

# (position in batches, rank, world size) -> endless batches from there
LoaderFactory = Callable[[int, int, int], Iterable[PatchSequence]]
OnProgress = Callable[[int, int, Mapping[str, float]], None]


class PretrainModule(LightningModule):
    """Trains an objective.

    make_loader: opens the data at a position. records: name of each record code. fingerprint: what a checkpoint must
    agree on to be continued, checked on load. on_progress: called with (steps done, total steps, metrics) when
    metrics are logged, on the main process.
    """

    def __init__(
        self,
        objective: Objective,
        recipe: Recipe,
        make_loader: LoaderFactory,
        *,
        monitor: Monitor,
        records: Sequence[str] = (),
        fingerprint: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        super().__init__()
        self.objective = objective
        self.recipe, self.make_loader, self.monitor, self.records = recipe, make_loader, monitor, records
        self.fingerprint, self.on_progress = dict(fingerprint or {}), on_progress
        self.seconds = 0.0  # of training, over all processes that continued this run
        self._rate = learning_rate(recipe.optimizer)
        self._trained = [p for p in objective.parameters() if p.requires_grad]
        self._parts: list[tuple[PatchSequence, Outcome]] = []  # of the step so far, one a backward pass
        self._norm = torch.zeros(())
        self._windows, self._since = 0, time.perf_counter()

    # ---- data -------------------------------------------------------------------------------------------------

    def train_dataloader(self) -> Iterable[PatchSequence]:
        position = self.global_step * self.recipe.trainer.accumulate_grad_batches
        return self.make_loader(position, self.trainer.global_rank, self.trainer.world_size)

    def transfer_batch_to_device(self, batch: PatchSequence, device: torch.device, dataloader_idx: int):
        return batch.to(device, non_blocking=True)

    # ---- one step ---------------------------------------------------------------------------------------------

    def on_train_start(self) -> None:
        self._since = time.perf_counter()

    def training_step(self, batch: PatchSequence, batch_idx: int) -> Tensor:
        step, part = self.global_step, batch_idx % self.recipe.trainer.accumulate_grad_batches
        seed_step(self.device, self.recipe.seed, step, part, self.global_rank)
        outcome: Outcome = self.objective(batch, self.recipe.seed, step, taps=self.monitor.due(step + 1))
        self._parts.append((batch, dataclasses.replace(outcome, loss=outcome.loss.detach())))
        self._windows += len(batch) * world_size()
        return outcome.loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        gradients = [p.grad for p in self._trained if p.grad is not None]
        self._norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
        # half precision on a GPU overflows now and then; its loss scaler skips such steps by itself
        norm = torch.zeros_like(self._norm) if self._has_scaler else self._norm
        batches, outcomes = zip(*self._parts, strict=True)
        losses = torch.stack([outcome.loss for outcome in outcomes])
        stop_on_non_finite(losses, norm, batches, self.records, self.global_step + 1)
        clip = self.recipe.optimizer.clip
        if clip and self._norm > clip:
            torch.nn.utils.clip_grads_with_norm_(self._trained, clip, self._norm, foreach=True)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer, optimizer_closure=None) -> None:
        step, total = self.global_step, self.recipe.trainer.max_steps
        for group in optimizer.param_groups:
            group["lr"] = self._rate(step, total)
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.objective.after_step(step)
        self._report(step + 1, total)
        self._parts = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        # the fused kernel unscales gradients inside its step, which clipping must see first
        return build_adamw(self.objective, self.recipe.optimizer, fused=not self._has_scaler)

    @property
    def _has_scaler(self) -> bool:
        return self.trainer.precision == "16-mixed"

    # ---- what is written down ---------------------------------------------------------------------------------

    def _report(self, done: int, total: int) -> None:
        """Log and watch, when it is time to."""
        watch = self.monitor.due(done)
        if not (watch or done == 1 or done == total or done % self.recipe.trainer.log_every == 0):
            return
        outcomes = [outcome for _, outcome in self._parts]
        metrics = self._metrics(outcomes, done - 1)
        if watch:
            metrics |= self.monitor.measure(outcomes[-1].taps, self.objective.encoder) | self.objective.facts()
        for logger in self.loggers:
            logger.log_metrics(metrics, done)
        if self.on_progress is not None and self.trainer.is_global_zero:
            self.on_progress(done, total, metrics)
        if watch:
            self.monitor.guard.check(metrics, done)

    def _metrics(self, outcomes: list[Outcome], step: int) -> dict[str, float]:
        names = ["loss", *(f"term/{name}" for name in outcomes[0].terms)]
        parts = torch.stack([torch.stack([o.loss, *o.terms.values()]).float() for o in outcomes])
        values = (sum_across(parts.mean(dim=0)) / world_size()).tolist()
        now = time.perf_counter()
        elapsed, self._since = now - self._since, now
        windows, self._windows = self._windows, 0
        self.seconds += elapsed
        return {
            **dict(zip(names, values, strict=True)),
            "lr": self._rate(step, self.recipe.trainer.max_steps),
            "grad_norm": float(self._norm),
            "windows_per_s": windows / max(elapsed, 1e-9),
            "seconds": self.seconds,
        }

    # ---- checkpoints ------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["omnipatch"] = {
            "fingerprint": self.fingerprint,
            "seconds": self.seconds + time.perf_counter() - self._since,
            "strikes": dict(self.monitor.guard.strikes),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        own = checkpoint.get("omnipatch", {})
        for key, value in self.fingerprint.items():
            found = own.get("fingerprint", {}).get(key)
            if found != value:
                raise InputError(
                    "the checkpoint belongs to another run", field=key, got=found, expected=value,
                    fix="resume with the run's own config.yaml, or start again with --overwrite",
                )  # fmt: skip
        self.seconds = own["seconds"]
        self.monitor.guard.strikes.update(own["strikes"])
