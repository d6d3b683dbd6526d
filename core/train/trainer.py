"""The Lightning Trainer a recipe asks for, and nothing it does not.

Any Trainer argument may be set under `trainer` (strategy, devices, nodes, time limit, profiler), except those whose
work this room does itself: progress, logs, checkpoints, clipping, and which windows a step gets.
"""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger

from ..config import TrainerConfig
from ..errors import InputError, nearest
from .checkpoint import AtomicCheckpointIO
from .metrics_log import MetricsCSV

# what cannot be set, as its work is done here or a resumed run would not be exact -> what to use instead
_INSTEAD = {
    "max_epochs": "trainer.max_steps",
    "min_epochs": "trainer.max_steps",
    "limit_train_batches": "trainer.max_steps or data.limit",
    "overfit_batches": "data.limit",
    "fast_dev_run": "--fast-dev-run",
    "barebones": "",
    "logger": "trainer.tensorboard",
    "log_every_n_steps": "trainer.log_every",
    "callbacks": "",
    "enable_checkpointing": "trainer.checkpoint_every",
    "plugins": "",
    "enable_progress_bar": "--quiet",
    "enable_model_summary": "--dry-run",
    "gradient_clip_val": "optimizer.clip",
    "gradient_clip_algorithm": "optimizer.clip",
    "default_root_dir": "--out",
    "num_sanity_val_steps": "",
    "use_distributed_sampler": "trainer.devices",
    "reload_dataloaders_every_n_epochs": "trainer.max_steps",
}


def build_trainer(
    config: TrainerConfig, precision: str, folder: Path, callbacks: list[Callback], keep_until: int
) -> Trainer:
    """A silent Trainer that logs to `folder`/metrics.csv, keeping rows up to step `keep_until` of an earlier part.

    Raises InputError for an argument that is unknown, reserved, or refused by Lightning.
    """
    known = inspect.signature(Trainer.__init__).parameters.keys() - {"self", *_INSTEAD}
    for key in config.extra:
        if key in _INSTEAD:
            raise InputError(f"trainer.{key} cannot be set", fix=f"use {_INSTEAD[key]}" if _INSTEAD[key] else None)
        if key not in known:
            raise InputError(f"unknown key trainer.{key}", fix=nearest(key, known))
    loggers: list[Logger] = [MetricsCSV(folder / "metrics.csv", keep_until)]
    if config.tensorboard:
        loggers.append(_tensorboard(folder))
    arguments: dict[str, Any] = {
        "max_steps": config.max_steps,
        "max_epochs": -1,
        "accelerator": config.accelerator,
        "devices": config.devices,
        "num_nodes": config.num_nodes,
        "strategy": config.strategy,
        "precision": precision,
        "accumulate_grad_batches": config.accumulate_grad_batches,
        "log_every_n_steps": config.log_every,
        "default_root_dir": folder,
        "logger": loggers,
        "callbacks": callbacks,
        "plugins": [AtomicCheckpointIO()],
        "enable_checkpointing": False,  # of Lightning's own kind
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,  # StepLoader deals the windows out
        "num_sanity_val_steps": 0,
        **config.extra,
    }
    try:
        return Trainer(**arguments)
    except (ValueError, TypeError, RuntimeError, ImportError, MisconfigurationException) as error:
        raise InputError("Lightning refuses the trainer section", got=str(error).replace("\n", " ")) from error


def _tensorboard(folder: Path) -> Logger:
    from lightning.pytorch.loggers import TensorBoardLogger

    try:
        return TensorBoardLogger(folder, name="tensorboard", version="")
    except ModuleNotFoundError as error:
        raise InputError("trainer.tensorboard needs TensorBoard", fix="pip install 'omnipatch[tensorboard]'") from error


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning's notices off: what a user needs to know, this package says itself."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
