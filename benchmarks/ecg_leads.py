"""What random lead presence in training is worth when leads are missing at test time, on a record task.

    OMP_NUM_THREADS=1 python benchmarks/ecg_leads.py [--KEY VALUE ...]

Two arms that differ in `modality.lead_dropout` alone: 0 (the usual augmentation) and 1 (every training window keeps a
random subset of its leads). Same windows, folds, seeds and initial weights. Each trained network scores the test
patients with all leads and again without `evaluate.drop_sensors` of them, which are taken away from the recordings
before anything is computed (limb leads that follow from two others come back). Folds are by patient and cover
everybody; intervals resample patients. Keys of a recipe override the settings below; data: $OMNIPATCH_DATA/ecg/ludb.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

import torch
from omnipatch.core.blocks.encoder import Encoder
from omnipatch.core.console import Voice
from omnipatch.core.downstream.evaluate import evaluate
from omnipatch.core.downstream.fewer_sensors import sensor_curve, without_sensors
from omnipatch.core.downstream.rows import Evaluation, merge
from omnipatch.core.downstream.summary import summarise
from omnipatch.core.prepared import prepare
from omnipatch.core.settings import Settings, load
from omnipatch.core.train.model_io import fresh_encoder

SETTINGS = [
    "--data.name", "ludb", "--data.task", "ludb-diagnosis",
    "--split.kind", "kfold", "--split.folds", "3",
    "--modality.leads", "null", "--modality.residual", "false", "--modality.patch_s", "0.2",
    "--encoder.width", "64", "--encoder.depth", "3",
    "--finetune.steps", "200", "--finetune.batch_size", "32",
    "--evaluate.models", "scratch", "--evaluate.protocols", "finetune", "--evaluate.seeds", "3",
    "--evaluate.drop_sensors", "6", "--evaluate.sensor_draws", "5",
]  # fmt: skip
ARMS = {"without": 0.0, "with": 1.0}


def main(overrides: list[str]) -> None:
    torch.set_num_threads(1)
    settings, voice = load("ecg-jepa", [*SETTINGS, *overrides]), Voice()
    prepared, recipe = prepare(settings, voice), settings.recipe
    store = prepared.store

    def fresh(seed: int) -> Encoder:
        return fresh_encoder(recipe.encoder, store.spec, seed)

    parts: dict[str, list[Evaluation]] = {arm: [] for arm in ARMS}
    start = time.process_time()
    for split in prepared.splits:
        voice.step(f"fold {split.fold}: test recordings without leads")
        fewer = without_sensors(recipe, settings.modality, prepared.sources, store, split)
        for arm, share in ARMS.items():
            modality = type(settings.modality)(replace(settings.modality.config, lead_dropout=share))
            parts[arm].append(evaluate(recipe, modality, store, split, fresh(0), fresh, voice.step, fewer))
    report({arm: merge(found) for arm, found in parts.items()}, settings)
    print(f"\n{store.task.name if store.task else ''}, {len(store.subjects)} patients, {len(prepared.splits)} folds, "
          f"{recipe.evaluate.seeds} seeds, {recipe.evaluate.sensor_draws} draws of leads, "
          f"{time.process_time() - start:.0f} s of one core")  # fmt: skip


def report(found: dict[str, Evaluation], settings: Settings) -> None:
    """AUROC of each arm with all leads, with fewer, and the paired change."""
    recipe = settings.recipe
    print("| random lead presence | leads lost | AUROC | change | worst draw |\n|---|---|---|---|---|")
    for arm, evaluation in found.items():
        for entry in summarise(evaluation, recipe.evaluate.bootstrap, recipe.seed):
            if entry["metric"] == "auroc":
                print(f"| {arm} | 0 | {_interval(entry, 'mean', 'ci')} | | |")
        for entry in sensor_curve(evaluation, recipe.evaluate.bootstrap, recipe.seed):
            if entry["metric"] == "auroc":
                print(f"| {arm} | {entry['dropped']} | {_interval(entry, 'mean', 'ci')} "
                      f"| {_interval(entry, 'change', 'change', '+')} | {entry['worst']:.3f} |")  # fmt: skip


def _interval(entry: dict[str, Any], mean: str, bounds: str, sign: str = "") -> str:
    low, high = entry[f"{bounds}_low"], entry[f"{bounds}_high"]
    spread = "" if low is None else f" [{low:{sign}.3f}, {high:{sign}.3f}]"
    return f"{entry[mean]:{sign}.3f}{spread}"


if __name__ == "__main__":
    main(sys.argv[1:])
