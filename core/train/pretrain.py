"""Pretraining from a recipe: builds the objective, finds the checkpoint to continue from, and runs the Trainer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed as dist

from ..blocks.encoder import Encoder
from ..blocks.targets import TargetProvider
from ..blocks.text_alignment import Alignment
from ..blocks.views import pair_within_s
from ..config import Recipe
from ..data.cache import cache_folder
from ..data.items import window_labels
from ..data.loader import StepLoader
from ..distributed import is_main_process, world_size
from ..errors import InputError
from ..modality import Modality
from ..objective import Objective
from .atomic import sweep
from .checkpoint import last_checkpoint
from .corpus import Origin, StoreCorpus
from .lock import folder_lock
from .model_io import fresh_encoder
from .module import OnProgress, PretrainModule
from .monitor import Monitor
from .passes import within_passes
from .precision import device_type, resolve_precision
from .saving import Interrupted, SaveCheckpoints
from .seeding import own_random_state
from .trainer import build_trainer, quiet_lightning

if TYPE_CHECKING:
    from ..data.store import WindowStore


@dataclass(frozen=True)
class Pretrained:
    """The trained online encoder (on the CPU), training time over all resumes, steps done, and the metrics file.

    alignment: what places signals and texts in one space, where the objective has learned that.
    targets: the objective's providers of what was predicted, by name.
    """

    encoder: Encoder
    seconds: float
    steps: int
    metrics_csv: Path
    alignment: Alignment | None = None
    targets: Mapping[str, TargetProvider] = field(default_factory=dict)


def pretrain(
    recipe: Recipe,
    modality: Modality,
    store: WindowStore,
    windows: Sequence[int] | np.ndarray,
    folder: Path | str,
    resume: bool = False,
    monitor_windows: Sequence[int] | np.ndarray | None = None,
    on_progress: OnProgress | None = None,
    origin: Origin | None = None,
) -> Pretrained:
    """Train the recipe's objective on some windows of a store.

    windows: indices into the store; monitor_windows: labelled ones that are not trained on, for the online kNN.
    folder: the run folder, gets `metrics.csv` and `checkpoints/`. resume: continue from its last good checkpoint; from
    the start when there is none. origin: where the store's windows came from, for targets that look behind them. How
    many steps there are, `trainer.max_passes` may say too.

    Raises InputError (folder in use or already trained in, checkpoint of another run, impossible batch size),
    NonFiniteError, CollapseError, SaveError, and Interrupted after a signal.
    """
    folder = Path(folder)
    windows = np.asarray(windows, dtype=np.int64)
    recipe = within_passes(recipe, len(windows))
    micro = _micro_batch(recipe, len(windows))
    # only the main process of a distributed run owns the folder
    with folder_lock(folder) if is_main_process() else nullcontext(), quiet_lightning(), _process_group():
        if is_main_process():
            sweep(folder)
            sweep(folder / "checkpoints")
        start = last_checkpoint(folder / "checkpoints")
        if start is not None and not resume:
            fix = "continue with --resume or start again with --overwrite"
            raise InputError("the run folder already holds checkpoints", source=folder, got=f"step {start[0]}", fix=fix)
        precision = resolve_precision(recipe.trainer.precision, recipe.trainer.accelerator)
        objective = _build_objective(recipe, modality, store, windows, origin)
        texts = known_texts(store, windows) if objective.text is not None else []
        module = PretrainModule(
            objective,
            recipe,
            lambda position, rank, world: StepLoader(
                store,
                windows,
                micro,
                recipe.seed,
                position,
                rank,
                world,
                pair_within_s=pair_within_s(objective.views),
                length_buckets=recipe.trainer.length_buckets,
                most_patches=recipe.trainer.most_patches,
            ),
            monitor=Monitor(recipe.trainer.monitor_every, _probe(store, monitor_windows), precision),
            records=store.records,
            fingerprint=_fingerprint(recipe, store.window_ids[windows], texts),
            on_progress=on_progress,
        )
        saving = SaveCheckpoints(
            folder / "checkpoints",
            recipe.trainer.checkpoint_every,
            recipe.trainer.keep_checkpoints,
            recipe.trainer.log_every,
        )
        trainer = build_trainer(recipe.trainer, precision, folder, [saving], keep_until=start[0] if start else 0)
        with own_random_state(device_type=device_type(recipe.trainer.accelerator)):
            trainer.fit(module, ckpt_path=start[1] if start else None)
    steps = trainer.global_step
    if saving.signal:
        raise Interrupted(
            f"stopped by a signal after step {steps} of {recipe.trainer.max_steps}; the checkpoint is saved, continue "
            f"with --resume",
            saving.signal,
        )
    objective = module.objective.cpu().eval()
    return Pretrained(
        objective.encoder, module.seconds, steps, folder / "metrics.csv", objective.alignment(),
        dict(objective.targets.items()),  # type: ignore[arg-type]
    )  # fmt: skip


def _micro_batch(recipe: Recipe, available: int) -> int:
    """Windows of all ranks in one forward pass."""
    config = recipe.trainer
    if available == 0:
        raise InputError("there is nothing to pretrain on: no window is left", fix="check data and split")
    micro, rest = divmod(config.batch_size, config.accumulate_grad_batches)
    if rest or micro < 1:
        raise InputError(
            "trainer.batch_size must be a multiple of trainer.accumulate_grad_batches",
            got=f"{config.batch_size} and {config.accumulate_grad_batches}",
        )
    return micro


def _build_objective(
    recipe: Recipe, modality: Modality, store: WindowStore, windows: np.ndarray, origin: Origin | None
) -> Objective:
    known = modality.known_of_ids()
    encoder = fresh_encoder(recipe.encoder, store.spec, recipe.seed, known)
    with own_random_state(recipe.seed):
        objective = Objective.from_config(recipe.objective, store.spec, encoder, known_texts(store, windows))
    if known is not None:
        objective.tell(known)
    objective.augment = modality.augment
    objective.total_steps = recipe.trainer.max_steps
    cache, device = cache_folder(recipe.data.cache), device_type(recipe.trainer.accelerator)
    objective.prepare(StoreCorpus(store, modality, windows, recipe.trainer.batch_size, origin, cache, device))
    return objective


def known_texts(store: WindowStore, windows: np.ndarray) -> list[str]:
    """[record code] texts of the records that these windows come from; what others say must not be learned from."""
    seen = {int(code) for code in store.record_code[windows]}
    return [text if code in seen else "" for code, text in enumerate(store.texts)]


def _probe(store: WindowStore, windows: Sequence[int] | np.ndarray | None, most: int = 512):
    """Windows for the online kNN, one label each (`window_labels`): at most so many, evenly spaced over the given."""
    if windows is None or len(windows) == 0:
        return None
    chosen = np.asarray(windows)[np.unique(np.linspace(0, len(windows) - 1, most).round().astype(int))]
    return store.batch(chosen).replace(label=torch.from_numpy(window_labels(store, chosen)))


def _fingerprint(recipe: Recipe, window_ids: np.ndarray, texts: Sequence[str]) -> dict[str, str]:
    """What must not change between a checkpoint and its resume. The number of steps and of devices may."""
    data = hashlib.sha256(np.ascontiguousarray(window_ids, dtype=np.int64).tobytes()).hexdigest()[:16]
    written = {"texts": hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]} if texts else {}
    return {
        **written,
        "encoder": json.dumps(recipe.encoder, sort_keys=True, default=str),
        "objective": json.dumps(recipe.objective, sort_keys=True, default=str),
        "seed": str(recipe.seed),
        "trainer.batch_size": str(recipe.trainer.batch_size),
        "trainer.length_buckets": str(recipe.trainer.length_buckets),
        "trainer.most_patches": str(recipe.trainer.most_patches),
        "trainer.accumulate_grad_batches": str(recipe.trainer.accumulate_grad_batches),
        "data": f"{len(window_ids)} windows, {data}",
    }


@contextmanager
def _process_group() -> Iterator[None]:
    """Leave the process group that Lightning joins: what runs after training on one rank must not wait for others."""
    joined = dist.is_available() and dist.is_initialized()
    yield
    if not joined and world_size() > 1:
        dist.barrier()
        dist.destroy_process_group()
